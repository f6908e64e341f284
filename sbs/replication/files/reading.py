"""Reading a file that others may write: never torn (B25).

``fstat`` on the same descriptor before and after the reading shows whether the file changed in
between. The kernel's time stamps move in ticks, so a reading begins only when the clock has
left the tick of the file's last change; a change during the reading then bears another stamp.
A write bears the stamp of its beginning: one that is still under way is waited for.
(Stores through a shared memory map are stamped late by every kernel; they escape this check.)
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from sbs.core.manifest import MAX_TIME_NS, MIN_TIME_NS
from sbs.core.messages import MAX_BODY_BYTES
from sbs.errors import ReplicationError
from sbs.replication.files.content import BLOCKS_ABOVE, ContentHash, digests_of, digests_of_zeros
from sbs.replication.files.copying import is_hole
from sbs.replication.files.index import stat_key
from sbs.replication.files.places import Places

READ_ATTEMPTS: Final = 3
"""How often a file that changes is read before it is left for the next generation."""

READERS: Final = 2
"""Threads that read and hash one large file: two find its blocks in little over half the time."""

AHEAD: Final = 4
"""Pieces that they are ahead: four megabytes."""

ALONE_BYTES: Final = 4 * MAX_BODY_BYTES
"""Size of a file that is read without them: to begin costs as much as to read a few pieces."""

LONGEST_TICK_NS: Final = 20_000_000
"""Twice the longest tick of a Linux kernel (100 Hz): no stamp further ahead is waited for."""

_CLOCK_REALTIME_COARSE: Final = 5  # linux/time.h: the clock that stamps files

_ZEROS: Final = bytes(MAX_BODY_BYTES)

_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def open_file(places: Places, folder: int, path: str) -> int:
    """A descriptor to read a regular file.

    Raises:
        OSError: it cannot be opened.
        ReplicationError: what stands there now is no regular file.
    """
    parent, name = places.parent(folder, path)
    fd = os.open(name, _FLAGS, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ReplicationError("is no longer a file")
    return fd


def settled_status(fd: int) -> os.stat_result:
    """The status of a file, once a change from now on must show in it.

    Raises:
        ReplicationError: its time stamp is out of the range that travels.
    """
    status = os.fstat(fd)
    if not MIN_TIME_NS <= status.st_mtime_ns <= MAX_TIME_NS:
        raise ReplicationError("bears a date before 1678 or after 2261")
    newest = max(status.st_ctime_ns, status.st_mtime_ns)
    while 0 <= newest - time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) < LONGEST_TICK_NS:
        time.sleep(0.0005)
    _wait_for_write(fd)
    return status


def _wait_for_write(fd: int) -> None:
    """Return when no write that has begun is under way.

    A write holds the inode's lock from its stamp to its end, and looking for a hole takes that
    lock, too: on ext4, btrfs and tmpfs. On XFS it is the reading itself that waits.
    """
    with contextlib.suppress(OSError):  # an empty file, or a file system without the question
        os.lseek(fd, 0, os.SEEK_HOLE)


def unchanged(fd: int, before: os.stat_result) -> bool:
    """Whether the file is what it was when ``before`` was taken."""
    return stat_key(os.fstat(fd)) == stat_key(before)


def read_pieces(fd: int, size_bytes: int, check: Callable[[], object]) -> Iterator[bytes]:
    """The content in pieces of up to :data:`~sbs.core.messages.MAX_BODY_BYTES`.

    Ends early where the file has become shorter.
    """
    position = 0
    while position < size_bytes:
        check()
        block = os.pread(fd, min(MAX_BODY_BYTES, size_bytes - position), position)
        if not block:
            return
        position += len(block)
        yield block


def read_blocks(
    fd: int, size_bytes: int, check: Callable[[], object]
) -> Generator[tuple[bytes, bytes]]:
    """The same, each piece with the digests of its blocks; to be closed before ``fd`` is.

    Threads read and hash a few pieces ahead: the digests take longer than all the rest.
    """
    if size_bytes <= ALONE_BYTES:
        for piece in read_pieces(fd, size_bytes, check):
            yield piece, digests_of(piece)
        return
    ahead: deque[Future[tuple[bytes, bytes]]] = deque()
    with ThreadPoolExecutor(READERS) as readers:
        for position in range(0, size_bytes, MAX_BODY_BYTES):
            check()
            if len(ahead) == AHEAD:
                yield ahead.popleft().result()
            length = min(MAX_BODY_BYTES, size_bytes - position)
            ahead.append(readers.submit(_read_block, fd, position, length))
        while ahead:
            check()
            yield ahead.popleft().result()


def _read_block(fd: int, position: int, length: int) -> tuple[bytes, bytes]:
    if is_hole(fd, position, length):
        return _ZEROS[:length], digests_of_zeros(length)
    piece = b"".join(_parts(fd, position, length))
    return piece, digests_of(piece)


def _parts(fd: int, position: int, length: int) -> Iterator[bytes]:
    """Usually one; none where the file has become shorter."""
    end = position + length
    while position < end and (part := os.pread(fd, end - position, position)):
        position += len(part)
        yield part


def digest_of(fd: int, size_bytes: int, check: Callable[[], object]) -> bytes:
    """Digest of the first ``size_bytes`` of a file, or of all where it is shorter."""
    return content_of(fd, size_bytes, check).digest()


def content_of(fd: int, size_bytes: int, check: Callable[[], object]) -> ContentHash:
    """The same, with the digests of its blocks."""
    content = ContentHash()
    if size_bytes <= BLOCKS_ABOVE:
        for piece in read_pieces(fd, size_bytes, check):
            content.update(piece)
        return content
    with contextlib.closing(read_blocks(fd, size_bytes, check)) as pieces:
        for piece, digests in pieces:
            content.extend(len(piece), digests)
    return content
