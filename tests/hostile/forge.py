"""Frames as nobody of good will makes them: any head, any body, no validator on the way."""

from __future__ import annotations

from typing import Any, Final

import msgpack

from sbs.core.codec import NUMBERS, encode
from sbs.core.frames import HEADER
from sbs.core.messages import Message

LEFT_OUT: Final = object()
"""As a field's value: the field is not in the head."""


def packed(value: object) -> bytes:
    """``value`` in msgpack; file names that are not UTF-8 as they are."""
    raw: bytes = msgpack.packb(value, unicode_errors="surrogateescape")
    return raw


def frame(number: int, head: bytes, body: bytes = b"") -> bytes:
    """A frame of any type."""
    return HEADER.pack(len(head) + len(body), number << 24 | len(head)) + head + body


def fields_of(message: Message) -> dict[str, Any]:
    """The head of a message, to be changed."""
    head, _ = _parts(message)
    fields: dict[str, Any] = msgpack.unpackb(head, unicode_errors="surrogateescape")
    return fields


def forged(message: Message, /, **fields: object) -> bytes:
    """A message with other fields than its class allows.

    Args:
        message: an honest one.
        fields: instead of its own, as msgpack has them, or :data:`LEFT_OUT`.
    """
    return forged_with(_parts(message)[1], message, **fields)


def forged_with(body: bytes, message: Message, /, **fields: object) -> bytes:
    """The same, with another body, too."""
    changed = {**fields_of(message), **fields}
    kept = {name: value for name, value in changed.items() if value is not LEFT_OUT}
    return frame(NUMBERS[type(message)], packed(kept), body)


def with_row(message: Message, field: str, number: int, value: object) -> bytes:
    """A message in whose first row of ``field`` (entries, operations) one value is another.

    Args:
        message: an honest one.
        field: the array.
        number: of the value in its row, from 0.
        value: to put there.
    """
    rows: list[list[object]] = fields_of(message)[field]
    rows[0][number] = value
    return forged(message, **{field: rows})


def nested(kind: bytes, levels: int) -> bytes:
    """msgpack that opens one container in the other, each announced by ``kind``."""
    return kind * levels


def header(number: int, length: int, head_bytes: int) -> bytes:
    """The first bytes of a frame that announces what does not follow."""
    return HEADER.pack(length, number << 24 | head_bytes)


def _parts(message: Message) -> tuple[bytes, bytes]:
    raw = encode(message)
    _, rest = HEADER.unpack_from(raw)
    end = HEADER.size + (rest & 0xFFFFFF)
    return raw[HEADER.size : end], raw[end:]
