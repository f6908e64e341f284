"""The blocks that an update replaced in a large file, kept as its former version (B21).

Layout, all integers big endian::

    magic and version (8 bytes)
    u64 size, i64 mtime_ns, u32 mode, u32 user, u32 group of the file as it was, BLAKE3 of it
    u32 count of ranges, then for each: u64 where, u64 how many bytes
    their bytes, in this order
    BLAKE3 of all before

The former file is the one that the update made, with these bytes and this size. So it can be had
for as long as that one can: as it stands, or as a later version of it.
"""

from __future__ import annotations

import itertools
import os
import stat
import struct
from collections.abc import Callable
from typing import Final

import attrs
from blake3 import blake3

from sbs.core.manifest import MAX_FILE_BYTES, MAX_MODE
from sbs.replication.files.copying import pieces, write_at
from sbs.replication.receiving.journal import write_all
from sbs.replication.receiving.overlay import MAX_RANGES, Overlay

SUFFIX: Final = ".blocks"
"""Of the name of such a version."""

_MAGIC: Final = b"SBSUNDO\x01"
_HEAD: Final = struct.Struct(">8sQqIII32sI")
_RANGE: Final = struct.Struct(">QQ")
_DIGEST_BYTES: Final = 32


@attrs.frozen(kw_only=True)
class Undo:
    """What such a version says of the former file.

    Args:
        size_bytes: of it.
        mtime_ns: of it.
        mode: of it.
        owner: user and group of it.
        digest: of its content.
        ranges: that are kept: where, and how many bytes.
    """

    size_bytes: int
    mtime_ns: int
    mode: int
    owner: tuple[int, int]
    digest: bytes = attrs.field(repr=False)
    ranges: tuple[tuple[int, int], ...]

    @property
    def contents_at(self) -> int:
        """Where the bytes of the ranges begin."""
        return _HEAD.size + _RANGE.size * len(self.ranges)

    @property
    def whole_bytes(self) -> int:
        """Size of the version."""
        return self.contents_at + sum(length for _, length in self.ranges) + _DIGEST_BYTES


def write(target: int, source: int, overlay: Overlay, check: Callable[[], object]) -> None:
    """Keep what an overlay is about to replace.

    Args:
        target: a descriptor of a new file.
        source: of the file, as it still is.
        overlay: what is to be laid over it.
        check: called for each MiB; may raise to cancel.

    Raises:
        OSError: it cannot be read or written.
    """
    status = os.fstat(source)
    ranges = tuple(overlay.replaced)
    head = _HEAD.pack(
        _MAGIC,
        status.st_size,
        status.st_mtime_ns,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        overlay.digest,
        len(ranges),
    )
    whole = blake3()
    piece = head + b"".join(_RANGE.pack(*each) for each in ranges)
    whole.update(piece)
    write_all(target, piece)
    for start, length in itertools.chain.from_iterable(pieces(*each) for each in ranges):
        check()
        # Where somebody has cut the file meanwhile, its digest will tell.
        piece = os.pread(source, length, start).ljust(length, b"\0")
        whole.update(piece)
        write_all(target, piece)
    write_all(target, whole.digest())


def read(fd: int) -> Undo | None:
    """What a version says; ``None``: it is none, or not whole.

    Raises:
        OSError: it cannot be read.
    """
    found_bytes = os.fstat(fd).st_size
    head = os.pread(fd, _HEAD.size, 0)
    if len(head) < _HEAD.size:
        return None
    magic, size_bytes, mtime_ns, mode, user, group, digest, count = _HEAD.unpack(head)
    if magic != _MAGIC or count > min(MAX_RANGES + 1, found_bytes // _RANGE.size):
        return None
    raw = os.pread(fd, _RANGE.size * count, _HEAD.size)
    if len(raw) < _RANGE.size * count:
        return None
    undo = Undo(
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        mode=mode,
        owner=(user, group),
        digest=digest,
        ranges=tuple((at, length) for at, length in _RANGE.iter_unpack(raw)),
    )
    # What no update can have replaced is damage, and not written anywhere.
    sane = (
        size_bytes <= MAX_FILE_BYTES
        and mode <= MAX_MODE
        and all(at + length <= MAX_FILE_BYTES for at, length in undo.ranges)
    )
    return undo if sane and undo.whole_bytes == found_bytes else None


def is_sound(fd: int, check: Callable[[], object]) -> bool:
    """Whether a version is what was written: after a power cut it may not be.

    Raises:
        OSError: it cannot be read.
    """
    undo = read(fd)
    if undo is None:
        return False
    whole, end = blake3(), undo.whole_bytes - _DIGEST_BYTES
    for start, length in pieces(0, end):
        check()
        whole.update(os.pread(fd, length, start))
    return os.pread(fd, _DIGEST_BYTES, end) == whole.digest()


def revert(fd: int, undo: Undo, target: int) -> None:
    """Make a copy of the file that the update made what the file was before.

    Args:
        fd: of the version.
        undo: what it says.
        target: of the copy.

    Raises:
        OSError: it cannot be read or written.
    """
    position = undo.contents_at
    for start, length in itertools.chain.from_iterable(pieces(*each) for each in undo.ranges):
        write_at(target, os.pread(fd, length, position), start)
        position += length
    os.ftruncate(target, undo.size_bytes)
