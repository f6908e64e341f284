"""The record of a committed generation, as the journal keeps it (B20)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import msgpack

from sbs.core.epoch import Epoch
from sbs.core.folding import Folding
from sbs.core.history import Generation, History
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.rows import operation_from, operation_row
from sbs.replication.receiving.overlay import Overlay
from sbs.replication.receiving.trees import Root, Trees

_packb: Final = cast("Callable[..., bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType] - it has no types
_unpackb: Final = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType] - likewise

T = TypeVar("T")

NONSENSE: Final = (
    *(ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError),
    struct.error,
)
"""What is raised where bytes with the right checksum are no record all the same."""


@attrs.frozen(kw_only=True)
class CommitRecord:
    """A committed generation, as the journal keeps it.

    Args:
        history: the leader's, with the generation as its tip.
        active: the services that start on takeover (R32).
        folders: the settings of the folders (R24).
        places: where each of them lies here.
        foldings: what their file systems do to names.
        operations: what to do, in this order.
        contents_at: where in the journal the first content lies; they follow each other in the
            order of the operations that have no stream and are not built in staging.
        trees: new directories that are built in staging.
        unbuilt: numbers of the operations that belong into one of them, but cannot be carried out.
        overlays: what is laid over files in their places, by the numbers of streams.
        roots: what tells the root of each folder, see
            :meth:`~sbs.replication.files.places.Places.root`.
    """

    history: History
    active: tuple[str, ...]
    folders: tuple[FolderSpec, ...]
    places: tuple[str, ...]
    foldings: tuple[Folding, ...]
    operations: tuple[Operation, ...]
    contents_at: int
    trees: tuple[Root, ...] = ()
    unbuilt: tuple[int, ...] = ()
    overlays: Mapping[int, Overlay] = attrs.field(factory=dict[int, Overlay])
    roots: tuple[str, ...] = ()

    def overlay(self, operation: Operation) -> Overlay | None:
        """What is laid over the file that an operation puts, if it is changed in its place."""
        return None if operation.stream is None else self.overlays.get(operation.stream)

    @property
    def overlaid(self) -> Iterator[tuple[int, Operation, Overlay]]:
        """The operations that change a file in its place, with their numbers."""
        if self.overlays:  # rarely: else not even a million operations are looked at
            for number, operation in enumerate(self.operations):
                if (overlay := self.overlay(operation)) is not None:
                    yield number, operation, overlay

    @property
    def journaled(self) -> Iterator[Operation]:
        """Those whose contents lie in the journal, in their order."""
        trees = Trees(self.trees, self.unbuilt)
        for number, operation in enumerate(self.operations):
            built = trees.place(number, operation) is not None
            if operation.action is Action.PUT and operation.stream is None and not built:
                yield operation

    def contents(self) -> Iterator[tuple[Operation, int]]:
        """Likewise, each with the place of its content there."""
        position = self.contents_at
        for operation in self.journaled:
            yield operation, position
            position += operation.size_bytes


def pack(value: object) -> bytes:
    """A value as it is kept; names of files may be any bytes."""
    return _packb(value, use_bin_type=True, unicode_errors="surrogateescape")


def unpack(body: bytes) -> Any:
    """The value again, with a tuple for each array.

    Raises:
        ValueError: it is none.
    """
    return _unpackb(body, unicode_errors="surrogateescape", use_list=False)


def encode(record: CommitRecord) -> dict[str, object]:
    """A record as a value of msgpack."""
    return {
        "history": [
            (entry.epoch.counter, entry.epoch.slot, entry.number, entry.digest)
            for entry in record.history.entries
        ],
        "active": record.active,
        "folders": [attrs.asdict(spec) for spec in record.folders],
        "places": record.places,
        "foldings": [folding.value for folding in record.foldings],
        "contents_at": record.contents_at,
        "unbuilt": record.unbuilt,
        "overlays": [
            (stream, overlay.stat, overlay.digest, overlay.size_bytes, overlay.ranges)
            for stream, overlay in record.overlays.items()
        ],
        "trees": [attrs.astuple(root) for root in record.trees],
        "roots": record.roots,
        "operations": [operation_row(operation) for operation in record.operations],
    }


def decode(body: bytes) -> CommitRecord:
    """The record in ``body``; one of :data:`NONSENSE` where it makes no sense."""
    fields = unpack(body)
    (contents_at,) = _numbers((fields["contents_at"],))
    return CommitRecord(
        history=History(
            tuple(
                Generation(Epoch(counter, slot), number, digest)
                for counter, slot, number, digest in fields["history"]
            )
        ),
        active=texts(fields["active"]),
        folders=tuple(FolderSpec(**spec) for spec in fields["folders"]),
        places=texts(fields["places"]),
        foldings=tuple(Folding(value) for value in fields["foldings"]),
        contents_at=contents_at,
        overlays={
            stream: Overlay(
                stat=_numbers(stat),
                digest=digest,
                size_bytes=size_bytes,
                ranges=tuple((at, length) for at, length in map(_numbers, ranges)),
            )
            for stream, stat, digest, size_bytes, ranges in fields["overlays"]
        },
        unbuilt=_numbers(fields["unbuilt"]),
        trees=tuple(Root(*root) for root in fields["trees"]),
        roots=texts(fields["roots"]),
        operations=tuple(operation_from(_listed(row)) for row in fields["operations"]),
    )


def texts(values: object) -> tuple[str, ...]:
    """A decoded array of texts; TypeError if it is none."""
    return _each(values, str)


def _numbers(values: object) -> tuple[int, ...]:
    return _each(values, int)


def _each(values: object, cls: type[T]) -> tuple[T, ...]:
    """A decoded array, all of whose values are of one type."""
    if not isinstance(values, tuple) or {*map(type, cast("tuple[object, ...]", values))} - {cls}:
        raise TypeError(f"an array of {cls.__name__} is none")
    return cast("tuple[T, ...]", values)


def _listed(value: object) -> object:
    """A value as the wire has it: a list for each array, the attributes of a row among them."""
    if not isinstance(value, tuple):
        return value
    return [_listed(each) for each in cast("tuple[object, ...]", value)]
