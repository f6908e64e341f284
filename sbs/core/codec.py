"""Messages to frames and back (``docs/protocol.md``): the one module that knows msgpack and cattrs.

The rules:

1. A head is one msgpack map from field names to values: all of the message's fields, no other
   and none twice. Only Hello and the claim in it may have more: their unknown keys are ignored
   for ever, so that a version to come can still be told which one to speak.
2. Types match exactly: true is not 1, 1.0 is not 1, bytes are not text.
3. What there are many of (operations, entries, generations, epochs) travels as arrays of its
   fields in their order, not as maps.
4. Text is UTF-8; bytes of a file name that are not are carried unchanged (:pep:`383`).
5. The body is the frame's: it never passes through msgpack and is not copied here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args, get_origin

import attrs
import cattrs
import msgpack
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from sbs.core import messages as m
from sbs.core.claim import Claim
from sbs.core.epoch import Epoch
from sbs.core.frames import GREETING_LIMITS, SESSION_LIMITS, Frame, frame_head
from sbs.core.history import Generation, History
from sbs.core.manifest import Entry, Operation
from sbs.core.printable import MAX_QUOTED, quoted
from sbs.core.rows import (
    ENTRY_FIELDS,
    EPOCH,
    entry_from,
    epoch_from,
    generation_from,
    is_array,
    is_map,
    operation_from,
    operation_row,
    type_name,
)
from sbs.core.testament import Fenced, Will
from sbs.errors import LocalProtocolError, RemoteProtocolError

T = TypeVar("T")
Hook: TypeAlias = Callable[[Any, Any], Any]

_packb: Final = cast("Callable[..., bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType] - it has no types
_unpackb: Final = cast("Callable[..., object]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType] - likewise

NUMBERS: Final[Mapping[type[m.Message], int]] = {
    m.Hello: 1,
    m.Refused: 2,
    m.Heartbeat: 3,
    m.Follow: 4,
    m.Welcome: 5,
    m.Folders: 6,
    m.Listing: 7,
    m.Begin: 8,
    m.Pack: 9,
    m.Chunk: 10,
    m.Commit: 11,
    m.Abandon: 12,
    m.Committed: 13,
    m.Failed: 14,
    m.Released: 15,
    m.Taken: 16,
    m.Serving: 17,
    m.AskLease: 18,
    m.GrantLease: 19,
    m.SetPause: 20,
    Will: 21,
    Fenced: 22,
    m.Findings: 23,
    m.Patch: 24,
    m.Audit: 25,
    m.Audited: 26,
    m.Fragment: 27,
    m.AskRole: 28,
}
"""The type of a frame for each message. Hello's and Refused's are the same in every version."""

_TYPES: Final = {number: cls for cls, number in NUMBERS.items()}

_STRANGERS: Final = (m.Hello, m.Refused, Fenced)
"""What may come before it is known who speaks."""

_WITH_BODY: Final = (m.Pack, m.Chunk)

_LENIENT: Final = (m.Hello, Claim)

MAX_GREETING_ARRAY = 1024
"""Items of an array in a stranger's message. msgpack makes room for the announced items before
it reads them, in as many levels as a hostile sender nests: this keeps that room at 8 MiB."""

MAX_MAP = 1024
"""Fields of a map in any message, for the same reason; a later version may need more than ours."""


def encode(message: m.Message) -> bytes:
    """The whole frame of a message, header and body included.

    Raises:
        LocalProtocolError: as :func:`encode_parts`.
    """
    return b"".join(encode_parts(message))


def encode_parts(message: m.Message) -> tuple[bytes, bytes]:
    """The same in two parts that follow each other: the second is the body, which is not copied.

    Raises:
        LocalProtocolError: it is over the limit for a frame (``docs/protocol.md``, Limits): the
            caller must send it in several.
    """
    kind = type(message)
    stranger = kind in _STRANGERS
    head = _packb(_converter.unstructure(message), unicode_errors="surrogateescape")
    body = message.body if isinstance(message, _WITH_BODY) else b""
    limits = GREETING_LIMITS if stranger else SESSION_LIMITS
    try:
        return frame_head(NUMBERS[kind], head, len(body), limits=limits), body
    except LocalProtocolError as error:
        raise LocalProtocolError(f"{kind.__name__}: {error}") from error


def decode(frame: Frame) -> m.Message:
    """The message that a frame carries.

    Raises:
        RemoteProtocolError: it breaks a rule of this module or of the message's class; the text
            names the message, the field, and what is allowed.
    """
    cls = _message_type(frame)
    fields = _unpack(cls, frame.head)
    with_body = issubclass(cls, _WITH_BODY)
    if frame.body and not with_body:
        raise RemoteProtocolError(
            f"{cls.__name__} has a body of {len(frame.body)} bytes; none is allowed"
        )
    if with_body:
        if "body" in fields:
            raise RemoteProtocolError(f"{cls.__name__}: unknown field 'body' in the head")
        fields["body"] = frame.body
    message: m.Message = _structure(cls, cls.__name__, fields)
    return message


def decode_versions(frame: Frame) -> tuple[int, int]:
    """The protocol versions offered by a Hello, whatever the rest of it may hold.

    Decided before anything else is looked at: a later version may give a role or a mode that
    this one does not know, and is told so by :class:`~sbs.errors.VersionError`.

    Raises:
        RemoteProtocolError: it is no Hello, or does not say.
    """
    cls = _message_type(frame)
    if cls is not m.Hello:
        raise RemoteProtocolError(f"the first message must be Hello, not {cls.__name__}")
    versions = _unpack(cls, frame.head).get("versions")
    checked: m.Hello = _structure(m.Hello, "Hello", {**_BARE_HELLO, "versions": versions})
    return checked.versions


def _message_type(frame: Frame) -> type[m.Message]:
    try:
        return _TYPES[frame.type]
    except KeyError:
        raise RemoteProtocolError(
            f"frame of unknown type {frame.type}; {min(_TYPES)} to {max(_TYPES)} are allowed"
        ) from None


def _unpack(cls: type[m.Message], head: bytes) -> dict[str, Any]:
    greeting = cls in _STRANGERS
    try:
        fields = _unpackb(
            head,
            unicode_errors="surrogateescape",
            object_pairs_hook=_unique,
            max_array_len=MAX_GREETING_ARRAY if greeting else m.MAX_ITEMS,
            max_map_len=MAX_MAP,
        )
    except ValueError as error:  # all that msgpack raises
        text = str(error) or type_name(error)
        raise RemoteProtocolError(f"{cls.__name__}: bad msgpack: {text}") from error
    if not is_map(fields):
        raise RemoteProtocolError(f"{cls.__name__}: the head is no map but {type_name(fields)}")
    return fields


def _unique(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a map has a key twice")
    return fields


def _structure(cls: Any, where: str, fields: Any) -> Any:
    try:
        return _converter.structure(fields, cls)
    except (ValueError, TypeError, BaseValidationError) as error:
        cause: BaseException = error
        while isinstance(cause, BaseValidationError):
            cause = cause.exceptions[0]
            notes: list[Any] = getattr(cause, "__notes__", [])
            for note in reversed(notes):  # the outermost is last
                named = isinstance(note, AttributeValidationNote)
                where += f".{note.name}" if named else f"[{note.index}]"
        text = str(cause.args[0])  # the rest are the objects of a validator of attrs
        raise RemoteProtocolError(f"{where}: {quoted(text)}") from error


def _exactly(cls: type[T]) -> Hook:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not cls:
            raise ValueError(f"must be {cls.__name__}, not {type_name(value)}")
        return value

    return structure


def _member(cls: type[enum.Enum]) -> Hook:
    """Structure a member from its value."""
    members = {member.value: member for member in cls}

    def structure(value: Any, _: Any) -> enum.Enum:
        if type(value) is not str or value not in members:
            shown = repr(value[:MAX_QUOTED]) if type(value) is str else type_name(value)
            raise ValueError(f"must be one of {', '.join(members)}; not {shown}")
        return members[value]

    return structure


def _tuple(annotation: Any, converter: cattrs.Converter) -> Hook:
    """Structure ``tuple[X, ...]``; stop at the first wrong item."""
    item: Any = get_args(annotation)[0]
    structure_item = converter.get_structure_hook(item)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        if not is_array(value):
            raise ValueError(f"must be an array, not {type_name(value)}")
        items: list[Any] = []
        try:
            for each in value:
                items.append(structure_item(each, item))  # noqa: PERF401 - len(items) is used below
        except (ValueError, TypeError, BaseValidationError) as error:
            error.add_note(IterableValidationNote("", len(items), item))
            raise
        return tuple(items)

    return structure


def _map(cls: type[attrs.AttrsInstance], converter: cattrs.Converter) -> Hook:
    """Structure a class of attrs from a map with exactly its fields."""
    names = {field.name for field in attrs.fields(cls)}
    inner = make_dict_structure_fn(cls, converter)

    def structure(value: Any, _: Any) -> Any:
        if not is_map(value):
            raise ValueError(f"must be a map, not {type_name(value)}")
        if missing := names - value.keys():
            raise ValueError(f"field {min(missing)!r} is missing")
        if cls not in _LENIENT and len(value) > len(names):
            unknown = next(key for key in value if key not in names)
            raise ValueError(f"unknown field {unknown!r}")
        return inner(value, cls)

    return structure


def _versions(value: Any, _: Any) -> tuple[int, int]:
    if not is_array(value) or [type(each) for each in value] != [int, int]:
        raise ValueError("must be an array of the lowest and the highest version")
    low, high = value
    return low, high


def _add_rows(converter: cattrs.Converter) -> None:
    """The values that travel as arrays."""
    builders: dict[type, Hook] = {
        Epoch: epoch_from,
        Generation: generation_from,
        Entry: entry_from,
        Operation: operation_from,
    }
    for cls, build in builders.items():
        converter.register_structure_hook(cls, build)
    generations = _tuple(tuple[Generation, ...], converter)

    def history(value: Any, _: Any) -> History:
        return History(generations(value, None))

    converter.register_structure_hook(History, history)

    generation = attrgetter("epoch.counter", "epoch.slot", "number", "digest")
    converter.register_unstructure_hook(Epoch, attrgetter(*EPOCH.names))
    converter.register_unstructure_hook(Entry, attrgetter(*ENTRY_FIELDS))
    converter.register_unstructure_hook(Operation, operation_row)
    converter.register_unstructure_hook(Generation, generation)
    converter.register_unstructure_hook(
        History, lambda history: tuple(map(generation, history.entries))
    )


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    for scalar in (int, float, str, bytes, bool):
        converter.register_structure_hook(scalar, _exactly(scalar))
    converter.register_structure_hook_factory(attrs.has, _map)
    converter.register_structure_hook_factory(_is_enum, _member)
    converter.register_structure_hook_factory(_is_tuple, _tuple)
    converter.register_structure_hook_func(lambda each: each == tuple[int, int], _versions)
    _add_rows(converter)
    for cls in _WITH_BODY:
        without_body = make_dict_unstructure_fn(cls, converter, body=override(omit=True))
        converter.register_unstructure_hook(cls, without_body)
    return converter


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, enum.Enum)


def _is_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple and get_args(annotation)[1:] == (...,)


_converter: Final = _make_converter()
_BARE_HELLO: Final = _converter.unstructure(m.Hello(versions=(1, 1)))
