"""By what nodes know each other: files of certificates, and what is said when they pair."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Final

from sbs.adapters.transports import pairing
from sbs.adapters.transports.identity import (
    MAX_PINS,
    Certificate,
    make_identity,
    parse_certificates,
)
from sbs.adapters.transports.pairing import Event, Identities, Pairing, Side, Word, parse_code
from sbs.errors import ConfigError, PairingError, RemoteProtocolError, SbsError
from tests.fuzz.contract import KIB, MIB, Form, Target, is_proper, pieces, shaped, text_of, unpacked

MAX_SAID: Final = 400
"""Characters of an error."""

CODE: Final = "123456789"


@cache
def own() -> Identities:
    """What each side is known by."""
    found = parse_certificates(
        make_identity("alpha", dt.datetime(2026, 1, 1, tzinfo=dt.UTC)).decode(), "here"
    )[0]
    return Identities(current=found, following=found)


def read_pins(data: bytes) -> bool:
    """A file of certificates."""
    text = data.decode("ascii", "replace")
    try:
        found = _parsed(text)
    except ConfigError as error:
        is_proper(error, MAX_SAID)
        raise
    assert 1 <= len(found) <= MAX_PINS
    assert _parsed("".join(each.pem for each in found)) == found
    for each in found:
        assert each.name.isprintable()
        assert len(each.fingerprint) == 79
    return True


def _parsed(text: str) -> tuple[Certificate, ...]:
    with warnings.catch_warnings(action="ignore"):  # of what another maker got wrong
        return parse_certificates(text, "tls.peer_certificate peer.pem")


def take_code(data: bytes) -> bool:
    """A code as a person types it."""
    digits = parse_code(text_of(data))
    return digits == parse_code(f"{digits[:3]}-{digits[3:6]} {digits[6:]}")


def hear_stranger(data: bytes) -> bool:
    """What somebody says who does not know the code; the first byte: which side, and how cut."""
    flags, stream = (data[0], data[1:]) if data else (0, b"")
    side = Side.CALLER if flags & 1 else Side.WAITER
    events, error = _hear(side, [stream])
    again, other = _hear(side, pieces(stream, flags >> 1 or 1))
    assert events == again == []
    assert str(error) == str(other), f"{error} is {other} where it is cut otherwise"
    if error is not None:
        raise error
    return bool(stream)


def _hear(side: Side, parts: Iterable[bytes]) -> tuple[list[Event], SbsError | None]:
    here = Pairing(side, CODE, own(), _entropy)
    events: list[Event] = []
    try:
        for part in parts:
            if part:
                events += here.receive(part)
                here.outgoing()
    except SbsError as error:
        is_proper(error, MAX_SAID)
        return events, error
    return events, None


def _entropy(size_bytes: int) -> bytes:
    return bytes(range(1, size_bytes + 1))


def hear_partner(data: bytes) -> bool:
    """What somebody says who knows the code: msgpack array of [type, body], after the side."""
    side = Side.CALLER if data[:1] == b"\1" else Side.WAITER
    other = Side.WAITER if side is Side.CALLER else Side.CALLER
    here, there = Pairing(side, CODE, own(), _entropy), Pairing(other, CODE, own(), _entropy)
    here.receive(there.outgoing())
    there.receive(here.outgoing())
    here.receive(there.outgoing()) if other is Side.WAITER else None
    with shaped():
        said = unpacked(data[1:])
        frames = [pairing._HEADER.pack(kind, len(body)) + body for kind, body in said[:250]]
    heard: list[Event] = []
    for number, frame in enumerate(frames):
        mac = pairing._mac(_key_of(there), number, frame)
        try:
            with warnings.catch_warnings(action="ignore"):
                heard += here.receive(frame + mac)
        except SbsError as error:
            is_proper(error, MAX_SAID)
            raise
        for word in (Word.STORED, Word.DONE):
            _say(here, word)
        here.outgoing()
    assert here.is_proven is bool(heard)
    assert len(heard) <= 3
    return here.has_ended


def _say(here: Pairing, word: Word) -> None:
    try:
        here.say(word)
    except SbsError:
        return  # it is not its turn


def _key_of(there: Pairing) -> bytes:
    key: bytes = there._key
    return key


TARGETS: Final = (
    Target(
        name="pins",
        run=read_pins,
        allowed=(ConfigError,),
        form=Form.TEXT,
        tokens=(b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", b"MIIB", b"="),
        longest_bytes=8 * KIB,
        held_bytes=4 * MIB,
        weight=4,
    ),
    Target(name="code", run=take_code, allowed=(ValueError,), form=Form.TEXT, weight=1),
    Target(
        name="pair-stranger",
        run=hear_stranger,
        allowed=(PairingError, RemoteProtocolError),
        tokens=(pairing.PREAMBLE + b"\1", b"\4\0\1\1", b"\1\x20\4"),
        held_bytes=8 * MIB,
    ),
    Target(
        name="pair-partner",
        run=hear_partner,
        allowed=(PairingError, RemoteProtocolError),
        form=Form.MSGPACK,
        prefix_bytes=1,
        longest_bytes=16 * KIB,
        held_bytes=8 * MIB,
        weight=3,
    ),
)
