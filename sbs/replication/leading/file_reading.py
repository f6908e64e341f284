"""One large or small file on its way to the follower, read as often as it takes (B24, B25)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator

from sbs.core.attributes import Attributes
from sbs.core.manifest import Entry
from sbs.core.messages import Chunk, Fragment, Patch
from sbs.replication.files.attributes import AttributeReader
from sbs.replication.files.content import (
    BLOCK_BYTES,
    BLOCKS_ABOVE,
    DIGEST_BYTES,
    Comparison,
    ContentHash,
    digest_of_content,
    digests_of_zeros,
)
from sbs.replication.files.index import Row, stat_key
from sbs.replication.files.reading import content_of, read_blocks, settled_status, unchanged


class FileReading:
    """One file being read, as often as it takes.

    Args:
        fd: to read it; closed by :meth:`close`.
        folder: in which it lies, from 0.
        check: called for each MiB; may raise to cancel.
        reader: of the attributes that the folder's settings name; ``None``: of none.

    Attributes:
        status: of the file, when the last attempt began.
        attributes: likewise.
        complete: the last attempt read what stood there at one moment.
        digest: of what it read.
        content: of a small file.
        blocks: the digests of a large file's blocks.
        number: of the stream that carries it; ``None``: none does.
        row: for the index.
    """

    def __init__(
        self,
        fd: int,
        folder: int,
        check: Callable[[], object],
        reader: AttributeReader | None,
    ) -> None:
        self._fd = fd
        self._reader = reader
        self.folder: int = folder
        self._check = check
        self.complete: bool = False
        self.content: bytes = b""
        self.blocks: bytes = b""
        self.number: int | None = None

    def begin(self) -> int:
        """Begin an attempt; returns the size in bytes."""
        self.content = b""
        self.number = None
        self.status: os.stat_result = settled_status(self._fd)
        self._began_at_ns = time.time_ns()
        reader = self._reader
        self.attributes: Attributes | None = (
            None if reader is None else reader.opened(self._fd, self.status)
        )
        return self.status.st_size

    def whole(self) -> None:
        """Read a small file."""
        self.content = os.pread(self._fd, self.status.st_size, 0)
        self._finish(digest_of_content(self.content))

    def hashes_to(self, standing: Entry) -> bool:
        """Whether a large file is equal to the follower's."""
        content = content_of(self._fd, self.status.st_size, self._check)
        equal = content.digest() == standing.digest
        if equal:
            self._finish(content.digest(), content.blocks)
        return equal

    def stream(self, number: int) -> Iterator[Chunk]:
        """Read and send a file that is too large for a list of its blocks."""
        content = ContentHash()
        with self._pieces() as pieces:
            for piece, digests in pieces:
                content.extend(len(piece), digests)
                yield Chunk(number, piece, folder=self.folder)
        self.number = number
        self._finish(content.digest(), content.blocks)

    def anew(self, number: int, path: str, fragment: Fragment | None) -> Iterator[Chunk | Patch]:
        """Read and send a large file of which the follower has a fragment at most (B24).

        Blocks of zeros are not sent. What was sent counts only if the attempt is complete.

        Args:
            number: of the stream.
            path: of the file.
            fragment: that the follower says it has.
        """
        size = self.status.st_size
        base, known = b"", b""
        if fragment is not None and (known := self._beginning(fragment)):
            base = fragment.digest
        yield from self._begin_patch(number, path, base)
        known += digests_of_zeros(size - len(known) // DIGEST_BYTES * BLOCK_BYTES)
        yield from self.patch(number, path, base, known)

    def _beginning(self, fragment: Fragment) -> bytes:
        """The digests of the fragment's blocks, if the file begins with it; else nothing."""
        size = fragment.size_bytes
        if size % BLOCK_BYTES or not BLOCKS_ABOVE < size <= self.status.st_size:
            return b""
        content = content_of(self._fd, size, self._check)
        return content.blocks if content.digest() == fragment.digest else b""

    def patch(self, number: int, path: str, base: bytes, known: bytes) -> Iterator[Chunk | Patch]:
        """Read a large file, and send what differs from the follower's (B24).

        Args:
            number: of the stream, if one is needed.
            path: of the file.
            base: digest of the follower's.
            known: the digests of its blocks.
        """
        comparison, position = Comparison(known), 0
        with self._pieces() as pieces:
            for piece, digests in pieces:
                for start, run in comparison.differing(piece, digests):
                    yield from self._begin_patch(number, path, base)
                    body = piece if len(run) == len(piece) else bytes(run)
                    yield Chunk(number, body, folder=self.folder, at=position + start)
                position += len(piece)
        digest = comparison.digest
        if digest != base:  # it may only have become shorter
            yield from self._begin_patch(number, path, base)
        self._finish(digest, comparison.blocks)

    def _begin_patch(self, number: int, path: str, base: bytes) -> Iterator[Patch]:
        if self.number is None:
            self.number = number
            yield Patch(
                stream=number,
                folder=self.folder,
                path=path,
                digest=base,
                size_bytes=self.status.st_size,
            )

    def _pieces(self) -> contextlib.closing[Generator[tuple[bytes, bytes]]]:
        return contextlib.closing(read_blocks(self._fd, self.status.st_size, self._check))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def _finish(self, digest: bytes, blocks: bytes = b"") -> None:
        self.complete = unchanged(self._fd, self.status)
        self.digest: bytes = digest
        self.blocks = blocks
        self.row: Row = Row(stat_key(self.status), digest, self._began_at_ns)
