"""What a file's content is called: its digest, and the digests of its blocks (B24).

The digest of a content is its BLAKE3; of one that is larger than :data:`BLOCKS_ABOVE` it is the
BLAKE3 of the BLAKE3 digests of its blocks, one after the other. So whoever knows the blocks of a
large file knows its digest after a change without reading the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from blake3 import blake3

BLOCK_BYTES: Final = 128 * 1024
"""What a changed byte costs on the wire; a list of blocks takes a 4096th of the file."""

BLOCKS_ABOVE: Final = 256 * 1024
"""Bytes above which a file is streamed, and known by its blocks: smaller ones are cheaper packed
together."""

MAX_LISTED_BYTES: Final = 64 * 1024**3
"""Of the largest file whose blocks are remembered: a list of 16 MiB. A larger one goes whole."""

DIGEST_BYTES: Final = 32

_ZERO_BLOCK: Final = blake3(bytes(BLOCK_BYTES)).digest()


class ContentHash:
    """The digest of a content that comes in pieces of any size."""

    def __init__(self) -> None:
        self._plain = blake3()
        self._whole = blake3()
        self._block = blake3()
        self._in_block = 0
        self._blocks = bytearray()
        self.size_bytes: int = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Add a piece."""
        if self.size_bytes <= BLOCKS_ABOVE:
            self._plain.update(piece)
        self.size_bytes += len(piece)
        rest = memoryview(piece)
        while rest:
            part = rest[: BLOCK_BYTES - self._in_block]
            rest = rest[len(part) :]
            self._block.update(part)
            self._in_block += len(part)
            if self._in_block == BLOCK_BYTES:
                self._end_block()

    def extend(self, size_bytes: int, digests: bytes) -> None:
        """Add a piece of a large content by the digests of its blocks.

        Args:
            size_bytes: of the piece: whole blocks, or the end; so were all before it.
            digests: of its blocks.
        """
        self.size_bytes += size_bytes
        self._whole.update(digests)
        if self.size_bytes <= MAX_LISTED_BYTES:
            self._blocks += digests

    def digest(self) -> bytes:
        """The digest; no piece may follow."""
        if self.size_bytes <= BLOCKS_ABOVE:
            return self._plain.digest()
        if self._in_block:
            self._end_block()
        return self._whole.digest()

    @property
    def blocks(self) -> bytes:
        """After :meth:`digest`: the blocks' digests; empty where they are not remembered."""
        listed = BLOCKS_ABOVE < self.size_bytes <= MAX_LISTED_BYTES
        return bytes(self._blocks) if listed else b""

    def _end_block(self) -> None:
        digest = self._block.digest()
        self._whole.update(digest)
        if self.size_bytes <= MAX_LISTED_BYTES:
            self._blocks += digest
        self._block = blake3()
        self._in_block = 0


def digest_of_content(content: bytes | memoryview) -> bytes:
    """The digest of a small content; a larger one is given to a :class:`ContentHash`."""
    if len(content) <= BLOCKS_ABOVE:
        return blake3(content).digest()
    whole = ContentHash()
    whole.update(content)
    return whole.digest()


def digest_of_blocks(blocks: bytes | bytearray) -> bytes:
    """The digest of the large content that consists of these blocks."""
    return blake3(blocks).digest()


def digests_of(piece: bytes | memoryview) -> bytes:
    """The digests of the blocks of a piece that begins with a block."""
    view = memoryview(piece)
    starts = range(0, len(view), BLOCK_BYTES)
    return b"".join(blake3(view[at : at + BLOCK_BYTES]).digest() for at in starts)


def digests_of_zeros(size_bytes: int) -> bytes:
    """The digests of the blocks of as many zeros."""
    whole, rest = divmod(size_bytes, BLOCK_BYTES)
    return _ZERO_BLOCK * whole + (blake3(bytes(rest)).digest() if rest else b"")


def blocks_in(size_bytes: int) -> int:
    """How many blocks a content has."""
    return -(-size_bytes // BLOCK_BYTES)


class Comparison:
    """Compares a file, piece by piece, with the blocks of the follower's.

    Args:
        known: the digests of those.
    """

    def __init__(self, known: bytes) -> None:
        self._known = known
        self._blocks = bytearray()

    @property
    def blocks(self) -> bytes:
        """The digests of the blocks that were compared."""
        return bytes(self._blocks)

    @property
    def digest(self) -> bytes:
        """Of all of them."""
        return digest_of_blocks(self._blocks)

    def differing(self, piece: bytes, digests: bytes) -> Iterator[tuple[int, memoryview]]:
        """The runs of blocks of the next piece that the follower's file does not have there.

        Args:
            piece: whole blocks, or the end of the file.
            digests: of its blocks.

        Returns:
            where each run begins, from the start of the piece, and its bytes.
        """
        view = memoryview(piece)
        start: int | None = None
        position = len(self._blocks)
        self._blocks += digests
        for number, at in enumerate(range(0, len(piece), BLOCK_BYTES)):
            begin = number * DIGEST_BYTES
            digest = digests[begin : begin + DIGEST_BYTES]
            known = self._known[position + begin : position + begin + DIGEST_BYTES]
            equal = known == digest
            if equal and start is not None:
                yield start, view[start:at]
                start = None
            elif not equal and start is None:
                start = at
        if start is not None:
            yield start, view[start:]


class PatchedBlocks:
    """The blocks of a file that begins as a copy of another, and is then written in places.

    Args:
        known: the digests of the other's blocks.
        size_bytes: of the file.
    """

    def __init__(self, known: bytes, size_bytes: int) -> None:
        length = blocks_in(size_bytes) * DIGEST_BYTES
        self._blocks = bytearray(known[:length].ljust(length, b"\0"))
        self.size_bytes: int = size_bytes

    def update(self, at: int, piece: bytes | memoryview) -> None:
        """A piece was written.

        Args:
            at: where, in bytes.
            piece: whole blocks, or the end of the file.

        Raises:
            ValueError: it is neither.
        """
        end = at + len(piece)
        whole = at % BLOCK_BYTES == 0 and (end % BLOCK_BYTES == 0 or end == self.size_bytes)
        if not whole or not 0 <= at < end <= self.size_bytes:
            raise ValueError(f"{len(piece)} bytes at {at} are no blocks of {self.size_bytes}")
        digests = digests_of(piece)
        position = at // BLOCK_BYTES * DIGEST_BYTES
        self._blocks[position : position + len(digests)] = digests

    def digest(self) -> bytes:
        """The digest of the whole file."""
        return digest_of_blocks(self._blocks)

    @property
    def blocks(self) -> bytes:
        """The digests of its blocks."""
        return bytes(self._blocks)
