"""Copying contents from file to file; where the one has holes, so has the other.

A hole is a part of a file that takes no room on the disk and reads as zeros.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

COPY_BYTES: Final = 1024 * 1024
"""Copied at once: then others have their turn, and a check can cancel."""

_NO_CALL: Final = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""Two file systems, or one that cannot do it by itself."""


def copy_content(source: int, target: int, size_bytes: int, check: Callable[[], object]) -> None:
    """Make a new file the beginning of another.

    Args:
        source: a descriptor of the other file.
        target: a descriptor of the new one, which is empty.
        size_bytes: that it is to have; what the other lacks reads as zeros.
        check: called for each MiB; may raise to cancel.

    Raises:
        OSError: it cannot be read or written.
    """
    copy_range(source, target, 0, size_bytes, check)
    os.ftruncate(target, size_bytes)


def copy_range(source: int, target: int, at: int, end: int, check: Callable[[], object]) -> None:
    """Write what a file holds in a range to the same place in another, but for its holes.

    Args:
        source: a descriptor of the file.
        target: a descriptor of the other, which has nothing there.
        at: where the range begins.
        end: where it ends, or beyond the file's end.
        check: called for each MiB; may raise to cancel.

    Raises:
        OSError: it cannot be read or written.
    """
    for begin, stop in _data(source, at, end):
        for start, length in pieces(begin, stop - begin):
            check()
            _copy(source, target, start, length)


def pieces(at: int, length: int) -> Iterator[tuple[int, int]]:
    """A range in parts that are read and written at once: where, and how many bytes."""
    for start in range(at, at + length, COPY_BYTES):
        yield start, min(COPY_BYTES, at + length - start)


def write_at(fd: int, content: bytes, at: int) -> None:
    """Write everything; a full disk may take only a part at once."""
    rest = memoryview(content)
    while rest:
        written = os.pwrite(fd, rest, at)
        rest, at = rest[written:], at + written


def is_hole(fd: int, at: int, length: int) -> bool:
    """Whether a part of a file is a hole, as far as its file system tells."""
    try:
        return os.lseek(fd, at, os.SEEK_DATA) >= at + length
    except OSError as error:
        return error.errno == errno.ENXIO  # to its end; others cannot tell


def _data(fd: int, at: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that are no holes: where each begins and ends."""
    while at < end:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
            stop = os.lseek(fd, at, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            stop = end  # a file system without the question
        if at < end:
            yield at, min(stop, end)
        at = stop


def _copy(source: int, target: int, at: int, length: int) -> None:
    end = at + length
    while at < end:
        try:
            copied = os.copy_file_range(source, target, end - at, at, at)
        except OSError as error:
            if error.errno not in _NO_CALL:
                raise
            copied = 0
        if not copied:  # nor does every file system tell that it cannot
            content = os.pread(source, end - at, at)
            write_at(target, content, at)
            copied = len(content)
        if not copied:
            return
        at += copied
