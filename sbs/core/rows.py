"""Values that travel as arrays of their fields: epochs, generations, entries, operations.

There may be thousands of them in a message, so one look-up decides whether all the types of a
row are right; only a wrong row is looked at field by field, for the error's text.
"""

from __future__ import annotations

import itertools
from typing import Any, Final, TypeGuard

from sbs.core.epoch import Epoch
from sbs.core.history import Generation
from sbs.core.manifest import Action, Entry, Kind, Operation


def type_name(value: object) -> str:
    """What an error calls the type of a decoded value."""
    return type(value).__name__


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a decoded value is exactly a list."""
    return type(value) is list


def is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether a decoded value is exactly a dictionary."""
    return type(value) is dict


class Row:
    """The array form of a class: the names of its fields in order, each with its types."""

    def __init__(self, **fields: tuple[type, ...]) -> None:
        self.fields = fields
        self.legal = frozenset(itertools.product(*fields.values()))

    def check(self, value: object) -> list[Any]:
        """Return ``value`` as a row of the right length and types.

        Raises:
            ValueError: it is none; the text names the field.
        """
        if not is_array(value):
            raise ValueError(f"must be an array, not {type_name(value)}")
        if tuple(map(type, value)) not in self.legal:
            raise ValueError(self._fault(value))
        return value

    def _fault(self, row: list[Any]) -> str:
        if len(row) != len(self.fields):
            return f"must be an array of {len(self.fields)} fields, not {len(row)}"
        name, value = next(
            (name, value)
            for (name, types), value in zip(self.fields.items(), row, strict=True)
            if type(value) not in types
        )
        return f"{name!r} must be {self.fields[name][0].__name__}, not {type_name(value)}"


_INT: Final = (int,)
_MAYBE_INT: Final = (int, type(None))
EPOCH: Final = Row(counter=_INT, slot=_INT)
GENERATION: Final = Row(counter=_INT, slot=_INT, number=_INT, digest=(bytes,))
ENTRY: Final = Row(
    path=(str,),
    kind=_INT,
    mode=_INT,
    size_bytes=_INT,
    mtime_ns=_INT,
    digest=(bytes, type(None)),
    target=(str,),
)
OPERATION: Final = Row(
    folder=_INT,
    action=_INT,
    path=(str,),
    mode=_INT,
    mtime_ns=_MAYBE_INT,
    size_bytes=_INT,
    digest=(bytes,),
    target=(str,),
    stream=_MAYBE_INT,
)
_KINDS: Final = {kind.value: kind for kind in Kind}
_ACTIONS: Final = {action.value: action for action in Action}


def epoch_from(value: object) -> Epoch:
    """Build an epoch from its row; ValueError names the field that is wrong."""
    counter, slot = EPOCH.check(value)
    return Epoch(counter, slot)


def generation_from(value: object) -> Generation:
    """Build a generation from its row; ValueError names the field that is wrong."""
    counter, slot, number, digest = GENERATION.check(value)
    return Generation(Epoch(counter, slot), number, digest)


def entry_from(value: object) -> Entry:
    """Build an entry from its row; ValueError names the field that is wrong."""
    path, kind, mode, size_bytes, mtime_ns, digest, target = ENTRY.check(value)
    if kind not in _KINDS:
        raise ValueError(f"'kind' must be one of {list(_KINDS)}, not {kind}")
    return Entry(
        path=path,
        kind=_KINDS[kind],
        mode=mode,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        digest=digest,
        target=target,
    )


def operation_from(value: object) -> Operation:
    """Build an operation from its row; ValueError names the field that is wrong."""
    folder, action, path, mode, mtime_ns, size_bytes, digest, target, stream = OPERATION.check(
        value
    )
    if action not in _ACTIONS:
        raise ValueError(f"'action' must be one of {list(_ACTIONS)}, not {action}")
    return Operation(
        folder=folder,
        action=_ACTIONS[action],
        path=path,
        mode=mode,
        mtime_ns=mtime_ns,
        size_bytes=size_bytes,
        digest=digest,
        target=target,
        stream=stream,
    )
