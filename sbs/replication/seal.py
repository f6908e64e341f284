"""The digest of a generation: both sides compute it, the commit proves that they agree (B20)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from blake3 import blake3

from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.manifest import Operation
from sbs.replication.files.attributes import packed

_OPERATION: Final = struct.Struct(">HBH?qQHHI")
_GENERATION: Final = struct.Struct(">QBQB")
_LENGTH: Final = struct.Struct(">I")


class Seal:
    """Covers operations as they pass, and at the end what they follow.

    The number of the stream that carried a content is not covered: it is not part of what the
    generation is.
    """

    def __init__(self) -> None:
        self._operations = blake3()
        self.count: int = 0

    def add(self, operations: Iterable[Operation]) -> None:
        """Cover operations, in the order in which they are sent."""
        parts: list[bytes] = []
        for operation in operations:
            path = operation.path.encode("utf-8", "surrogateescape")
            target = operation.target.encode("utf-8", "surrogateescape")
            stamp = operation.mtime_ns
            attributes = packed(operation.attributes)
            parts += (
                _OPERATION.pack(
                    operation.folder,
                    operation.action,
                    operation.mode,
                    stamp is not None,
                    stamp or 0,
                    operation.size_bytes,
                    len(path),
                    len(target),
                    len(attributes),
                ),
                path,
                target,
                operation.digest,
                attributes,
            )
            self.count += 1
        self._operations.update(b"".join(parts))

    def generation(self, epoch: Epoch, history: History, active: Sequence[str]) -> Generation:
        """The generation made of what was added.

        Args:
            epoch: of the leader.
            history: the leader's, before this generation.
            active: the services that start on takeover.
        """
        whole = blake3()
        for entry in _predecessors(history):
            whole.update(_generation_key(entry))
        number = history.number + 1
        whole.update(_generation_key(Generation(epoch, number)))
        whole.update(self._operations.digest())
        for name in active:
            raw = name.encode("utf-8", "surrogateescape")
            whole.update(_LENGTH.pack(len(raw)) + raw)
        return Generation(epoch, number, whole.digest())


def _predecessors(history: History) -> list[Generation]:
    """The tip; and where it is the start of a primacy, the last generation with a digest."""
    entries: list[Generation] = []
    for entry in reversed(history.entries):
        entries.append(entry)
        if entry.digest:
            break
    return entries


def _generation_key(entry: Generation) -> bytes:
    epoch = entry.epoch
    key = _GENERATION.pack(epoch.counter, epoch.slot, entry.number, len(entry.digest))
    return key + entry.digest
