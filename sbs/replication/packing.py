"""Operations and small contents gathered into packs of bounded size."""

from __future__ import annotations

from typing import Final

from sbs.core.manifest import Operation
from sbs.core.messages import MAX_BODY_BYTES, MAX_ITEMS, Pack

MAX_NAMES_BYTES: Final = 256 * 1024
"""Names in one message: with the items' other fields its head stays below the frame's limit."""

ITEM_BYTES: Final = 80
"""What an operation or entry takes on the wire beside its names, at most."""


def head_bytes(*names: str) -> int:
    """An upper bound of what an item with these names takes in a message's head."""
    # A character takes up to four bytes; nearly all names are ASCII.
    return ITEM_BYTES + sum(len(n) if n.isascii() else 4 * len(n) for n in names)


class Packer:
    """Fills packs one after the other."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._contents: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = 0

    def add(self, operation: Operation, content: bytes = b"") -> Pack | None:
        """Add an operation; returns the pack that was full before it, if it was."""
        head = head_bytes(operation.path, operation.target)
        full = None
        if (
            len(self._operations) == MAX_ITEMS
            or self._body_bytes + len(content) > MAX_BODY_BYTES
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
