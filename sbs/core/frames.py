"""Frames: the byte layer of the protocol, without knowledge of messages (``docs/protocol.md``).

The rules:

1. A side's bytes are the preamble, then frames, then the end. Nothing else is ever skipped,
   guessed or searched for: the first wrong byte is an error.
2. A frame is ``u32 length | u8 type | u24 head length | head | body``, big endian; ``length``
   counts head and body. The head is for the codec, the body is raw content.
3. A header is checked before a byte of its frame is kept: what a decoder holds never exceeds
   one frame of legal size plus what it was fed last.
4. Each byte is copied once on its way into a frame, however the bytes were cut.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import attrs

from sbs.core.messages import MAX_BODY_BYTES
from sbs.errors import EncryptedError, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREAMBLE = b"\x93SBS\r\n\x1a\n"
"""First bytes of either side. As in PNG: a byte that is not ASCII, a name, and line ends that
a line-mode transfer would change."""

_TLS = (b"\x15", b"\x16")
"""How an alert and a handshake of TLS begin (RFC 8446, section 5.1)."""

HEADER = struct.Struct(">II")
"""Length of head and body; then the type in the upper 8 bits, length of the head in the rest."""

MAX_HEAD_BYTES = 2 * 1024 * 1024
"""Encoded fields of one message: 8192 operations of 256 bytes each, twice what is usual."""

GOOD_PART = 64
"""One in so many bytes of a part must be there before room is made for all of it: an announced
length alone costs nothing."""

MAX_QUOTED_BYTES = 32
"""Foreign bytes quoted in an error: enough for ``GET / HTTP/1.1`` or a TLS record's start."""


@attrs.frozen(kw_only=True)
class Limits:
    """What a frame may hold at most.

    Args:
        head_bytes: of the head, 0 to 2**24 - 1.
        body_bytes: of the body, 0 to :data:`~sbs.core.messages.MAX_BODY_BYTES`.
    """

    head_bytes: int
    body_bytes: int


SESSION_LIMITS = Limits(head_bytes=MAX_HEAD_BYTES, body_bytes=MAX_BODY_BYTES)
"""Between two sides that have accepted each other's Hello."""

GREETING_LIMITS = Limits(head_bytes=64 * 1024, body_bytes=0)
"""For a stranger: the largest Hello has less than a quarter of it, and it has no body."""


@attrs.frozen
class Frame:
    """One frame as it was received.

    Args:
        type: the message's number, 0 to 255.
        head: its encoded fields.
        body: raw content.
    """

    type: int
    head: bytes = attrs.field(repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


def encode_frame(
    number: int, head: bytes, body: bytes = b"", *, limits: Limits = SESSION_LIMITS
) -> bytes:
    """The bytes of one frame; see :func:`frame_head`.

    Raises:
        LocalProtocolError: head or body is over its limit.
    """
    return frame_head(number, head, len(body), limits=limits) + body


def frame_head(
    number: int, head: bytes, body_bytes: int, *, limits: Limits = SESSION_LIMITS
) -> bytes:
    """The bytes of one frame up to its body, which follows.

    Args:
        number: the message's type, 0 to 255.
        head: its encoded fields.
        body_bytes: of raw content.
        limits: what the receiver accepts.

    Raises:
        LocalProtocolError: head or body is over its limit; the text names both figures.
    """
    if len(head) > limits.head_bytes:
        raise LocalProtocolError(
            f"head of {len(head)} bytes; at most {limits.head_bytes} are allowed in a frame"
        )
    if body_bytes > limits.body_bytes:
        raise LocalProtocolError(
            f"body of {body_bytes} bytes; at most {limits.body_bytes} are allowed in a frame"
        )
    return HEADER.pack(len(head) + body_bytes, number << 24 | len(head)) + head


@attrs.frozen
class _Header:
    type: int
    head_bytes: int
    body_bytes: int


class FrameDecoder:
    """Cuts one side's bytes into frames.

    Args:
        limits: for the frames that begin from now on; assign :attr:`limits` to change them.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._data = memoryview(b"")  # what was fed last
        self._at = 0  # how much of it is used
        self._part = io.BytesIO()  # the part of the stream now read: see _take
        self._preamble_done = False
        self._header: _Header | None = None
        self._head: bytes | None = None

    @property
    def inside(self) -> str | None:
        """What an end of the stream would cut in two: "the preamble", "a frame", or ``None``.

        A stream that ends before its first byte cuts nothing.
        """
        if not self._preamble_done:
            return "the preamble" if self._part.tell() else None
        return "a frame" if self._header is not None or self._part.tell() else None

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Frame]:
        """Take the next bytes; iterate over the frames which they complete.

        The iterator is lazy, so that :attr:`limits` may change between two frames of the same
        data; exhaust it before feeding more. ``data`` must not change meanwhile.

        Args:
            data: any number of bytes.

        Returns:
            The completed frames, oldest first. Iterating raises RemoteProtocolError where the
            bytes break the rules; the text quotes the number and the limit.

        Raises:
            LocalProtocolError: frames of the last data were not taken yet.
        """
        if self._at < len(self._data):
            raise LocalProtocolError("more was fed before the frames of the last data were taken")
        self._data, self._at = memoryview(data), 0
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        if not self._preamble_done and not self._take_preamble():
            return
        while (frame := self._take_frame()) is not None:
            yield frame

    def _take_preamble(self) -> bool:
        """Read on in the preamble; whether it is complete."""
        begun = self._part.getvalue()
        seen = begun + self._data[: MAX_QUOTED_BYTES - len(begun)]
        if seen.startswith(_TLS):
            raise EncryptedError(
                "the other side speaks TLS, it seems; set tls.identity and tls.peer_certificate "
                "here, too (sbs pair)"
            )
        if not PREAMBLE.startswith(seen[: len(PREAMBLE)]):
            raise RemoteProtocolError(f"the other side does not speak SBS; it sent {seen!r}")
        self._preamble_done = self._take(len(PREAMBLE)) is not None
        return self._preamble_done

    def _take_frame(self) -> Frame | None:
        """Read on in the present frame and return it when it is complete."""
        if self._header is None:
            raw = self._take(HEADER.size)
            if raw is None:
                return None
            self._header = self._check_header(raw)
        header = self._header
        if self._head is None:
            self._head = self._take(header.head_bytes)
            if self._head is None:
                return None
        body = self._take(header.body_bytes)
        if body is None:
            return None
        frame = Frame(header.type, self._head, body)
        self._header = self._head = None
        return frame

    def _check_header(self, raw: bytes) -> _Header:
        length, rest = HEADER.unpack(raw)
        number, head_bytes = rest >> 24, rest & 0xFFFFFF
        where = f"frame of type {number}"
        if head_bytes > length:
            raise RemoteProtocolError(
                f"{where}: a head of {head_bytes} bytes in a length of {length}"
            )
        if head_bytes > self.limits.head_bytes:
            raise RemoteProtocolError(
                f"{where}: head of {head_bytes} bytes; at most {self.limits.head_bytes} are allowed"
            )
        body_bytes = length - head_bytes
        if body_bytes > self.limits.body_bytes:
            raise RemoteProtocolError(
                f"{where}: body of {body_bytes} bytes; at most {self.limits.body_bytes} are allowed"
            )
        return _Header(number, head_bytes, body_bytes)

    def _take(self, count: int) -> bytes | None:
        """The next ``count`` bytes of the stream, or ``None`` until all of them are there.

        Bytes cut off at the end of the data wait in ``_part``. A BytesIO gives its buffer away
        without a copy, where a bytearray would be copied into bytes. It is made large enough as
        soon as a good part is there: growing to a mebibyte costs 250 to 500 us, this 110 to 200.
        """
        part = self._part
        begun = part.tell()
        piece = self._data[self._at : self._at + count - begun]
        self._at += len(piece)
        if len(piece) == count:
            return bytes(piece)
        if not begun and GREETING_LIMITS.head_bytes < count <= GOOD_PART * len(piece):
            part.seek(count - 1)
            part.write(b"\0")
            part.seek(0)
        part.write(piece)
        if part.tell() < count:
            return None
        self._part = io.BytesIO()
        return part.getvalue()
