"""Looks at the leader's folders, and plans what to do about what is found (R20, B22)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import attrs

from sbs.core.filters import Filter
from sbs.core.folding import Folding
from sbs.core.guard import Basis, Prospect, deleted_contents, has_content
from sbs.core.manifest import Entry, FolderSpec, Kind
from sbs.core.plan import Plan, Step, is_closed, plan, restore
from sbs.replication.changes import EVERYTHING, Changes, Looks
from sbs.replication.common import Common
from sbs.replication.files.attributes import AttributeReader
from sbs.replication.files.index import Index
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem
from sbs.replication.files.scan import Scanner
from sbs.replication.files.visit import Alike, Part
from sbs.replication.leading.hard_links import HardLinks
from sbs.replication.leading.moves import Moves
from sbs.replication.leading.peer_tree import PeerTree

Doubtful: TypeAlias = dict[tuple[int, str], tuple[Problem, ...]]
"""Directories in which something could not be read, and what."""


@attrs.frozen(kw_only=True)
class Outlook:
    """What was found, and follows from it.

    Args:
        plans: one for each folder.
        prospects: the same, as the guard sees them.
        full: nothing was left out.
        notes: what is replicated otherwise than it stands here; complete if ``full``.
    """

    plans: tuple[Plan, ...]
    prospects: tuple[Prospect, ...]
    full: bool
    notes: tuple[Problem, ...] = ()


@attrs.frozen
class _Found:
    """In one folder; see :class:`~sbs.core.guard.Prospect`."""

    plan: Plan
    deletes: dict[str, Entry]
    standing: int
    emptied: bool


class Planner:
    """Looks at the folders of one leader.

    Args:
        folders: their settings.
        index: known digests.
        common: on what basis the follower held it all last.

    Raises:
        ValueError: a filter rule is malformed.
    """

    def __init__(self, folders: Sequence[FolderSpec], index: Index, common: Common) -> None:
        self._folders = folders
        self._rules = [Filter.parse(spec.filters) for spec in folders]
        self._index = index
        self._common = common
        self._moves = [Moves(index, number, spec.name) for number, spec in enumerate(folders)]

    def look(
        self,
        peer: PeerTree,
        changes: Changes,
        doubtful: Doubtful,
        check: Callable[[], object],
    ) -> Outlook:
        """Look where something may have changed, and plan.

        Where a folder does not rest on what it did, everything may have changed (B22).

        Args:
            peer: what the follower holds, complete.
            changes: where to look.
            doubtful: kept up to date.
            check: called for each directory and each thousand entries; may raise to cancel.

        Raises:
            ReplicationError: a folder's root is missing or cannot be read.
            StateError: the index cannot be used.
        """
        before = self._common.bases()
        with Places([spec.path for spec in self._folders]) as places:
            scanners = [
                Scanner(
                    places,
                    number,
                    spec.name,
                    self._rules[number],
                    self._index,
                    check,
                    partial(peer.alike, number),
                    AttributeReader.of(spec),
                    partial(_clashes, peer, number),
                )
                for number, spec in enumerate(self._folders)
            ]
            bases = [
                Basis(scanner.root(), spec.filters)
                for scanner, spec in zip(scanners, self._folders, strict=True)
            ]
            prospects = [
                Prospect(name=spec.name, basis=basis, before=before.get(spec.name))
                for spec, basis in zip(self._folders, bases, strict=True)
            ]
            if any(each.before not in (None, each.basis) for each in prospects):
                changes = EVERYTHING
            if changes.everything:
                doubtful.clear()
            links = HardLinks([spec.name for spec in self._folders])
            found = [
                self._plan(number, scanner, peer, changes.of_folder(number), doubtful, links)
                for number, scanner in enumerate(scanners)
            ]
            prospects = [
                attrs.evolve(
                    prospect,
                    deletes=self._lost(number, prospect, each, places, check),
                    standing=each.standing,
                    emptied=each.emptied,
                )
                for number, (prospect, each) in enumerate(zip(prospects, found, strict=True))
            ]
        return Outlook(
            plans=tuple(each.plan for each in found),
            prospects=tuple(prospects),
            full=changes.everything,
            notes=links.notes,
        )

    def _lost(
        self,
        folder: int,
        prospect: Prospect,
        found: _Found,
        places: Places,
        check: Callable[[], object],
    ) -> tuple[str, ...]:
        """What is deleted, but for what only went elsewhere in its folder."""
        if prospect.before is None or prospect.before.root != prospect.basis.root:
            return tuple(found.deletes)  # inodes of another file system tell nothing
        return self._moves[folder].lost(found.deletes, found.plan.steps, places, check)

    def _plan(
        self,
        folder: int,
        scanner: Scanner,
        peer: PeerTree,
        looks: Looks | None,
        doubtful: Doubtful,
        links: HardLinks,
    ) -> _Found:
        spec, rules = self._folders[folder], self._rules[folder]

        def is_known(directory: str) -> bool:
            return peer.has_directory(folder, directory)

        if looks is not None and peer.folding(folder) is not Folding.NONE:
            looks = dict.fromkeys(looks)  # which name is taken for which only all of them tell
        parts = scanner.all() if looks is None else scanner.some(looks, is_known)
        steps: list[Step] = []
        deletes: dict[str, Entry] = {}
        closed: dict[str, Entry] = {}
        left = False
        gone = set(looks or ())
        for part in parts:
            gone.discard(part.directory)
            links.add(folder, part)
            _note(doubtful, folder, part)
            if part.alike is not None:
                left = left or part.alike.content
                continue
            source, standing = peer.apart(folder, part)
            target = _target(peer, folder, part, standing, strict_delete=spec.strict_delete)
            unreadable = part.unreadable
            made = plan(source, target, spec, folder, rules=rules, unreadable=unreadable)
            steps += made
            if clears := {path: target[path] for path in deleted_contents(made, target)}:
                deletes |= clears
                self._moves[folder].note(clears, part.gone)
            closed |= {path: entry for path, entry in part.entries.items() if is_closed(entry)}
            content = any(map(has_content, part.entries.values()))
            left = left or content
            if not made and part.fingerprint:
                peer.remember(folder, part.directory, Alike(part.fingerprint, content))

        for directory in gone:
            doubtful.pop((folder, directory), None)

        def entry_of(path: str) -> Entry | None:
            return closed.get(path) or peer.entry(folder, path)

        planned = Plan(steps=tuple(steps), restore=restore(steps, entry_of, folder))
        count = peer.count(folder) if deletes else 0
        # What was not looked at is as on the follower.
        emptied = not left and (looks is None or len(deletes) >= count)
        return _Found(planned, deletes, count, emptied)


def _note(doubtful: Doubtful, folder: int, part: Part) -> None:
    """Remember what could not be read, or forget it."""
    if part.problems:
        doubtful[folder, part.directory] = part.problems
    else:
        doubtful.pop((folder, part.directory), None)


def _target(
    peer: PeerTree, folder: int, part: Part, standing: dict[str, Entry], *, strict_delete: bool
) -> dict[str, Entry]:
    """What the follower has otherwise in a directory, and below what is none of the leader."""
    if part.directory in part.unreadable:
        return {}
    folding = peer.folding(folder)
    spellings = folding.spellings(part.entries)
    target: dict[str, Entry] = {}
    for former, entry in standing.items():
        path = former
        if spellings and former not in part.entries:
            path = spellings.get(folding.key(former), former)
        own = part.entries.get(path)
        if path != former and own is not None and own.kind is entry.kind:
            continue  # what is put there anew gives it the new name
        target[path] = entry if path == former else attrs.evolve(entry, path=path)
        goes = strict_delete if own is None else own.kind is not Kind.DIRECTORY
        if entry.kind is Kind.DIRECTORY and goes:
            for below in peer.below(folder, former):
                respelled = path + below.path[len(former) :]
                target[respelled] = attrs.evolve(below, path=respelled)
    return target


def _clashes(
    peer: PeerTree, folder: int, directory: str, paths: Collection[str]
) -> Mapping[str, str]:
    return peer.folding(folder).clashes(paths, lambda: peer.directory(folder, directory))
