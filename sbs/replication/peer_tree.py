"""The leader's account of what its follower holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from sbs.core.filters import parent_of
from sbs.core.history import History
from sbs.core.manifest import Action, Entry, Kind, Operation
from sbs.core.messages import Listing

MAX_ENTRIES: Final = 16_000_000
"""Entries of a follower's listing: more than a node has memory for is an attack or a mistake."""

_NOTHING: Final = History()


class PeerTree:
    """What the follower holds: from its listing, and from what it committed since.

    Args:
        folders: how many the session has.
        history: the generations that it has gone through.
    """

    def __init__(self, folders: int, history: History = _NOTHING) -> None:
        self.history = history
        self.manifests: list[dict[str, Entry]] = [{} for _ in range(folders)]
        self.complete: bool = False
        self._entries = 0

    def add(self, listing: Listing) -> None:
        """Take a part of the listing.

        Raises:
            ValueError: no such folder, too many entries, one that lies in no directory listed
                before, or the listing had ended already.
        """
        if self.complete:
            raise ValueError("a listing after the last one")
        if listing.folder >= len(self.manifests) and (listing.entries or self.manifests):
            raise ValueError(
                f"a listing of folder {listing.folder}; the session has {len(self.manifests)}"
            )
        self._entries += len(listing.entries)
        if self._entries > MAX_ENTRIES:
            raise ValueError(f"a listing of more than {MAX_ENTRIES} entries")
        if listing.entries:
            _list(self.manifests[listing.folder], listing.entries)
        self.complete = listing.last

    def commit(self, operations: Iterable[Operation]) -> None:
        """The follower holds what an update has sent."""
        for operation in operations:
            _apply(self.manifests[operation.folder], operation)

    def forget(self, folder: int, path: str) -> None:
        """The follower could not put this in place: the next update sends it again."""
        self.manifests[folder].pop(path, None)


def _list(manifest: dict[str, Entry], entries: Iterable[Entry]) -> None:
    for entry in entries:
        parent = parent_of(entry.path)
        # Else 2000 directories could hide in each path, which nobody counts.
        if parent and parent not in manifest:
            raise ValueError(f"{entry.path!r} is listed before its directory")
        manifest[entry.path] = entry


def _apply(manifest: dict[str, Entry], operation: Operation) -> None:
    path = operation.path
    match operation.action:
        case Action.DELETE:
            manifest.pop(path, None)
        case Action.MKDIR:
            manifest[path] = Entry(path=path, kind=Kind.DIRECTORY, mode=operation.mode)
        case Action.LINK:
            manifest[path] = Entry(path=path, kind=Kind.SYMLINK, target=operation.target)
        case Action.PUT:
            manifest[path] = Entry(
                path=path,
                kind=Kind.FILE,
                mode=operation.mode,
                size_bytes=operation.size_bytes,
                mtime_ns=operation.mtime_ns or 0,
                digest=operation.digest,
            )
        case Action.TOUCH:
            stamp = operation.mtime_ns
            manifest[path] = attrs.evolve(
                manifest[path],
                mode=operation.mode,
                mtime_ns=manifest[path].mtime_ns if stamp is None else stamp,
            )
