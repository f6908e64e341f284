"""Values that travel as arrays of their fields: epochs, generations, entries, operations.

There may be thousands of them in a message, so that the types of a row are compared at once;
only a wrong row is looked at field by field, for the error's text. The builders have the second
parameter of a hook of cattrs, the type, and ignore it.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar

import attrs

from sbs.core.attributes import Attributes, Owner
from sbs.core.epoch import Epoch
from sbs.core.history import Generation
from sbs.core.manifest import Action, Entry, Kind, Operation

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


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
    """The array form of a class: the names of its fields in order, each with its type."""

    def __init__(self, **fields: type) -> None:
        self.names: tuple[str, ...] = tuple(fields)
        self.types: tuple[type, ...] = tuple(fields.values())

    def check(self, value: object) -> list[Any]:
        """Return ``value`` as a row of the right length and types.

        Raises:
            ValueError: it is none; the text names the field.
        """
        row = _fields(value, self.names)
        if tuple(map(type, row)) != self.types:
            name, field, cls = next(
                (name, field, cls)
                for name, field, cls in zip(self.names, row, self.types, strict=True)
                if type(field) is not cls
            )
            raise ValueError(f"{name!r} must be {cls.__name__}, not {type_name(field)}")
        return row


EPOCH: Final = Row(counter=int, slot=int)
OWNER: Final = Row(user=str, uid=int, group=str, gid=int)
XATTR: Final = Row(name=str, value=bytes)
GENERATION: Final = Row(counter=int, slot=int, number=int, digest=bytes)
ENTRY_FIELDS: Final = tuple(field.name for field in attrs.fields(Entry))
OPERATION_FIELDS: Final = tuple(field.name for field in attrs.fields(Operation))
ATTRIBUTES_FIELDS: Final = tuple(field.name for field in attrs.fields(Attributes))
_operation: Final[Callable[[Operation], tuple[Any, ...]]] = attrgetter(*OPERATION_FIELDS[:-1])
_KINDS: Final = {kind.value: kind for kind in Kind}
_ACTIONS: Final = {action.value: action for action in Action}


def epoch_from(value: object, _: object = None) -> Epoch:
    """Build an epoch from its row; ValueError names the field that is wrong."""
    counter, slot = EPOCH.check(value)
    return Epoch(counter, slot)


def generation_from(value: object, _: object = None) -> Generation:
    """Build a generation from its row; ValueError names the field that is wrong."""
    counter, slot, number, digest = GENERATION.check(value)
    return Generation(Epoch(counter, slot), number, digest)


def entry_from(value: object, _: object = None) -> Entry:
    """Build an entry from its row; ValueError or TypeError names the field that is wrong."""
    row = _fields(value, ENTRY_FIELDS)
    path, kind, mode, size_bytes, mtime_ns, digest, target, attributes = row
    return Entry(
        path=path,
        kind=_member("kind", _KINDS, kind),
        mode=mode,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        digest=digest,
        target=target,
        attributes=attributes,
    )


def operation_from(value: object, _: object = None) -> Operation:
    """Build an operation from its row; ValueError or TypeError names the field that is wrong."""
    row = _fields(value, OPERATION_FIELDS)
    folder, action, path, mode, mtime_ns, size_bytes, digest, target, stream, attributes = row
    return Operation(
        folder=folder,
        action=_member("action", _ACTIONS, action),
        path=path,
        mode=mode,
        mtime_ns=mtime_ns,
        size_bytes=size_bytes,
        digest=digest,
        target=target,
        stream=stream,
        attributes=None if attributes is None else attributes_from(attributes),
    )


def operation_row(operation: Operation) -> tuple[Any, ...]:
    """The row of an operation."""
    attributes = operation.attributes
    return (*_operation(operation), None if attributes is None else attributes_row(attributes))


def attributes_from(value: object) -> Attributes:
    """Build attributes from their row; ValueError names the field that is wrong."""
    owner, xattrs = _fields(value, ATTRIBUTES_FIELDS)
    return Attributes(
        owner=None if owner is None else _owner(owner),
        xattrs=None if xattrs is None else tuple(_xattr(each) for each in _array(xattrs)),
    )


def attributes_row(attributes: Attributes) -> tuple[Any, Any]:
    """The row of attributes."""
    owner = None if attributes.owner is None else attrs.astuple(attributes.owner)
    return owner, attributes.xattrs


def _owner(value: object) -> Owner:
    user, uid, group, gid = OWNER.check(value)
    return Owner(user=user, uid=uid, group=group, gid=gid)


def _xattr(value: object) -> tuple[str, bytes]:
    name, content = XATTR.check(value)
    return name, content


def _array(value: object) -> list[Any]:
    if not is_array(value):
        raise ValueError(f"must be an array, not {type_name(value)}")
    return value


def _fields(value: object, names: tuple[str, ...]) -> list[Any]:
    """The row ``value``, if it is as long as ``names``; the types are checked by the class."""
    row = _array(value)
    if len(row) != len(names):
        raise ValueError(f"must be an array of {len(names)} fields, not {len(row)}")
    return row


def _member(name: str, members: Mapping[int, T], value: object) -> T:
    if type(value) is not int or value not in members:
        shown = value if type(value) is int else type_name(value)
        raise ValueError(f"{name!r} must be one of {list(members)}, not {shown}")
    return members[value]
