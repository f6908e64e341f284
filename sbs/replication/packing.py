"""Operations and small contents gathered into packs of bounded size, and cut again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from sbs.core.manifest import Action, Operation
from sbs.core.messages import MAX_BODY_BYTES, MAX_ITEMS, Chunk, Content, Pack

MAX_NAMES_BYTES: Final = 256 * 1024
"""Names in one message: with the items' other fields its head stays below the frame's limit."""

ITEM_BYTES: Final = 96
"""What an operation or entry takes on the wire beside names and attributes, at most."""


def head_bytes(path: str, target: str) -> int:
    """An upper bound of what an item with this path and target takes in a message's head."""
    characters = len(path) + len(target)
    # A character takes up to four bytes; nearly all names are ASCII.
    return ITEM_BYTES + (characters if path.isascii() and target.isascii() else 4 * characters)


class Packer:
    """Fills packs one after the other.

    Args:
        max_bytes: of the contents in one, if it has more than one.
    """

    def __init__(self, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._operations: list[Operation] = []
        self._contents: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0

    def add(self, operation: Operation, content: bytes = b"") -> Pack | None:
        """Add an operation; returns the pack that was full before it, if it was."""
        head = head_bytes(operation.path, operation.target)
        if operation.attributes is not None:
            head += operation.attributes.head_bytes
        full = None
        if (
            len(self._operations) == MAX_ITEMS
            or self._body_bytes + len(content) > self._max_bytes
            or self._head_bytes + head > MAX_NAMES_BYTES
        ):
            full = self.flush()
        self._operations.append(operation)
        self._head_bytes += head
        if content:
            self._contents.append(content)
            self._body_bytes += len(content)
        return full

    def flush(self) -> Pack | None:
        """What is left, or ``None``."""
        if not self._operations:
            return None
        pack = Pack(tuple(self._operations), b"".join(self._contents))
        self._operations, self._contents = [], []
        self._body_bytes = self._head_bytes = 0
        return pack


def cut(message: Content, max_bytes: int) -> Iterator[Content]:
    """What a message carries in smaller ones; they mean the same.

    Args:
        message: not compressed yet.
        max_bytes: of the body of each, a multiple of the size of a block; a single small file may
            be larger.
    """
    match message:
        case Chunk(body=body) if len(body) > max_bytes:
            for start in range(0, len(body), max_bytes):
                at = message.at if message.at < 0 else message.at + start
                yield attrs.evolve(message, body=body[start : start + max_bytes], at=at)
        case Pack(body=body) if len(body) > max_bytes:
            packer, position = Packer(max_bytes), 0
            for operation in message.operations:
                carried = operation.action is Action.PUT and operation.stream is None
                end = position + (operation.size_bytes if carried else 0)
                full = packer.add(operation, body[position:end])
                position = end
                if full is not None:
                    yield full
            rest = packer.flush()
            if rest is not None:
                yield rest
        case _:
            yield message
