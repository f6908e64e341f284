"""The calls that changed a directory, as ``shim.c`` wrote them down."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs

Key: TypeAlias = tuple[int, ...]
"""Size, mtime_ns, ctime_ns, inode and mode, as the index has them."""


@attrs.define
class Inode:
    """A file, directory or link.

    Args:
        key: what stat says of it.
        content: of a file.
        target: of a link.
        names: in a directory, the inodes.
        xattrs: extended attributes.
    """

    key: Key
    content: bytearray = attrs.field(factory=bytearray)
    target: bytes = b""
    names: dict[bytes, int] = attrs.field(factory=dict[bytes, int])
    xattrs: dict[bytes, bytes] = attrs.field(factory=dict[bytes, bytes])

    @property
    def mode(self) -> int:
        return self.key[4]

    def copy(self) -> Inode:
        return attrs.evolve(
            self, content=bytearray(self.content), names=dict(self.names), xattrs=dict(self.xattrs)
        )


@attrs.frozen
class Made:
    """A file, directory or link, with its first name."""

    directory: int
    name: bytes
    inode: int
    key: Key
    target: bytes = b""


@attrs.frozen
class Linked:
    """One more name."""

    directory: int
    name: bytes
    inode: int
    key: Key


@attrs.frozen
class Moved:
    """Another name; what bore it is gone."""

    directory: int
    name: bytes
    to_directory: int
    to_name: bytes
    inode: int
    key: Key


@attrs.frozen
class Removed:
    """A name less."""

    directory: int
    name: bytes


@attrs.frozen
class Wrote:
    """Contents; size and times with them."""

    inode: int
    key: Key
    at: int
    content: bytes


@attrs.frozen
class Changed:
    """Size, mode, owner, times, or an extended attribute (``None``: removed)."""

    inode: int
    key: Key
    xattr: tuple[bytes, bytes | None] | None = None


@attrs.frozen
class Synced:
    """A file or directory, or with ``None`` everything."""

    inode: int | None


@attrs.frozen
class Mark:
    """Something that happened elsewhere."""

    text: bytes


Call: TypeAlias = Made | Linked | Moved | Removed | Wrote | Changed | Synced | Mark


class Recording:
    """What stood in a directory, and all calls that changed it since.

    Inodes are numbered as they appear: the kernel gives its numbers away again.

    Args:
        base: the directory, as it is before the first call.
    """

    def __init__(self, base: str) -> None:
        self._counter = itertools.count()
        self._numbers: dict[int, int] = {}
        self.first: dict[int, Inode] = {}
        self.root = self._remember(base)
        self.calls: list[Call] = []

    def read(self, log: str) -> None:
        """Add the calls of a log."""
        with open(log, "rb") as file:
            while line := file.readline():
                how, *words = line.split()
                self.calls.append(self._call(how, words, file.read))

    def _remember(self, path: str) -> int:
        status = os.lstat(path)
        if status.st_ino in self._numbers:
            return self._numbers[status.st_ino]
        number = self._new(status.st_ino)
        key = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        inode = self.first[number] = Inode((*key, status.st_mode))
        if stat.S_ISDIR(status.st_mode):
            names = os.listdir(path)
            inode.names = {os.fsencode(name): self._remember(f"{path}/{name}") for name in names}
        elif stat.S_ISLNK(status.st_mode):
            inode.target = os.fsencode(os.readlink(path))
        else:
            inode.content = bytearray(Path(path).read_bytes())
        return number

    def _new(self, ino: int) -> int:
        number = self._numbers[ino] = next(self._counter)
        return number

    def _of(self, ino: bytes) -> int:
        return self._numbers[int(ino)]

    def _call(self, how: bytes, words: list[bytes], read: Callable[[int], bytes]) -> Call:
        match how, words:
            case ((b"create" | b"mkdir"), [directory, name, ino, *rest]):
                made = self._new(int(ino))
                return Made(self._of(directory), _bytes(name), made, _key(ino, rest))
            case b"symlink", [directory, name, target, ino, *rest]:
                made, key = self._new(int(ino)), _key(ino, rest)
                return Made(self._of(directory), _bytes(name), made, key, _bytes(target))
            case b"link", [directory, name, ino, *rest]:
                return Linked(self._of(directory), _bytes(name), self._of(ino), _key(ino, rest))
            case b"rename", [directory, name, to_directory, to_name, ino, *rest]:
                place = self._of(directory), _bytes(name)
                to_place = self._of(to_directory), _bytes(to_name)
                return Moved(*place, *to_place, self._of(ino), _key(ino, rest))
            case b"unlink", [directory, name]:
                return Removed(self._of(directory), _bytes(name))
            case b"write", [at, length, ino, *rest]:
                content = read(int(length))
                assert read(1) == b"\n"
                return Wrote(self._of(ino), _key(ino, rest), int(at), content)
            case b"inode", [ino, *rest]:
                return Changed(self._of(ino), _key(ino, rest))
            case b"xattr", [name, value, ino, *rest]:
                xattr = _bytes(name), None if value == b"-" else _bytes(value)
                return Changed(self._of(ino), _key(ino, rest), xattr)
            case b"sync", [ino]:
                return Synced(self._of(ino))
            case b"syncfs", []:
                return Synced(None)
            case b"mark", [text]:
                return Mark(_bytes(text))
            case _:
                raise AssertionError(f"not a line of the log: {how!r} {words!r}")


def _bytes(word: bytes) -> bytes:
    return bytes.fromhex(word[1:].decode())


def _key(ino: bytes, rest: list[bytes]) -> Key:
    size, mtime_ns, ctime_ns, mode = map(int, rest)
    return size, mtime_ns, ctime_ns, int(ino), mode
