"""What an update would do: planned from a scan, judged by the guard, shown by a dry run (B22, B26).

The dry run reads no contents: of a file that was touched, and has the size that it had, it cannot
say whether it changed.
"""

from __future__ import annotations

import enum
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from sbs.core.filters import Filter
from sbs.core.guard import Basis, Held, Prospect
from sbs.core.manifest import Action, FolderSpec, Manifest, Operation
from sbs.core.plan import Candidate, Plan, plan
from sbs.replication.common import Common
from sbs.replication.index import Index
from sbs.replication.peer_tree import PeerTree
from sbs.replication.places import Places
from sbs.replication.problems import Problem
from sbs.replication.scan import scan

MAX_LISTED: Final = 100
"""Paths in a preview: more than anybody reads, and they have to fit into one answer."""


@attrs.frozen(kw_only=True)
class Outlook:
    """What was found in all folders, and follows from it.

    Args:
        plans: one for each folder.
        prospects: the same, as the guard sees them.
        problems: what could not be read.
    """

    plans: tuple[Plan, ...]
    prospects: tuple[Prospect, ...]
    problems: tuple[Problem, ...]


def look(
    folders: Sequence[FolderSpec],
    rules: Sequence[Filter],
    peer: PeerTree,
    index: Index,
    common: Common,
    check: Callable[[], object],
) -> Outlook:
    """Scan all folders, and plan.

    Args:
        folders: their settings.
        rules: of each, parsed.
        peer: what the follower holds, complete.
        index: known digests.
        common: on what basis the follower holds it.
        check: called for each directory and each thousand entries; may raise to cancel.

    Raises:
        ReplicationError: a folder's root is missing or cannot be read.
        StateError: the index cannot be used.
    """
    plans: list[Plan] = []
    prospects: list[Prospect] = []
    problems: list[Problem] = []
    before = common.bases()
    with Places([spec.path for spec in folders]) as places:
        for number, spec in enumerate(folders):
            name, standing = spec.name, peer.manifests[number]
            found = scan(places, number, name, rules[number], index, check)
            problems += found.problems
            planned = plan(found.manifest, standing, spec, number, unreadable=found.unreadable)
            plans.append(planned)
            basis = Basis(found.root, spec.filters)
            prospects.append(
                Prospect.of(name, planned, found.manifest, standing, basis, before.get(name))
            )
    return Outlook(plans=tuple(plans), prospects=tuple(prospects), problems=tuple(problems))


class Change(enum.StrEnum):
    """What happens to a path; in the order in which a preview lists them."""

    DELETE = "delete"
    CHANGE = "change"
    ADD = "add"
    UNSURE = "unsure"


_ORDER: Final = {change: number for number, change in enumerate(Change)}


@attrs.frozen(kw_only=True)
class PreviewedChange:
    """One path of a preview; ``bytes`` is the size of a file that would be read."""

    change: Change
    folder: str
    path: str
    bytes: int = 0


@attrs.frozen(kw_only=True)
class Preview:
    """What an update would send now.

    Args:
        added: how many paths the follower lacks.
        changed: how many it has otherwise.
        unsure: how many files may have changed: reading them decides.
        deleted: how many it has and should not have.
        bytes: content of files that would be read, and at most sent.
        held: why it is held; ``None``: it is not.
        paths: the first :data:`MAX_LISTED`, what is deleted before the rest.
    """

    added: int
    changed: int
    unsure: int
    deleted: int
    bytes: int
    held: Held | None
    paths: tuple[PreviewedChange, ...]


def preview(
    folders: Sequence[FolderSpec], outlook: Outlook, peer: PeerTree, held: Held | None
) -> Preview:
    """Sum an outlook up.

    Args:
        folders: of the outlook.
        outlook: to be shown.
        peer: what the follower holds.
        held: what the guard says of it.
    """
    counts: Counter[Change] = Counter()
    size_bytes = 0

    def counted() -> Iterator[PreviewedChange]:  # in one pass: there may be millions
        nonlocal size_bytes
        for spec, planned, standing in zip(folders, outlook.plans, peer.manifests, strict=True):
            for each in _changes(spec.name, planned, standing):
                counts[each.change] += 1
                size_bytes += each.bytes
                yield each

    paths = heapq.nsmallest(MAX_LISTED, counted(), key=_place)
    return Preview(
        added=counts[Change.ADD],
        changed=counts[Change.CHANGE],
        unsure=counts[Change.UNSURE],
        deleted=counts[Change.DELETE],
        bytes=size_bytes,
        held=held,
        paths=tuple(paths),
    )


def _changes(folder: str, planned: Plan, standing: Manifest) -> Iterator[PreviewedChange]:
    for step in planned.steps:
        path, size_bytes = (
            (step.path, 0)
            if isinstance(step, Operation)
            else (step.entry.path, step.entry.size_bytes)
        )
        change = Change.CHANGE if path in standing else Change.ADD
        if isinstance(step, Candidate):
            for delete in step.clears:
                yield PreviewedChange(change=Change.DELETE, folder=folder, path=delete.path)
            if step.standing is not None:
                change = Change.UNSURE
        elif step.action is Action.DELETE:
            change = Change.DELETE
        yield PreviewedChange(change=change, folder=folder, path=path, bytes=size_bytes)


def _place(each: PreviewedChange) -> tuple[int, str, str]:
    return _ORDER[each.change], each.folder, each.path
