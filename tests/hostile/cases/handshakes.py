"""Before a node knows who speaks: a port with TLS, and callers and hosts that do otherwise."""

from __future__ import annotations

import contextlib
import random
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeAlias

import trio

from sbs.core.codec import encode
from sbs.core.frames import PREAMBLE
from sbs.core.messages import Code, Follow, Hello, Refused
from sbs.core.testament import SECRET_BYTES, Fenced
from tests.hostile.case import LEAVES, Case, Wire
from tests.hostile.identities import made
from tests.hostile.peer import CLAIM, Peer, leading
from tests.hostile.stages import CALLED, SILENT

Play: TypeAlias = Callable[[Peer], Awaitable[object]]

HELLO: Final = PREAMBLE + encode(Hello(versions=(1, 1), claim=CLAIM)) + encode(Follow(CLAIM.epoch))
PRIMARY: Final = PREAMBLE + encode(Hello(versions=(1, 1), claim=leading()))
TESTAMENT: Final = PREAMBLE + encode(Fenced(bytes(SECRET_BYTES)))
GARBAGE: Final = random.Random(62).randbytes(16_000)
WARNING: Final = b"\x15\x03\x03\x00\x02\x01\x5a"
OLDER: Final = b"\x15\x03\x03\x00\x02\x02\x46"
"""What a server says that speaks TLS 1.2 alone: alert ``protocol_version``."""
UNKNOWN: Final = b"\x15\x03\x03\x00\x02\x02\x30"
EMPTY: Final = b"\x16\x03\x03\x00\x00"


def _says(*pieces: bytes) -> Play:
    """Bytes on the connection as it is, and what comes back is nothing of SBS."""

    async def play(peer: Peer) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            for piece in pieces:
                await peer.stream.send_all(piece)
        await _hears_no_sbs(peer)

    return play


async def _hears_no_sbs(peer: Peer) -> None:
    """What the node says before it closes, or turns to TLS, names no version and no claim."""
    heard = b""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        # Its alert, or its first flight; whoever waits for the end waits for its patience.
        heard = bytes(await peer.stream.receive_some())
    assert b"SBS" not in heard
    assert b"alpha" not in heard


def _leaves(*pieces: bytes) -> Play:
    async def play(peer: Peer) -> None:
        for piece in pieces:
            await peer.stream.send_all(piece)

    return play


def _shakes(make: Callable[[], ssl.SSLContext], *, then: bytes = b"", serves: bool = False) -> Play:
    """A handshake of the standard library, then bytes in plain; nothing of SBS comes back."""

    async def play(peer: Peer) -> None:
        stream = trio.SSLStream(peer.stream, make(), server_side=serves, https_compatible=True)
        heard = b""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if then:
                await stream.do_handshake()
                await peer.stream.send_all(then)
            else:
                await stream.send_all(HELLO)
            while some := await stream.receive_some():
                heard += some
        assert then or not heard

    return play


def _client(name: str | None, days: int = 3650) -> Callable[[], ssl.SSLContext]:
    def make() -> ssl.SSLContext:
        if name is not None:
            made().path(name, days)
        return made().client(name)

    return make


def _old_client() -> ssl.SSLContext:
    context = made().client("beta")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _client_with_a_chain() -> ssl.SSLContext:
    """The right certificate, and five hundred others behind it."""
    own = Path(made().path("beta")).read_text()
    certificate = made().certificate("mallory").pem
    path = Path(made().path("beta")).with_name("chain.pem")
    path.write_text(own + certificate * 500)
    context = made().client(None)
    context.load_cert_chain(path)
    return context


def _server(name: str) -> Callable[[], ssl.SSLContext]:
    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made().path(name))
        return context

    return make


def _first_flight() -> bytes:
    """What a client says first."""
    outgoing = ssl.MemoryBIO()
    tls = made().client("beta").wrap_bio(ssl.MemoryBIO(), outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


async def _half_a_client_hello(peer: Peer) -> None:
    flight = _first_flight()
    await peer.stream.send_all(flight[: len(flight) // 2])


async def _client_hello_twice(peer: Peer) -> None:
    await _says(_first_flight() * 2)(peer)


async def _client_hello_byte_by_byte(peer: Peer) -> None:
    await _says(*(bytes([byte]) for byte in _first_flight()))(peer)


async def _refused_and_plain(peer: Peer) -> None:
    """A downgrade that a refusal of TLS might invite."""
    await _says(GARBAGE[:64])(peer)
    await _says(HELLO)(peer)


async def _echoes(peer: Peer) -> None:
    """What the node says is said back to it."""
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for _ in range(3):
            await peer.stream.send_all(await peer.stream.receive_some())


CALLERS: Final[dict[str, tuple[Play, str]]] = {
    "says hello in plain": (_says(HELLO), "SBS without TLS"),
    "tells a testament to a node that it has called": (_says(TESTAMENT), "SBS without TLS"),
    "refuses in plain": (_says(PREAMBLE + encode(Refused(Code.BUSY, "no"))), "SBS without TLS"),
    "speaks HTTP": (_says(b"GET / HTTP/1.1\r\nHost: alpha\r\n\r\n"), "something else than TLS"),
    "sends garbage": (_says(b"\xff" + GARBAGE), "something else than TLS"),
    "sends garbage in a record": (_says(b"\x16\x03\x01\x3e\x80" + GARBAGE), "TLS"),
    "sends a record of 64 KiB": (_says(b"\x16\x03\x03\xff\xff" + GARBAGE * 4), "TLS"),
    "sends data before any handshake": (_says(b"\x17\x03\x03\x00\x10" + GARBAGE[:16]), "TLS"),
    "sends an older TLS's greeting": (_says(b"\x80\x2e\x01\x03\x01" + GARBAGE[:64]), "TLS"),
    "sends 100 warnings": (_says(WARNING * 100), "TLS"),
    "sends 1000 empty records": (_says(EMPTY * 1000), "TLS"),
    "says hello in plain after its refusal": (_refused_and_plain, "something else than TLS"),
    "sends a ClientHello byte by byte, and leaves": (_client_hello_byte_by_byte, ""),
    "sends half a ClientHello, and leaves": (_half_a_client_hello, ""),
    "sends two ClientHellos": (_client_hello_twice, "TLS"),
    "leaves in the middle of a record": (_leaves(b"\x16\x03\x01\x02\x00\x01"), ""),
    "shows no certificate": (_shakes(_client(None)), "shows no certificate"),
    "shows another certificate": (_shakes(_client("mallory")), "not the pinned one"),
    "shows the node's own certificate": (_shakes(_client("alpha")), "not the pinned one"),
    "shows another certificate that has expired": (
        _shakes(_client("expired", -1)),
        "has expired|not the pinned one",
    ),
    "speaks TLS 1.2 with the pinned certificate": (_shakes(_old_client), "older TLS"),
    "shows 500 certificates more": (_shakes(_client_with_a_chain), "TLS|pinned"),
    "goes on in plain after the handshake": (
        _shakes(_client("beta"), then=HELLO),
        "TLS|changed on its way|hello",
    ),
    "sends another ClientHello in plain after the handshake": (
        _shakes(_client("beta"), then=b"\x16\x03\x01\x00\x10" + GARBAGE[:16]),
        "TLS|changed on its way|hello",
    ),
}

HOSTS: Final[dict[str, tuple[Play, str]]] = {
    "answers in plain as a primary": (_says(PRIMARY), "SBS without TLS"),
    "refuses in plain": (_says(PREAMBLE + encode(Refused(Code.BUSY, "no"))), "SBS without TLS"),
    "tells a testament, and goes on as a primary": (
        _says(TESTAMENT + PRIMARY[len(PREAMBLE) :]),
        "SBS without TLS",
    ),
    "speaks HTTP": (_says(b"HTTP/1.1 200 OK\r\n\r\n"), "something else than TLS"),
    "sends garbage": (_says(b"\xff" + GARBAGE), "something else than TLS"),
    "sends garbage in a record": (_says(b"\x16\x03\x03\x3e\x80" + GARBAGE), "TLS"),
    "says what the node says": (_echoes, "TLS"),
    "shows another certificate": (
        _shakes(_server("mallory"), serves=True),
        "not the pinned one",
    ),
    "shows the node's own certificate": (
        _shakes(_server("alpha"), serves=True),
        "not the pinned one",
    ),
    "says that it speaks an older TLS": (_says(OLDER), "does not speak TLS 1.3"),
    "says that it knows no such certificate": (_says(UNKNOWN), "does not know this node's"),
    "goes on in plain after the handshake": (
        _shakes(_server("beta"), then=PRIMARY, serves=True),
        "TLS|changed on its way|following",
    ),
    "closes at once": (_leaves(), ""),
    "closes in the middle of a record": (_leaves(b"\x16\x03\x03\x02\x00\x02"), ""),
}

CASES: Final = (
    *(
        Case(
            name=f"a caller of a port with TLS {what}",
            seen="A9",
            at=SILENT,
            plays=play,
            answer=LEAVES,
            wire=Wire.RAW,
            logged=logged,
        )
        for what, (play, logged) in CALLERS.items()
    ),
    *(
        Case(
            name=f"a host that a node with TLS calls {what}",
            seen="A9",
            at=CALLED,
            plays=play,
            answer=LEAVES,
            wire=Wire.RAW,
            logged=logged,
        )
        for what, (play, logged) in HOSTS.items()
    ),
    Case(
        name="a host that a node with TLS calls tells of a death that it cannot prove",
        seen="B31",
        at=CALLED,
        plays=_says(TESTAMENT),
        answer=LEAVES,
        wire=Wire.RAW,
    ),
)
