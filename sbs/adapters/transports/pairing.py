"""Pairing without input or output: by a short code two nodes learn each other's certificate.

The code is a password that is used once. SPAKE2 makes a key of it that both sides have and nobody
else: who listens learns nothing, and who takes part has one guess (the bytes, and why this is
enough: ``docs/protocol.md``, "Pairing"). The rules:

1. The side that calls proves first that it knows the code; the one that waits says nothing that
   depends on it before. So a wrong guess is always seen by the side that counts them.
2. Every message after that bears a MAC, by a key for its direction and with its number, so that
   none can be sent back, repeated, left out or exchanged.
3. Certificates, then Stored, then Done: each side says so once, in this order. A node says Stored
   when it has durably written what it accepts from the other, so the other may then change its
   identity; and Done when it has, so the former one may be dropped.
4. The first error is final.
"""

from __future__ import annotations

import enum
import hmac
import os
import secrets
import ssl
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs
import spake2

from sbs.adapters.transports.identity import Certificate, parse_certificates
from sbs.core.frames import PREAMBLE as NODE_PREAMBLE
from sbs.errors import (
    ConfigError,
    LocalProtocolError,
    PairingError,
    RemoteProtocolError,
    SbsError,
    VersionError,
    WrongCodeError,
)

PREAMBLE: Final = b"\x93SBP\r\n\x1a\n"
"""First bytes of either side, as those of a node but for a letter: whoever calls the wrong port of
the two finds out at once."""

VERSION: Final = 1
"""Of this protocol; it follows the preamble, in one byte."""

CODE_DIGITS: Final = 9
"""Digits of a code: with three guesses one in 3 * 10**8 is right, and it can be read out."""

MAX_CERTIFICATE_BYTES: Final = 4096
"""Of one certificate: ours have 350, one of an RSA key of 4096 bits about 1,300."""

ELEMENT_BYTES: Final = 32
MAC_BYTES: Final = 32

_HEADER: Final = struct.Struct(">BH")
"""Type, length of the body."""

_ALERT: Final = b"\x15"
"""How an answer of TLS to what is no TLS begins (RFC 8446, section 5.1). One byte, so that it does
not matter how the bytes were cut."""

_LENGTH: Final = struct.Struct(">H")
_CALLER: Final = b"sbs pair 1 caller"
_WAITER: Final = b"sbs pair 1 waiter"


class Side(enum.Enum):
    """Which end of the conversation."""

    CALLER = enum.auto()
    WAITER = enum.auto()


class Reason(enum.IntEnum):
    """Why a side ends the conversation."""

    WRONG_CODE = 1
    SAME_IDENTITY = 2
    CERTIFICATE = 3
    STORAGE = 4


REASONS: Final = {
    Reason.WRONG_CODE: "the code is wrong; use the one that sbs pair shows on the other node now",
    Reason.SAME_IDENTITY: "both nodes have the same identity, so one is a copy of the other; "
    "run sbs pair --renew on one of them",
    Reason.CERTIFICATE: "the other node does not take this node's certificate; it says there why",
    Reason.STORAGE: "the other node could not write its files; it says there why",
}
"""Each reason as the side that is told it says it."""


class _Type(enum.IntEnum):
    CERTIFICATES = 1
    STORED = 2
    DONE = 3
    REFUSED = 4


_MAX_BODY: Final = {
    _Type.CERTIFICATES: 2 * (_LENGTH.size + MAX_CERTIFICATE_BYTES),
    _Type.STORED: 0,
    _Type.DONE: 0,
    _Type.REFUSED: 1,
}


@attrs.frozen(kw_only=True)
class Identities:
    """The certificates of a node.

    Args:
        current: by which it is known now.
        following: by which it will be, when this conversation has ended well; mostly the same.
    """

    current: Certificate
    following: Certificate


class Word(enum.Enum):
    """What a side says once."""

    STORED = enum.auto()
    DONE = enum.auto()


Event: TypeAlias = Identities | Word


def new_code() -> str:
    """A code that nobody can guess: :data:`CODE_DIGITS` decimal digits in groups of three."""
    digits = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    return "-".join(digits[at : at + 3] for at in range(0, CODE_DIGITS, 3))


def parse_code(text: str) -> str:
    """A code as a person wrote it, with or without groups.

    Returns:
        its digits.

    Raises:
        ValueError: it is none; the text says what is allowed, and not what it was.
    """
    digits = "".join(text.replace("-", " ").split())
    if len(digits) != CODE_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise ValueError(
            f"allowed is a code of {CODE_DIGITS} digits, such as 123-456-789, as sbs pair shows it "
            "on the other node"
        )
    return digits


class Pairing:
    """One end of a conversation: bytes in, events and bytes out.

    Args:
        side: which end.
        code: as :func:`parse_code` returns it, the same on both sides.
        own: what this node is known by.
        entropy: gives as many random bytes as it is asked for, for one number alone.
    """

    def __init__(
        self,
        side: Side,
        code: str,
        own: Identities,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._side = side
        self._own = own
        role = spake2.SPAKE2_A if side is Side.CALLER else spake2.SPAKE2_B
        self._pake: Any = role(code.encode(), idA=_CALLER, idB=_WAITER, entropy_f=entropy)
        self._received = bytearray()
        self._outgoing = bytearray(PREAMBLE + bytes([VERSION]))
        self._read: Callable[[], list[Event] | None] = self._read_greeting
        self._key = self._peer_key = b""
        self._has_guess = False
        self._sent: list[_Type] = []
        self._heard: list[_Type] = []
        self._error: SbsError | None = None
        if side is Side.CALLER:
            self._say_element()

    @property
    def has_guess(self) -> bool:
        """Whether the other side has sent its element, and so has chosen what code it tries."""
        return self._has_guess

    @property
    def is_proven(self) -> bool:
        """Whether the other side has shown that it knows the code."""
        return bool(self._heard)

    @property
    def has_ended(self) -> bool:
        """Whether each side has said everything."""
        return self._sent[-1:] == self._heard[-1:] == [_Type.DONE]

    def outgoing(self) -> bytes:
        """What is to be sent now, and was not yet; at first, too, before anything was received."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes) -> list[Event]:
        """Take the next bytes of the other side, cut anywhere; empty at the end of its stream.

        Returns:
            what it says, in its order. Of bytes with an error in them nothing is handed out.

        Raises:
            WrongCodeError: the codes differ, or somebody is in between.
            PairingError: the other side refused; the text says why.
            RemoteProtocolError: it does not speak this protocol, broke it, or went away.
            VersionError: it speaks another version.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._receive(data)
        except SbsError as error:
            self._error = error
            if isinstance(error, WrongCodeError) and self._side is Side.WAITER:
                self.refuse(Reason.WRONG_CODE)
            raise

    def say(self, word: Word) -> None:
        """Say that this node has stored what it accepts, or that it is done.

        Raises:
            LocalProtocolError: it is not its turn.
        """
        before, kind = {
            Word.STORED: (_Type.CERTIFICATES, _Type.STORED),
            Word.DONE: (_Type.STORED, _Type.DONE),
        }[word]
        if before not in self._heard or self._sent[-1:] != [before]:
            raise LocalProtocolError(f"{word.name} is said once, after {before.name} of both sides")
        self._say(kind, b"")

    def refuse(self, reason: Reason) -> None:
        """End the conversation and say why; whoever could forge this could cut the line as well."""
        self._outgoing += _HEADER.pack(_Type.REFUSED, 1) + bytes([reason])

    # Sending.

    def _say_element(self) -> None:
        self._outgoing += self._pake.start()[1:]  # without the library's letter for the side

    def _say_certificates(self) -> None:
        ders = (self._own.current.der, self._own.following.der)
        self._say(_Type.CERTIFICATES, b"".join(_LENGTH.pack(len(der)) + der for der in ders))

    def _say(self, kind: _Type, body: bytes) -> None:
        header = _HEADER.pack(kind, len(body))
        self._outgoing += header + body + _mac(self._key, len(self._sent), header + body)
        self._sent.append(kind)

    # Receiving: each step takes what it needs, or waits for more.

    def _receive(self, data: bytes) -> list[Event]:
        if not data:
            raise RemoteProtocolError(
                "the other side closed the connection; where sbs pair has ended there, run it again"
            )
        self._received += data
        events: list[Event] = []
        while (found := self._read()) is not None:
            events += found
        return events

    def _take(self, size_bytes: int) -> bytes:
        taken = bytes(self._received[:size_bytes])
        del self._received[:size_bytes]
        return taken

    def _read_greeting(self) -> list[Event] | None:
        found = bytes(self._received[: len(PREAMBLE)])
        if found != PREAMBLE[: len(found)]:
            if found[:4] == NODE_PREAMBLE[:4] or found[:1] == _ALERT:
                raise RemoteProtocolError("that is the port of a node that runs, not of sbs pair")
            raise RemoteProtocolError("the other side is no sbs pair")
        if len(self._received) <= len(PREAMBLE):
            return None
        version = self._take(len(PREAMBLE) + 1)[-1]
        if version != VERSION:
            raise VersionError(
                f"the other node pairs by version {version}, this one by {VERSION}; "
                "install the same version of SBS on both"
            )
        self._read = self._read_element
        return []

    def _read_element(self) -> list[Event] | None:
        if len(self._received) < ELEMENT_BYTES:
            return None
        self._has_guess = True
        if self._side is Side.WAITER:
            self._say_element()
        secret = self._finish(self._take(ELEMENT_BYTES))
        keys = [hmac.digest(secret, label, "sha256") for label in (_CALLER, _WAITER)]
        self._key, self._peer_key = keys if self._side is Side.CALLER else reversed(keys)
        if self._side is Side.CALLER:
            self._say_certificates()
        self._read = self._read_message
        return []

    def _finish(self, element: bytes) -> bytes:
        letter = b"B" if self._side is Side.CALLER else b"A"  # as the library says whose it is
        try:
            return bytes(self._pake.finish(letter + element))
        # It has no base of its own for what is no point of the curve, or of no use.
        except Exception as error:
            raise RemoteProtocolError("the other side sent no element of the group") from error

    def _read_message(self) -> list[Event] | None:
        if len(self._received) < _HEADER.size:
            return None
        number, length = _HEADER.unpack_from(self._received)
        try:
            kind = _Type(number)
        except ValueError as error:
            raise RemoteProtocolError(f"the other side sent a message of type {number}") from error
        if length > _MAX_BODY[kind]:
            raise RemoteProtocolError(f"{kind.name} of {length} bytes; at most {_MAX_BODY[kind]}")
        mac_bytes = 0 if kind is _Type.REFUSED else MAC_BYTES
        if len(self._received) < _HEADER.size + length + mac_bytes:
            return None
        frame = self._take(_HEADER.size + length)
        body = frame[_HEADER.size :]
        if kind is _Type.REFUSED:
            raise _refusal(body)
        self._verify(kind, frame, self._take(MAC_BYTES))
        return [self._event(kind, body)]

    def _verify(self, kind: _Type, frame: bytes, mac: bytes) -> None:
        """The MAC first: before the code is proven nothing else is looked at."""
        if not hmac.compare_digest(mac, _mac(self._peer_key, len(self._heard), frame)):
            if not self._heard:
                raise WrongCodeError(
                    "the codes differ, or somebody between the nodes answers; use the code that "
                    "sbs pair shows on the other node now"
                )
            raise RemoteProtocolError("a message was changed, repeated or left out on its way")
        legal = self._heard == list(_Type)[: kind - 1] and len(self._sent) >= len(self._heard)
        if not legal:
            raise RemoteProtocolError(f"the other side says {kind.name} out of turn")

    def _event(self, kind: _Type, body: bytes) -> Event:
        if kind is not _Type.CERTIFICATES:
            self._heard.append(kind)
            return Word[kind.name]
        found = _certificates(body)
        self._heard.append(kind)
        if self._side is Side.WAITER:
            self._say_certificates()
        return found


def _mac(key: bytes, number: int, frame: bytes) -> bytes:
    return hmac.digest(key, bytes([number]) + frame, "sha256")


def _refusal(body: bytes) -> PairingError:
    try:
        reason = Reason(int.from_bytes(body))
    except ValueError:
        return PairingError("the other node ends this; it says there why")
    text = REASONS[reason]
    return WrongCodeError(text) if reason is Reason.WRONG_CODE else PairingError(text)


def _certificates(body: bytes) -> Identities:
    found: list[Certificate] = []
    while body and len(found) < 2:
        end = _LENGTH.size + int.from_bytes(body[: _LENGTH.size])
        found.append(_certificate(body[_LENGTH.size : end]))
        body = body[end:]
    if body or len(found) != 2:
        raise RemoteProtocolError("the other side sent certificates of a wrong form")
    return Identities(current=found[0], following=found[1])


def _certificate(der: bytes) -> Certificate:
    if not 1 <= len(der) <= MAX_CERTIFICATE_BYTES:
        raise RemoteProtocolError(
            f"a certificate of {len(der)} bytes; allowed are 1 to {MAX_CERTIFICATE_BYTES}"
        )
    try:
        return parse_certificates(ssl.DER_cert_to_PEM_cert(der), "the other node")[0]
    except ConfigError as error:
        raise RemoteProtocolError(str(error)) from error
