"""A large file that is changed in its place: what differs, until it is laid over it (B24).

Where the file system shares blocks between files, the follower's new file begins as a copy that
costs nothing. Elsewhere a copy of a large file costs more than all the rest. So the stream's
temporary file holds only what differs, and has holes; once its generation is committed, that is
written into the file itself. It can be written again after a crash, with the same outcome.

Nobody else may use the file meanwhile: the kernel's lease on it says so. Where it cannot be had,
or the file has another name, the holes are filled instead, and the file is replaced as any other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Generator, Iterator
from typing import Final

import attrs

from sbs.core.history import DIGEST_BYTES
from sbs.core.manifest import MAX_FILE_BYTES
from sbs.replication.files.content import ContentHash
from sbs.replication.files.copying import copy_range, pieces, write_at
from sbs.replication.files.index import Stat, stat_key

IN_PLACE_ABOVE: Final = 16 * 1024 * 1024
"""Bytes above which a file may be changed in its place: a smaller one is copied in some 5 ms."""

MAX_SHARE: Final = 4
"""One part in so many of a file that differs: with more of it there is little to save."""

MAX_RANGES: Final = 65_536
"""Of what differs: their list takes a megabyte of the commit record at most."""

_NOT_WRITTEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ETXTBSY})
"""A file that may be read alone: another account's, or a program that runs."""

_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@attrs.frozen(kw_only=True)
class Overlay:
    """What is laid over a file.

    Args:
        stat: of the file, before.
        digest: of its content, before.
        size_bytes: of it, after.
        ranges: what differs, in the file's order: where, and how many bytes.
    """

    stat: Stat
    digest: bytes = attrs.field(repr=False)
    size_bytes: int
    ranges: tuple[tuple[int, int], ...] = ()

    def __attrs_post_init__(self) -> None:
        if len(self.digest) != DIGEST_BYTES or not 0 <= self.size_bytes <= MAX_FILE_BYTES:
            raise ValueError("an overlay of a file that cannot be")
        end = 0
        for at, length in self.ranges:
            if at < end or length <= 0 or at + length > MAX_FILE_BYTES:
                raise ValueError(f"an overlay of {length} bytes at {at}, after one to {end}")
            end = at + length

    @property
    def former_bytes(self) -> int:
        """Size of the file, before."""
        return self.stat[0]

    @property
    def replaced(self) -> Iterator[tuple[int, int]]:
        """Ranges of the file, before, that are no longer what they were."""
        for at, length in self.ranges:
            if at < self.former_bytes:
                yield at, min(length, self.former_bytes - at)
        end = max((at + length for at, length in self.ranges), default=0)
        cut = max(self.size_bytes, end)
        if cut < self.former_bytes:
            yield cut, self.former_bytes - cut

    def suits(self, status: os.stat_result) -> bool:
        """Whether the file is still the one, and few enough of its bytes differ.

        And no room is needed for them once they are committed: it neither grows nor has holes.
        """
        total = sum(length for _, length in self.ranges)
        return (
            stat_key(status) == self.stat
            and status.st_nlink == 1
            and self.size_bytes <= self.former_bytes <= 512 * status.st_blocks
            and len(self.ranges) <= MAX_RANGES
            and total * MAX_SHARE <= self.size_bytes
        )


class Ranges:
    """What has been written of a stream, put together."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        self._limit = 2 * MAX_RANGES

    def add(self, at: int, length: int) -> None:
        """A piece was written."""
        if self._ranges[-1:] == [(at, length)]:
            return
        if self._ranges and sum(self._ranges[-1]) == at:
            at, length = self._ranges[-1][0], self._ranges.pop()[1] + length
        self._ranges.append((at, length))
        if len(self._ranges) > self._limit:  # the same may be written again and again
            self._ranges = list(self.merged)
            self._limit = 2 * max(MAX_RANGES, len(self._ranges))

    @property
    def end(self) -> int:
        """Up to where anything was written."""
        return max((at + length for at, length in self._ranges), default=0)

    @property
    def merged(self) -> tuple[tuple[int, int], ...]:
        """All of them, in the file's order, none touching the next."""
        merged = Ranges()
        end = -1
        for at, length in sorted(self._ranges):
            begin = max(at, end)
            if begin < at + length:
                merged.add(begin, at + length - begin)
                end = at + length
        return tuple(merged._ranges)


@contextlib.contextmanager
def opened(parent: int, name: str) -> Generator[int]:
    """A descriptor of a regular file, to be written if that is permitted.

    Args:
        parent: its directory.
        name: of it there.

    Raises:
        OSError: it cannot be opened.
    """
    try:
        fd = os.open(name, _FLAGS | os.O_RDWR, dir_fd=parent)
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            raise
        fd = os.open(name, _FLAGS | os.O_RDONLY, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileExistsError(errno.EEXIST, "it is no file")
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def alone(fd: int) -> Generator[bool]:
    """Whether a file can be written, and nobody else has it open, or can open it in the block.

    Args:
        fd: the only descriptor of this process.
    """
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
        yield False
        return
    try:
        # The default is SIGIO, which ends a process; this one is ignored.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:  # it is open elsewhere, somebody else's, or on a file system without leases
        yield False
        return
    try:
        yield True
    finally:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def lay(source: int, target: int, overlay: Overlay, check: Callable[[], object]) -> None:
    """Write what differs into the file.

    Args:
        source: a descriptor of the stream's file.
        target: of the file.
        overlay: what to write.
        check: called for each MiB; may raise to cancel.

    Raises:
        OSError: it cannot be written.
    """
    for at, length in overlay.ranges:
        for start, part in pieces(at, length):
            check()
            write_at(target, os.pread(source, part, start), start)
    os.ftruncate(target, overlay.size_bytes)


def digest_of_both(
    source: int, target: int, overlay: Overlay, check: Callable[[], object]
) -> bytes:
    """The digest of what the file becomes, or has become, in part or as a whole.

    Args:
        source: a descriptor of the stream's file.
        target: of the file.
        overlay: what is laid over it.
        check: called for each MiB; may raise to cancel.

    Raises:
        OSError: it cannot be read.
    """
    content = ContentHash()
    position = 0
    for at, length in (*overlay.ranges, (overlay.size_bytes, 0)):
        for fd, begin, end in ((target, position, at), (source, at, at + length)):
            for start, part in pieces(begin, end - begin):
                check()
                content.update(os.pread(fd, part, start))
        position = at + length
    return content.digest()


def fill(source: int, target: int, overlay: Overlay, check: Callable[[], object]) -> None:
    """Write what does not differ into the holes of the stream's file.

    Args:
        source: a descriptor of the file.
        target: of the stream's.
        overlay: where no hole is.
        check: called for each MiB; may raise to cancel.

    Raises:
        OSError: it cannot be written.
    """
    end = min(overlay.former_bytes, overlay.size_bytes)
    position = 0
    for at, length in (*overlay.ranges, (end, 0)):
        copy_range(source, target, position, min(at, end), check)
        position = at + length
