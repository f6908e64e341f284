"""What comes before two nodes know each other: TLS, what is none, and the files it rests on."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Final

import trio

from sbs.adapters.transports.identity import make_identity
from sbs.adapters.transports.tls import Trust, _Acquaintance, _testament, read_trust
from sbs.adapters.transports.tls_stream import MAX_ALIEN_BYTES, SHAKE_BYTES, TlsStream
from sbs.core.connection import Side, last_words
from sbs.core.testament import SECRET_BYTES, PeerFencedError
from sbs.errors import ConfigError, TransportError
from tests.fuzz.contract import KIB, MIB, Form, Target, is_proper
from tests.fuzz.local import Stream
from tests.fuzz.scratch import scratch

MAX_SAID: Final = 1000
"""Characters of an error: it may name four fingerprints."""


@cache
def trust() -> Trust:
    """Of a node that has a peer."""
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    own, other = make_identity("alpha", now), make_identity("beta", now)
    pins = other[other.index(b"-----BEGIN CERTIFICATE") :]
    return read_trust(scratch("tls/identity.pem", own), scratch("tls/peer.pem", pins))


def shake_hands(data: bytes) -> bool:
    """First bytes of a stranger, who has no key; the first one decides who called whom."""
    side = Side.DIALLER if data[:1] == b"\1" else Side.ACCEPTOR
    try:
        trio.run(_shake, side, data[1:])
    except PeerFencedError:
        assert side is Side.DIALLER
        return True
    except TransportError as error:
        is_proper(error, MAX_SAID)
        raise
    raise AssertionError("somebody without a key is let in")


async def _shake(side: Side, data: bytes) -> None:
    dials = side is Side.DIALLER
    context = trust().dialling if dials else trust().accepting
    stream, judge = Stream(data), _Acquaintance(side, "10.0.0.2:4445", trust())
    tls = TlsStream(stream, context, server_side=not dials, judge=judge)
    try:
        await tls.receive_some()
    finally:
        assert len(stream.written) <= SHAKE_BYTES
        await tls.aclose()


def hear_testament(data: bytes) -> bool:
    """What is taken in plain: one testament, from its first to its last byte, and nothing else."""
    secret = _testament(data)
    if secret is None:
        return False
    assert len(secret) == SECRET_BYTES
    assert data.endswith(secret)
    assert len(data) <= MAX_ALIEN_BYTES
    return True


def read_identity_file(data: bytes) -> bool:
    """A file with a key and a certificate, as OpenSSL reads it, too."""
    path = scratch("tls/fuzzed.pem", data)
    try:
        found = read_trust(path, scratch("tls/pin.pem", trust().pins[0].pem.encode()))
    except ConfigError as error:
        is_proper(error, MAX_SAID)
        raise
    return found.own not in found.pins


TARGETS: Final = (
    Target(
        name="tls",
        run=shake_hands,
        allowed=(TransportError, trio.BrokenResourceError),
        tokens=(
            last_words(b"\1" * SECRET_BYTES),
            b"\x16\3\1\0\5",
            b"\x15\3\3\0\2\2\x28",
            b"GET / ",
        ),
        held_bytes=4 * MIB,
        longest_bytes=20 * KIB,
        weight=3,
    ),
    Target(
        name="testament",
        run=hear_testament,
        tokens=(last_words(b"\1" * SECRET_BYTES),),
        weight=1,
    ),
    Target(
        name="identity",
        run=read_identity_file,
        allowed=(ConfigError,),
        form=Form.TEXT,
        tokens=(b"-----BEGIN CERTIFICATE-----\n", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", b"="),
        held_bytes=4 * MIB,
        longest_bytes=8 * KIB,
    ),
)
