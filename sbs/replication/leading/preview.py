"""What an update would send, for people: a dry run (B26).

It reads no contents: of a file that was touched, and has the size that it had, it cannot say
whether it changed.
"""

from __future__ import annotations

import enum
import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from sbs.core.guard import Held
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.plan import Candidate, Plan
from sbs.replication.leading.peer_tree import PeerTree

MAX_LISTED: Final = 100
"""Paths in a preview: more than anybody reads, and they have to fit into one answer."""


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
    folders: Sequence[FolderSpec], plans: Sequence[Plan], peer: PeerTree, held: Held | None
) -> Preview:
    """Sum up what is planned.

    Args:
        folders: of the session.
        plans: one for each.
        peer: what the follower holds.
        held: what the guard says of it.
    """
    counts: Counter[Change] = Counter()
    size_bytes = 0

    def counted() -> Iterator[PreviewedChange]:  # in one pass: there may be millions
        nonlocal size_bytes
        for number, (spec, planned) in enumerate(zip(folders, plans, strict=True)):
            for each in _changes(spec.name, planned, number, peer):
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


def _changes(name: str, planned: Plan, folder: int, peer: PeerTree) -> Iterator[PreviewedChange]:
    for step in planned.steps:
        path, size_bytes = (
            (step.path, 0)
            if isinstance(step, Operation)
            else (step.entry.path, step.entry.size_bytes)
        )
        change = Change.ADD if peer.entry(folder, path) is None else Change.CHANGE
        if isinstance(step, Candidate):
            for delete in step.clears:
                yield PreviewedChange(change=Change.DELETE, folder=name, path=delete.path)
            if step.may_be_equal:
                change = Change.UNSURE
        elif step.action is Action.DELETE:
            change = Change.DELETE
        yield PreviewedChange(change=change, folder=name, path=path, bytes=size_bytes)


def _place(each: PreviewedChange) -> tuple[int, str, str]:
    return _ORDER[each.change], each.folder, each.path
