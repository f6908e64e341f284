"""The journal: a generation's small contents, and once it is committed its record (B20).

One file. Layout, all integers big endian::

    magic and version (8 bytes)
    u32 length and BLAKE3 of the places, places (msgpack)      written first
    contents of the packs, in their order                      appended as they come
    record (msgpack)                                           appended by commit
    u64 offset, u64 length, BLAKE3 of the record, magic        appended by commit

It is ``staged`` until it is complete and durable, then renamed to ``commit``: the rename is the
instant at which the generation exists. A crash before it leaves a ``staged`` file to throw away.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Sequence
from typing import Final

import attrs
from blake3 import blake3

from sbs.core.printable import quoted
from sbs.errors import StateError
from sbs.replication.receiving.record import (
    NONSENSE,
    CommitRecord,
    decode,
    encode,
    pack,
    texts,
    unpack,
)

MAGIC: Final = b"SBSJRNL\x02"
"""What the file begins and ends with; the last byte is the version."""

_LENGTH: Final = struct.Struct(">I")
_TRAILER: Final = struct.Struct(">QQ32s8s")
_DIGEST_BYTES: Final = 32
_HEAD_BYTES: Final = len(MAGIC) + _LENGTH.size + _DIGEST_BYTES

MAX_PLACES_BYTES: Final = 4 * 1024 * 1024
"""Places of the most folders, each with the longest path, take no more."""


class DamagedError(StateError):
    """The journal is not what was written; it was set aside."""

    remedy = "Start the other node: it sends what is missing."


class Journal:
    """The journal of one node; at most one generation is in it.

    Args:
        state_dir: an existing directory of the node; ``journal/`` is made in it.

    Raises:
        StateError: the directory cannot be made.
    """

    def __init__(self, state_dir: str) -> None:
        self.directory: str = os.path.join(state_dir, "journal")
        """Where it lies."""
        self._staged = os.path.join(self.directory, "staged")
        self._commit = os.path.join(self.directory, "commit")
        self._fd = -1
        self._refused = False
        self._contents_at = 0
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.directory, 0o700)
            sync_directory(state_dir)
        except OSError as error:
            raise StateError(
                f"{self.directory!r}: {error.strerror}; SBS needs to read and write there"
            ) from error

    @property
    def committed(self) -> bool:
        """Whether a generation is committed and not yet applied."""
        return os.path.lexists(self._commit)

    def create(self, places: Sequence[str]) -> None:
        """Begin to stage a generation; what was staged before is thrown away.

        Raises:
            OSError: it cannot be written.
        """
        self.discard()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(self._staged, flags, 0o600)
        body = pack(list(places))
        self.append(MAGIC + _LENGTH.pack(len(body)) + blake3(body).digest() + body)
        self._contents_at = _HEAD_BYTES + len(body)

    def append(self, content: bytes | memoryview) -> None:
        """Add content to what is staged.

        Raises:
            OSError: it cannot be written.
        """
        write_all(self._fd, content)

    def commit(self, record: CommitRecord) -> CommitRecord:
        """Make what is staged a committed generation, durably; returns the completed record.

        Raises:
            OSError: it cannot be written; the generation is not committed.
        """
        record = attrs.evolve(record, contents_at=self._contents_at)
        body = pack(encode(record))
        end = os.lseek(self._fd, 0, os.SEEK_END)
        self.append(body)
        self.append(_TRAILER.pack(end, len(body), blake3(body).digest(), MAGIC))
        os.fsync(self._fd)
        os.rename(self._staged, self._commit)
        try:
            sync_directory(self.directory)
        except OSError:
            self._refused = True
            self._take_back()
            raise
        return record

    def _take_back(self) -> None:
        """A commit that may not be durable is none, as soon as its name can be taken from it."""
        if self._refused:
            os.rename(self._commit, self._staged)
            self._refused = False

    def load(self, check: Callable[[], object]) -> CommitRecord | None:
        """The record of a generation that is committed and not yet applied, verified as a whole.

        Args:
            check: called for each content; may raise to cancel.

        Raises:
            DamagedError: it is damaged; it was set aside as ``damaged-<n>``.
            OSError: it cannot be read.
        """
        self.close()
        try:
            self._fd = os.open(self._commit, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            record = decode(self._record_bytes())
            self._verify_contents(record, check)
        except NONSENSE as error:
            aside = self._set_aside()
            raise DamagedError(
                f"the journal of the last generation is damaged ({quoted(str(error))})"
                f" and was set aside as {aside!r}: the folders may hold only a part of that"
                " generation"
            ) from error
        return record

    def read(self, position: int, size_bytes: int) -> bytes:
        """Content of the journal.

        Raises:
            OSError: it cannot be read.
        """
        return os.pread(self._fd, size_bytes, position)

    def remove(self) -> None:
        """The generation is applied: forget it, durably.

        Raises:
            OSError: it cannot be removed; it can still be read, and applied again.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._commit)
        sync_directory(self.directory)
        self.close()

    def staged_places(self) -> tuple[str, ...]:
        """Where a generation that was staged may have left temporary files."""
        try:
            with open(self._staged, "rb") as file:
                head = file.read(_HEAD_BYTES)
                body = file.read(MAX_PLACES_BYTES)
        except FileNotFoundError:
            return ()
        if len(head) < _HEAD_BYTES or not head.startswith(MAGIC):
            return ()  # the crash came before anything else was written
        (length,) = _LENGTH.unpack_from(head, len(MAGIC))
        if blake3(body[:length]).digest() != head[-_DIGEST_BYTES:]:
            return ()
        try:
            places = texts(unpack(body[:length]))
        except NONSENSE:
            return ()
        return tuple(each for each in places if os.path.isabs(each) and "\0" not in each)

    def discard(self) -> None:
        """Throw away what is staged.

        Raises:
            OSError: it cannot be removed.
        """
        self.close()
        self._take_back()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._staged)

    def close(self) -> None:
        """Close the file; what it holds stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _record_bytes(self) -> bytes:
        end = os.fstat(self._fd).st_size - _TRAILER.size
        if end < _HEAD_BYTES:
            raise ValueError("too short")
        offset, length, digest, magic = _TRAILER.unpack(os.pread(self._fd, _TRAILER.size, end))
        if magic != MAGIC:
            raise ValueError("its end is not that of a journal of this version")
        body = os.pread(self._fd, length, offset) if offset + length == end else b""
        if blake3(body).digest() != digest:
            raise ValueError("wrong checksum")
        return body

    def _verify_contents(self, record: CommitRecord, check: Callable[[], object]) -> None:
        """Raise ValueError unless all are what their operations say; nothing is applied yet."""
        whole_bytes = os.fstat(self._fd).st_size
        for operation, position in record.contents():
            check()
            if operation.size_bytes > whole_bytes:  # nor is room made for it
                raise ValueError(f"no content for {operation.path!r}")
            content = self.read(position, operation.size_bytes)
            if blake3(content).digest() != operation.digest:
                raise ValueError(f"the content for {operation.path!r}")

    def _set_aside(self) -> str:
        self.close()
        number = 1
        while os.path.lexists(aside := os.path.join(self.directory, f"damaged-{number}")):
            number += 1
        os.rename(self._commit, aside)
        sync_directory(self.directory)
        return aside


def write_all(fd: int, content: bytes | memoryview) -> None:
    """Write everything; a full disk may take only a part at once."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
