"""The primary's side of an update: look, and plan what to send (R20)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sbs.core.filters import Filter
from sbs.core.history import Generation
from sbs.core.manifest import Entry, FolderSpec, Kind
from sbs.core.plan import Plan, Step, is_closed, plan, restore
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.common import Common
from sbs.replication.index import Index
from sbs.replication.peer_tree import PeerTree
from sbs.replication.places import Places
from sbs.replication.problems import Problem, Problems
from sbs.replication.scan import Part, Scanner
from sbs.replication.update import Update

__all__ = ["PeerTree", "Source", "Update"]


class Source:
    """Reads the primary's folders.

    Args:
        folders: their settings; ``path`` is the local path.
        index: digests that are known from earlier readings.

    Raises:
        ValueError: a filter rule is malformed.
    """

    def __init__(self, folders: Sequence[FolderSpec], index: Index) -> None:
        self._folders = tuple(folders)
        self._rules = [Filter.parse(spec.filters) for spec in folders]
        self._index = index
        self._common = Common(index)
        self._met: PeerTree | None = None
        self._doubtful: dict[tuple[int, str], tuple[Problem, ...]] = {}
        """Directories in which something could not be read, and what."""
        self._patching = True
        self._equal: dict[tuple[str, str], bytes] = {}
        """What stood on both nodes when they met, and is not recorded yet."""

    def prepare(self, peer: PeerTree, changes: Changes, check: Callable[[], object]) -> Update:
        """Look where something may have changed, and plan what to send.

        Args:
            peer: what the follower holds, complete.
            changes: where to look; besides, where something could not be read the last time.
            check: called for each directory and each thousand entries; may raise to cancel.

        Raises:
            ReplicationError: a folder's root is missing or cannot be read: nothing is sent.
            StateError: the index cannot be used.
        """
        if peer is not self._met:
            self._meet(peer)
            changes = EVERYTHING
        else:
            changes |= Changes.of(self._doubtful)
        if changes.everything:
            self._doubtful = {}
        with Places([spec.path for spec in self._folders]) as places:
            plans = [
                self._plan(places, number, peer, changes.of_folder(number), check)
                for number in range(len(self._folders))
            ]
        problems = Problems()
        for found in self._doubtful.values():
            problems.extend(found)
        if changes.everything:
            self._index.drop_unused_blocks()
        patching, self._patching = self._patching, True
        return Update(
            self._folders,
            plans,
            problems.collected,
            self._index,
            self._doubtful,
            patching=patching,
        )

    def _plan(
        self,
        places: Places,
        folder: int,
        peer: PeerTree,
        directories: list[str] | None,
        check: Callable[[], object],
    ) -> Plan:
        spec, rules = self._folders[folder], self._rules[folder]
        scanner = Scanner(places, folder, spec.name, rules, self._index, check)

        def is_known(directory: str) -> bool:
            return peer.has_directory(folder, directory)

        parts = scanner.all() if directories is None else scanner.some(directories, is_known)
        steps: list[Step] = []
        closed: dict[str, Entry] = {}
        for part in parts:
            self._note(folder, part)
            target = _standing(peer, folder, part, strict_delete=spec.strict_delete)
            unreadable = part.unreadable
            steps += plan(part.entries, target, spec, folder, rules=rules, unreadable=unreadable)
            closed |= {path: entry for path, entry in part.entries.items() if is_closed(entry)}

        def entry_of(path: str) -> Entry | None:
            return closed.get(path) or peer.entry(folder, path)

        return Plan(steps=tuple(steps), restore=restore(steps, entry_of, folder))

    def _note(self, folder: int, part: Part) -> None:
        """Remember what could not be read, or forget it."""
        if part.problems:
            self._doubtful[folder, part.directory] = part.problems
        else:
            self._doubtful.pop((folder, part.directory), None)

    def send_whole(self) -> None:
        """The next update patches no file: the follower refused, and perhaps that is why."""
        self._patching = False

    def confirm(
        self, update: Update, generation: Generation, refused: Collection[tuple[str, str]]
    ) -> None:
        """The follower has put an update in place: its contents are on both nodes now (B4).

        Args:
            update: what was sent.
            generation: that it became.
            refused: by folder and path, what the follower could not put in place.

        Raises:
            StateError: the index cannot be written.
        """
        self._common.store(generation, {**self._equal, **update.contents(refused)})
        self._equal = {}

    def _meet(self, peer: PeerTree) -> None:
        """Begin with what both nodes have already."""
        self._common.reconcile(peer.history)
        self._equal = {
            (spec.name, path): digest
            for number, spec in enumerate(self._folders)
            for path, digest in self._common.missing(spec.name)
            if (entry := peer.entry(number, path)) is not None and entry.digest == digest
        }
        self._met = peer


def _standing(peer: PeerTree, folder: int, part: Part, *, strict_delete: bool) -> dict[str, Entry]:
    """What the follower has in a directory, and below what is no directory of the leader."""
    if part.directory in part.unreadable:
        return {}
    target = peer.directory(folder, part.directory)
    for entry in [*target.values()]:
        own = part.entries.get(entry.path)
        goes = strict_delete if own is None else own.kind is not Kind.DIRECTORY
        if entry.kind is Kind.DIRECTORY and goes:
            target |= {below.path: below for below in peer.below(folder, entry.path)}
    return target
