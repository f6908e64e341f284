"""The directory of one generation among a folder's versions, while it is written (B21)."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Final

import attrs

from sbs.core.history import Generation
from sbs.core.manifest import Action, Operation
from sbs.replication.files.opening import READ
from sbs.replication.files.places import Places
from sbs.replication.former import undo
from sbs.replication.former.keeping import link_entry
from sbs.replication.former.past import LIST_NAME, VERSIONS
from sbs.replication.receiving.area import VERSIONS_NAME, create, open_staging
from sbs.replication.receiving.journal import write_all
from sbs.replication.receiving.overlay import Overlay

_LIST_WRITTEN: Final = "list.new"
_UNDO_WRITTEN: Final = "blocks.new"

_FLUSH_BYTES: Final = 256 * 1024
"""Of the list, collected before they are written."""


@attrs.frozen(kw_only=True)
class Former:
    """What a change replaced or deleted.

    Args:
        name: it is kept under, in its generation's directory.
        kind: ``file``, ``link``, or ``blocks``: those of a file that were replaced.
        size_bytes: of the file or link.
        mtime_ns: of it.
        kept_bytes: that keeping it takes.
    """

    name: str
    kind: str
    size_bytes: int
    mtime_ns: int
    kept_bytes: int

    @classmethod
    def of(cls, name: str, status: os.stat_result) -> Former:
        """A file or link that is kept as a whole."""
        return cls(
            name=name,
            kind="link" if stat.S_ISLNK(status.st_mode) else "file",
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            kept_bytes=status.st_size,
        )

    @property
    def text(self) -> str:
        """What the list says of it, in JSON."""
        return (
            f'{{"kept": "{self.name}", "kind": "{self.kind}", "size_bytes": {self.size_bytes},'
            f' "mtime_ns": {self.mtime_ns}}}'
        )


class ChangeList:
    """The directory of one generation in one folder, while it is written.

    Args:
        places: of the folders.
        folder: which one.
        name: of the directory.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, places: Places, folder: int, name: str) -> None:
        _make(VERSIONS_NAME, open_staging(places, folder))
        self.kept: set[int] = set()
        """Numbers of the changes whose former version is kept."""
        self.is_new: bool = _make(name, places.directory(folder, VERSIONS))
        """Nothing was written here before."""
        self._fd = os.dup(places.directory(folder, f"{VERSIONS}/{name}"))
        try:
            if not self.is_new:
                self.kept.update(
                    int(name.removesuffix(undo.SUFFIX))
                    for name in os.listdir(self._fd)
                    if name.removesuffix(undo.SUFFIX).isdecimal()
                )
            self._list_fd = create(_LIST_WRITTEN, self._fd)
        except OSError:
            os.close(self._fd)
            raise
        self._new: dict[int, Former] = {}
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._counts: dict[str, int] = {}
        self._formers = 0
        self._size_bytes = 0

    def keep(self, number: int, place: tuple[int, str], check: Callable[[], object]) -> None:
        """Keep what stands at a place; see :func:`~sbs.replication.former.keeping.link_entry`."""
        status = link_entry(place, self._fd, self._fd, str(number), check)
        if status is not None:
            self.kept.add(number)
            self._new[number] = Former.of(str(number), status)

    def keep_blocks(
        self,
        number: int,
        place: tuple[int, str],
        overlay: Overlay,
        check: Callable[[], object],
    ) -> None:
        """Keep what an overlay is about to replace; see :meth:`Keeper.keep_blocks`."""
        name = f"{number}{undo.SUFFIX}"
        if number in self.kept and self._is_sound(name, check):
            return
        source = os.open(place[1], READ, dir_fd=place[0])
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                return
            fd = create(_UNDO_WRITTEN, self._fd)
            try:
                undo.write(fd, source, overlay, check)
            finally:
                os.close(fd)
        finally:
            os.close(source)
        os.rename(_UNDO_WRITTEN, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self.kept.add(number)

    def _is_sound(self, name: str, check: Callable[[], object]) -> bool:
        fd = os.open(name, READ, dir_fd=self._fd)
        try:
            return undo.is_sound(fd, check)
        finally:
            os.close(fd)

    def former(self, number: int) -> Former | None:
        """What was kept under a number, by this attempt or an earlier one; counts it."""
        if number not in self.kept:
            return None
        former = self._new.pop(number, None) or self._find(number)
        self._formers += 1
        self._size_bytes += former.kept_bytes
        return former

    def _find(self, number: int) -> Former:
        name = str(number)
        with contextlib.suppress(FileNotFoundError):
            return Former.of(name, os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        name += undo.SUFFIX
        fd = os.open(name, READ, dir_fd=self._fd)
        try:
            found = undo.read(fd)
            kept_bytes = os.fstat(fd).st_size
        finally:
            os.close(fd)
        return Former(
            name=name,
            kind="blocks",
            size_bytes=0 if found is None else found.size_bytes,
            mtime_ns=0 if found is None else found.mtime_ns,
            kept_bytes=kept_bytes,
        )

    def add(self, line: bytes, action: str) -> None:
        """Add the line of a change."""
        self._counts[action] = self._counts.get(action, 0) + 1
        self._lines.append(line)
        self._waiting_bytes += len(line)
        if self._waiting_bytes >= _FLUSH_BYTES:
            self._flush()

    def finish(self, generation: Generation, at: float) -> None:
        """Write the summary, and let the list appear."""
        summary = {
            "generation": generation.number,
            "epoch": str(generation.epoch),
            "at": at,
            "changes": self._counts,
            "kept": self._formers,
            "kept_bytes": self._size_bytes,
        }
        self._lines.append(json.dumps(summary).encode() + b"\n")
        self._flush()
        os.rename(_LIST_WRITTEN, LIST_NAME, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def close(self) -> None:
        """Close the files."""
        os.close(self._list_fd)
        os.close(self._fd)

    def _flush(self) -> None:
        write_all(self._list_fd, b"".join(self._lines))
        self._lines.clear()
        self._waiting_bytes = 0


def _make(name: str, directory: int) -> bool:
    """Make a directory; whether it was not there. What else bears its name has no business here."""
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return False
        os.unlink(name, dir_fd=directory)
        os.mkdir(name, 0o700, dir_fd=directory)
    return True


def change_line(operation: Operation, former: Former | None) -> bytes:
    """The line of a change; there may be a million, and nothing but the path has to be escaped."""
    line = (
        f'{{"path": {encode_basestring_ascii(operation.path)},'
        f' "action": "{operation.action.name.lower()}"'
    )
    if operation.action is Action.PUT:
        line += f', "size_bytes": {operation.size_bytes}, "digest": "{operation.digest.hex()}"'
    if former is not None:
        line += f', "former": {former.text}'
    return f"{line}}}\n".encode()


def restore_line(path: str, former: Former | None) -> bytes:
    """The line of what was put back by hand; see :mod:`sbs.replication.former.restoring`."""
    line = f'{{"path": {encode_basestring_ascii(path)}, "action": "restore"'
    if former is not None:
        line += f', "former": {former.text}'
    return f"{line}}}\n".encode()
