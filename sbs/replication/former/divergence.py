"""Which files of a node hold what no other node may have, before an update replaces them (B4).

It led in a partition and lost, or crashed with writes that nobody had acknowledged; somebody
edited its files by hand; they were restored from a backup; or they were there before SBS was.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from sbs.core.filters import basename, parent_of
from sbs.core.manifest import Action, Operation
from sbs.errors import ReplicationError
from sbs.replication.common import Common
from sbs.replication.files.index import Index, stat_key
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import IN_THE_WAY, Places
from sbs.replication.files.reading import digest_of, open_file, unchanged
from sbs.replication.receiving.folding import Spellings
from sbs.replication.receiving.record import CommitRecord
from sbs.replication.receiving.remains import Remains

UNREADABLE: Final = b""
"""Stands for the digest of a content that cannot be read, or that changes meanwhile."""


@attrs.frozen(kw_only=True)
class Version:
    """A file's content that is about to be replaced or deleted, and may exist nowhere else.

    Args:
        folder: which one, from 0.
        path: within it.
        size_bytes: of the content.
        digest: BLAKE3 of it, or :data:`UNREADABLE`.
        successor: what will stand there; ``None``: no file.
    """

    folder: int
    path: str
    size_bytes: int
    digest: bytes
    successor: Operation | None


class Survey:
    """Looks at what stands where a generation would put, link or delete something.

    Args:
        places: of its folders.
        record: of the generation.
        index: digests of the node's own files.
        common: what both nodes hold.
        check: called for each operation and each MiB; may raise to cancel.
        remains: of the same roll-forward, if it may have begun before.
    """

    def __init__(
        self,
        places: Places,
        record: CommitRecord,
        index: Index,
        common: Common,
        check: Callable[[], object],
        remains: Remains | None = None,
    ) -> None:
        self._places = places
        self._folders = record.folders
        # What is changed in its place was looked at when it was committed, and may be half changed.
        self._operations = [each for each in record.operations if record.overlay(each) is None]
        self._spellings = Spellings.of(places, record)
        self._index = index
        self._common = common
        self._check = check
        self._remains = remains
        self._closed: set[tuple[int, str]] = set()
        """Directories that are not there, or not to be entered."""

    def diverging(self) -> list[Version]:
        """The versions that nobody else is known to have.

        Where a file has its new content already (a roll-forward that a crash cut short put it
        there, say) nothing is lost by replacing it.

        Raises:
            ReplicationError: a file cannot be looked at.
            StateError: the database cannot be read.
        """
        puts = {
            (operation.folder, operation.path): operation
            for operation in self._operations
            if operation.action is Action.PUT
        }
        replaced = dict.fromkeys(
            (operation.folder, operation.path)
            for operation in self._operations
            if operation.action in (Action.PUT, Action.LINK, Action.DELETE)
        )
        found = (self._look(folder, path, puts) for folder, path in replaced)
        return [version for version in found if version is not None]

    def _look(
        self, folder: int, path: str, puts: Mapping[tuple[int, str], Operation]
    ) -> Version | None:
        self._check()
        if (folder, parent_of(path)) in self._closed:
            return None
        with mapped(f"{self._places.roots[folder]}/{path}"):
            return self._found(folder, path, puts)

    def _found(
        self, folder: int, path: str, puts: Mapping[tuple[int, str], Operation]
    ) -> Version | None:
        try:
            parent, name = self._parent(folder, path)
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno not in IN_THE_WAY:
                raise
            return None  # nothing there; or what stops this look stops the operation, too
        if not stat.S_ISREG(status.st_mode):
            return None
        digest = self._digest(folder, path, status)
        successor = puts.get((folder, path))
        if digest != UNREADABLE and digest in (
            None if successor is None else successor.digest,
            self._common.digest(self._folders[folder].name, self._known_as(folder, path)),
        ):
            return None
        if digest != UNREADABLE and self._is_remains(folder, path):
            return None
        return Version(
            folder=folder,
            path=path,
            size_bytes=status.st_size,
            digest=digest,
            successor=successor,
        )

    def _known_as(self, folder: int, path: str) -> str:
        """The name of what stands there, before the generation renames it."""
        spellings = self._spellings.get(folder)
        return path if spellings is None else spellings.standing(path) or path

    def _parent(self, folder: int, path: str) -> tuple[int, str]:
        try:
            return self._places.parent(folder, path)
        except OSError as error:
            if error.errno in IN_THE_WAY:
                self._closed.add((folder, parent_of(path)))
            raise

    def _is_remains(self, folder: int, path: str) -> bool:
        if self._remains is None:
            return False
        fd = open_file(self._places, folder, path)
        try:
            return self._remains.is_of(fd, folder, path)
        finally:
            os.close(fd)

    def _digest(self, folder: int, path: str, status: os.stat_result) -> bytes:
        name = basename(path)
        row = self._index.row(self._folders[folder].name, parent_of(path), name)
        if row is not None and row.settled and row.stat == stat_key(status):
            return row.digest
        try:
            fd = open_file(self._places, folder, path)
        except (PermissionError, ReplicationError):
            return UNREADABLE
        try:
            before = os.fstat(fd)
            digest = digest_of(fd, before.st_size, self._check)
            return digest if unchanged(fd, before) else UNREADABLE
        finally:
            os.close(fd)
