"""Disks as a power cut may leave them, built from a recording of all calls.

What is modelled is a file system with a journal of its metadata, as ext4 and XFS are:

- Names, sizes, modes and times change in the order of the calls; a cut leaves a beginning of them.
- Of the contents that were written since the last fsync of the file, or syncfs, each page is there
  or not, whatever the size says: then what was there before is there, or zeros.
- fsync of a file makes its content, size, mode and times durable, but not its name, which is less
  than these file systems do. fsync of a directory makes durable all names up to then; syncfs,
  everything.
- What stood there before the first call is durable.
"""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, assert_never

import attrs

from tests.disk.calls import (
    Call,
    Changed,
    Inode,
    Linked,
    Made,
    Mark,
    Moved,
    Recording,
    Removed,
    Synced,
    Wrote,
)
from tests.disk.removing import remove

PAGE_BYTES: Final = 4096

Lost: TypeAlias = Callable[[int, int], bool]
"""Whether of a write, by its place in the recording, one page is lost, by its place in the file."""

_LEFT_OUT: Final = b"-shm"
"""SQLite's shared memory: stores that nobody sees, and that it makes anew."""


@attrs.frozen
class Cut:
    """When the power fails, and what is lost.

    Args:
        at: how many calls were made.
        names: up to which of them names, sizes, modes and times survive.
        lost: of what was not synced.
    """

    at: int
    names: int
    lost: Lost


def everything(_call: int, _page: int) -> bool:
    """All contents that were not synced are lost."""
    return True


def cuts(recording: Recording, seed: int, mixtures: int) -> Iterator[Cut]:
    """After each call: names kept and contents lost, both lost, and mixtures of them.

    Args:
        recording: of all calls.
        seed: of the mixtures.
        mixtures: how many for each call.
    """
    floor = 0
    for at in range(len(recording.calls) + 1):
        if at and _syncs_names(recording, recording.calls[at - 1]):
            floor = at
        yield Cut(at, at, everything)
        yield Cut(at, floor, everything)
        for number in range(mixtures):
            dice = random.Random(f"{seed} {at} {number}")
            yield Cut(at, dice.randint(floor, at), _some(dice))


def _syncs_names(recording: Recording, call: Call) -> bool:
    match call:
        case Synced(None):
            return True
        case Synced(int() as inode):
            made = [each for each in recording.calls if isinstance(each, Made)]
            keys = {each.inode: each.key for each in made}
            mode = keys[inode][4] if inode in keys else recording.first[inode].mode
            return stat.S_ISDIR(mode)
        case _:
            return False


def _some(dice: random.Random) -> Lost:
    share, salt = dice.choice((0.0, 0.2, 0.5, 0.8)), dice.random()

    def is_lost(call: int, page: int) -> bool:
        return random.Random(f"{salt} {call} {page}").random() < share

    return is_lost


class Disk:
    """What stands in the directory after a cut.

    Args:
        recording: of all calls.
        cut: after one of them.
    """

    def __init__(self, recording: Recording, cut: Cut) -> None:
        self._root = recording.root
        self._inodes = {number: inode.copy() for number, inode in recording.first.items()}
        self.told = False
        """The primary was told of g+1."""
        synced = _synced_at(recording.calls[: cut.at])
        for place, call in enumerate(recording.calls[: cut.at]):
            self._do(place, call, cut, synced)
        for inode in self._inodes.values():
            _resize(inode)

    def _do(self, place: int, call: Call, cut: Cut, synced: dict[int | None, int]) -> None:
        everything_at = synced.get(None, -1)
        match call:
            case Mark(text):
                self.told = self.told or text == b"told"
            case Synced():
                pass
            case Made(_, _, number, key, target):
                self._inodes[number] = Inode(key, target=target)
                if place < cut.names:
                    self._inodes[call.directory].names[call.name] = number
            case Linked() | Moved() | Removed():
                if place < cut.names:
                    self._rename(call)
            case Wrote(number, key):
                durable = place < max(synced.get(number, -1), everything_at)
                self._write(place, call, None if durable else cut.lost)
                self._set(number, key, kept=place < cut.names or durable)
            case Changed(number, key, xattr):
                durable = place < max(synced.get(number, -1), everything_at)
                if place < cut.names or durable:
                    self._set(number, key, kept=True)
                    _resize(self._inodes[number])
                    self._set_xattr(number, xattr)
            case _:
                assert_never(call)

    def _rename(self, call: Linked | Moved | Removed) -> None:
        names = self._inodes[call.directory].names
        match call:
            case Linked(_, name, number, key):
                names[name] = number
                self._set(number, key, kept=True)
            case Moved(_, name, to_directory, to_name, number, key):
                to_names = self._inodes[to_directory].names
                if to_names.get(to_name) != number:  # else both are names of one file, and stay
                    del names[name]
                    to_names[to_name] = number
                self._set(number, key, kept=True)
            case Removed(_, name):
                del names[name]

    def _set(self, number: int, key: tuple[int, ...], *, kept: bool) -> None:
        if kept:
            self._inodes[number].key = key

    def _set_xattr(self, number: int, xattr: tuple[bytes, bytes | None] | None) -> None:
        if xattr is not None:
            name, value = xattr
            if value is None:
                self._inodes[number].xattrs.pop(name, None)
            else:
                self._inodes[number].xattrs[name] = value

    def _write(self, place: int, call: Wrote, lost: Lost | None) -> None:
        content, end = self._inodes[call.inode].content, call.at + len(call.content)
        content.extend(bytes(max(0, end - len(content))))
        start = call.at
        while start < end:
            page = start // PAGE_BYTES
            stop = min(end, (page + 1) * PAGE_BYTES)
            if lost is None or not lost(place, page):
                content[start:stop] = call.content[start - call.at : stop - call.at]
            start = stop

    def walk(self) -> Iterator[tuple[str, int, Inode]]:
        """Every name with its path, after the directory that it lies in."""
        pending = [("", self._root)]
        while pending:
            above, number = pending.pop()
            for name, below in sorted(self._inodes[number].names.items()):
                if not name.endswith(_LEFT_OUT):
                    path = f"{above}/{os.fsdecode(name)}"
                    yield path, below, self._inodes[below]
                    pending.append((path, below))

    @property
    def fingerprint(self) -> bytes:
        """Equal disks have the same, whatever led to them."""
        whole = hashlib.blake2b(b"told" if self.told else b"")
        for path, number, inode in self.walk():
            key = inode.key if stat.S_ISREG(inode.mode) else inode.mode
            xattrs = sorted(inode.xattrs.items())
            whole.update(repr((path, number, key, inode.target, xattrs)).encode())
            whole.update(inode.content)
        return whole.digest()

    def put(self, base: str) -> dict[str, Inode]:
        """Make it stand in a directory, whatever stood there; returns its files by path."""
        remove(base)
        os.mkdir(base)
        names: dict[int, str] = {}
        files: dict[str, Inode] = {}
        for path, number, inode in self.walk():
            full = base + path
            if stat.S_ISREG(inode.mode):
                files[path[1:]] = inode
            if number in names:
                os.link(names[number], full, follow_symlinks=False)
                continue
            names[number] = full
            _make(full, inode)
        for full, inode in reversed([(base + path, inode) for path, _, inode in self.walk()]):
            if stat.S_ISDIR(inode.mode):
                os.chmod(full, stat.S_IMODE(inode.mode))
        return files


def _synced_at(calls: list[Call]) -> dict[int | None, int]:
    """The last sync of each inode, and of everything under ``None``."""
    return {call.inode: place for place, call in enumerate(calls) if isinstance(call, Synced)}


def _resize(inode: Inode) -> None:
    """Let the content be as long as its size says."""
    if stat.S_ISREG(inode.mode):
        size = inode.key[0]
        del inode.content[size:]
        inode.content.extend(bytes(size - len(inode.content)))


def _make(path: str, inode: Inode) -> None:
    match stat.S_IFMT(inode.mode):
        case stat.S_IFDIR:
            os.mkdir(path)
        case stat.S_IFLNK:
            os.symlink(inode.target, path)
            return
        case _:
            with open(path, "wb") as file:
                file.write(inode.content)
            os.chmod(path, stat.S_IMODE(inode.mode))
            os.utime(path, ns=(inode.key[1], inode.key[1]))
    for name, value in inode.xattrs.items():
        os.setxattr(path, name, value)
