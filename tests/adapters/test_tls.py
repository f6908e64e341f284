"""B62: who speaks to whom, and what is said to an administrator where it does not work."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import ssl
import weakref
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from sbs.adapters.transports import tls_stream
from sbs.adapters.transports.account import account_of, is_local
from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.transports.tls import Credentials, read_trust
from sbs.adapters.transports.tls_stream import TlsStream
from sbs.core.connection import Connection, Side, last_words
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.core.testament import PeerFencedError
from sbs.errors import ConfigError, IdentityError, RejectedError
from sbs.ports import Listener, Transport
from sbs.testing.transports import check_transport
from tests.adapters.tls_rig import Identities, connected, use


@pytest.fixture
def made(tmp_path: Path) -> Identities:
    return Identities(tmp_path)


async def outcome(accepting: Transport, dialling: Transport) -> dict[str, object]:
    """What both sides find, one that dials and one that accepts."""
    found: dict[str, object] = {}
    async with connected(accepting, dialling) as (dialled, accepted):
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(use, dialled, found, "dialler")
                nursery.start_soon(use, accepted, found, "acceptor")
    return found


# It carries bytes.


async def test_fulfils_the_ports(made: Identities) -> None:
    transport = made.transport("a", "a2")
    assert isinstance(transport, Transport)
    listener = await transport.listen("127.0.0.1:0")
    assert isinstance(listener, Listener)
    assert len(listener.held_fds) == 1
    await listener.aclose()


async def test_tls_passes_the_conformance_check(made: Identities) -> None:
    class Both:
        """One transport for both ends of each connection."""

        def __init__(self) -> None:
            self.listen = made.transport("a", "b").listen
            self.dial = made.transport("b", "a").dial

    await check_transport(Both(), lambda: "127.0.0.1:0")


async def test_what_is_measured_of_the_connection_is_that_below(made: Identities) -> None:
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (dialled, accepted):
        found: dict[str, object] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, dialled, found, "dialler")
            nursery.start_soon(use, accepted, found, "acceptor")
        assert found == {"dialler": b"!", "acceptor": b"!"}
        account = account_of(dialled)
        assert account is not None
        assert account.acked_bytes > 1  # the handshake, and a record around the byte
        assert is_local(accepted)
        assert isinstance(dialled, TlsStream)
        assert dialled.cipher.startswith("TLSv1.3, TLS_")


async def test_large_and_small_pieces_arrive_as_they_were(made: Identities) -> None:
    """Many records in one call of the socket, and one record in many."""
    data = os.urandom(3_000_001)
    for piece in (1, 16_385, 300_000, len(data)):
        part = data if piece > 1 else data[:500]
        async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
            received = bytearray()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.send_all, part)
                while len(received) < len(part):
                    received += await other.receive_some(piece)
        assert received == part


async def test_both_sides_send_at_once(made: Identities) -> None:
    data = os.urandom(5_000_000)

    async def receive(stream: trio.abc.Stream) -> None:
        left = len(data)
        while left:
            left -= len(await stream.receive_some())

    async with connected(made.transport("a", "b"), made.transport("b", "a")) as ends:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                for stream in ends:
                    nursery.start_soon(stream.send_all, data)
                    nursery.start_soon(receive, stream)


async def test_it_is_a_stream_as_trio_wants_one(made: Identities) -> None:
    """Checkpoints, arguments, two tasks at once, closing while another task waits."""
    trust = read_trust(made.path("a"), made.pins("b"))
    other = read_trust(made.path("b"), made.pins("a"))

    async def pair() -> tuple[TlsStream, TlsStream]:
        lone, peer = trio.testing.lockstep_stream_pair()
        return (
            TlsStream(lone, trust.dialling, server_side=False, judge=_Trusting()),
            TlsStream(peer, other.accepting, server_side=True, judge=_Trusting()),
        )

    async def clogged() -> tuple[TlsStream, TlsStream]:
        made_pair = await pair()
        await shake(*made_pair)
        return made_pair

    with trio.fail_after(30):
        await trio.testing.check_two_way_stream(pair, clogged)


# Ends.


async def shake(one: trio.abc.Stream, other: trio.abc.Stream) -> None:
    assert isinstance(one, TlsStream)
    assert isinstance(other, TlsStream)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.do_handshake)
        nursery.start_soon(other.do_handshake)


async def test_an_end_without_a_goodbye_is_a_broken_connection(made: Identities) -> None:
    """Somebody on the way could have cut it: RFC 8446, section 6.1."""
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
        await shake(one, other)
        await one.send_all(b"last")
        assert isinstance(one, TlsStream)
        await one.transport_stream.aclose()
        assert await other.receive_some() == b"last"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError, match="without a goodbye"):
                await other.receive_some()
        with pytest.raises(trio.BrokenResourceError, match="without a goodbye"):
            await other.send_all(b"!")


async def test_a_closed_stream_says_so(made: Identities) -> None:
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
        await shake(one, other)
        await one.aclose()
        await one.aclose()
        assert await other.receive_some() == b""
        with pytest.raises(trio.ClosedResourceError):
            await one.send_all(b"!")
        with pytest.raises(trio.ClosedResourceError):
            await one.receive_some()


async def test_a_peer_that_reads_nothing_does_not_hold_up_the_close(
    made: Identities, autojump_clock: trio.testing.MockClock
) -> None:
    lone, peer = trio.testing.lockstep_stream_pair()
    judge = _Trusting()
    trust = read_trust(made.path("a"), made.pins("b"))
    other = read_trust(made.path("b"), made.pins("a"))
    one = TlsStream(lone, trust.dialling, server_side=False, judge=judge)
    two = TlsStream(peer, other.accepting, server_side=True, judge=judge)
    await shake(one, two)
    began_at = trio.current_time()
    await one.aclose()  # a lockstep stream takes nothing that is not read
    assert trio.current_time() - began_at == tls_stream.GOODBYE_S


async def test_a_send_that_was_cancelled_breaks_the_connection(made: Identities) -> None:
    """A part of a record may have gone: what followed would be read as its rest."""
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
        await shake(one, other)
        with trio.move_on_after(0.05) as scope:
            await one.send_all(bytes(30_000_000))
        assert scope.cancelled_caught
        with pytest.raises(trio.BrokenResourceError, match="not sent whole"):
            await one.send_all(b"!")


async def test_so_does_one_that_was_cancelled_between_two_pieces(made: Identities) -> None:
    trust = read_trust(made.path("a"), made.pins("b"))
    other = read_trust(made.path("b"), made.pins("a"))
    lone, peer = trio.testing.memory_stream_pair()
    one = TlsStream(lone, trust.dialling, server_side=False, judge=_Trusting())
    await shake(one, TlsStream(peer, other.accepting, server_side=True, judge=_Trusting()))
    with trio.CancelScope() as scope:

        async def cancel() -> None:
            scope.cancel()

        lone.send_stream.send_all_hook = cancel
        await one.send_all(bytes(2 * tls_stream.PIECE_BYTES))
    assert scope.cancelled_caught
    with pytest.raises(trio.BrokenResourceError, match="not sent whole"):
        await one.send_all(b"!")


async def test_an_alert_that_comes_in_the_middle_of_a_send_breaks_the_connection(
    made: Identities,
) -> None:
    """A record that is lost on the way must not end the node that sends: its peer says so."""
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
        await shake(one, other)
        assert isinstance(other, TlsStream)

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError, match="changed on its way"):
                await one.send_all(bytes(1_000_000_000))

        async def refuse() -> None:
            with pytest.raises(IdentityError, match="changed on its way"):
                await other.receive_some()

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                header = await other.transport_stream.receive_some(5)
                await other.transport_stream.receive_some(int.from_bytes(header[3:]))
                nursery.start_soon(refuse)
                with pytest.raises(IdentityError, match="changed on its way"):
                    await one.receive_some()


class _Trusting:
    """Takes whoever TLS has let in."""

    def explain(self, error: ssl.SSLError, *, admitted: bool) -> IdentityError:
        return IdentityError(str(error), "nothing")

    def admit(self, certificate: bytes) -> None:
        assert certificate

    def alien(self, data: bytes, *, is_end: bool) -> IdentityError:
        return IdentityError(f"{data!r} {is_end}", "nothing")


# Callers who do not come to the point.


@attrs.define(eq=False)
class Passing(trio.abc.Stream):
    """A stream over another one."""

    below: trio.abc.Stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.below.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.below.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.below.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.below.aclose()


class Dripping(Passing):
    """A stream that receives a byte at a time."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        assert max_bytes
        return await super().receive_some(1)


async def test_a_slow_line_is_no_abuse(made: Identities) -> None:
    """The whole handshake byte by byte, on both sides."""
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
        for stream in (one, other):
            assert isinstance(stream, TlsStream)
            stream.transport_stream = Dripping(stream.transport_stream)
        with trio.fail_after(10):
            await shake(one, other)
            await one.send_all(b"there")
            assert await other.receive_some() == b"there"


ANNOUNCED = b"\x16\x03\x01\x00\x04\x01\x02\x01\x00"
"""A record with the first four bytes of a ClientHello of 131,328."""


async def test_what_is_only_announced_takes_no_memory(made: Identities) -> None:
    """Found by 1,000 callers: OpenSSL would make room for all of it, 128 kB for nine bytes."""
    async with connected(made.transport("a", "b"), TcpTransport()) as (caller, accepted):
        await caller.send_all(ANNOUNCED)
        with trio.fail_after(5), pytest.raises(IdentityError, match="something else than TLS"):
            await accepted.receive_some()


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1", ANNOUNCED, b"\x16\x03\x01\x00\x01\x01"])
async def test_a_caller_who_was_turned_away_is_forgotten_at_once(
    made: Identities, words: bytes
) -> None:
    """Not at the next look for cycles: OpenSSL's memory would pile up, which Python counts not."""
    alive: weakref.WeakSet[trio.abc.Stream] = weakref.WeakSet()
    listener = await made.transport("a", "b").listen("127.0.0.1:0")
    gc.disable()
    try:
        caller = await TcpTransport().dial(listener.address)
        await caller.send_all(words)
        await caller.aclose()
        accepted = await listener.accept()
        alive.add(accepted)
        with contextlib.suppress(IdentityError, trio.BrokenResourceError):
            await accepted.receive_some()
        await accepted.aclose()
        del accepted
        assert not alive
    finally:
        gc.enable()
        await listener.aclose()


# Who is let in.


async def test_a_certificate_that_is_not_pinned_is_refused_by_both_sides(made: Identities) -> None:
    """Another identity calls: the one who accepts says so, and the caller learns why."""
    found = await outcome(made.transport("a", "b"), made.transport("mallory", "a"))
    assert isinstance(found["acceptor"], IdentityError)
    text = str(found["acceptor"])
    assert text.startswith("the caller from 127.0.0.1: its certificate is not the pinned one (")
    assert made.certificate("b").fingerprint in text
    assert "If not, a node.peer is wrong, or somebody else poses as it" in text
    assert isinstance(found["dialler"], IdentityError)
    assert isinstance(found["dialler"], RejectedError)
    assert not isinstance(found["acceptor"], RejectedError)
    text = str(found["dialler"])
    assert "it does not know this node's certificate" in text
    assert made.certificate("mallory").fingerprint in text
    assert "pair again: sbs pair" in text


async def test_somebody_else_at_the_peers_address_is_refused(made: Identities) -> None:
    found = await outcome(made.transport("mallory", "b"), made.transport("b", "a"))
    assert isinstance(found["dialler"], IdentityError)
    assert "its certificate is not the pinned one" in str(found["dialler"])
    assert not isinstance(found["dialler"], RejectedError)
    assert isinstance(found["acceptor"], IdentityError)
    assert "it does not know this node's certificate" in str(found["acceptor"])


@attrs.define(eq=False)
class Forging(Passing):
    """A stream on which somebody says other words than the other side."""

    words: bytes

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await super().receive_some(max_bytes)
        return self.words


async def test_an_alert_that_anybody_can_have_said_is_not_the_peers_word(made: Identities) -> None:
    """``unknown_ca`` in plain, in the place of the peer's first bytes: no sign of life."""
    async with connected(made.transport("a", "b"), made.transport("b", "a")) as (one, other):
        assert isinstance(one, TlsStream)
        with trio.fail_after(5):
            await shake(one, other)
            await other.send_all(b"hello")
            one.transport_stream = Forging(one.transport_stream, b"\x15\x03\x03\x00\x02\x02\x30")
            with pytest.raises(IdentityError) as raised:
                await one.receive_some()
    assert not isinstance(raised.value, RejectedError)


async def test_an_expired_certificate_is_refused(made: Identities) -> None:
    made.path("b", valid_days=-1)
    found = await outcome(made.transport("a", "b"), made.transport("b", "a"))
    assert isinstance(found["acceptor"], IdentityError)
    text = str(found["acceptor"])
    assert "has expired; run sbs pair --renew there, and set the clocks" in text
    assert isinstance(found["dialler"], IdentityError)
    assert "run sbs pair --renew here" in str(found["dialler"])


async def test_swapped_files_are_found_before_anything_is_served(made: Identities) -> None:
    """The own certificate pinned in the place of the peer's."""
    with pytest.raises(ConfigError, match="holds this node's own certificate"):
        made.transport("a", "a", "b")


async def test_swapped_identities_are_refused(made: Identities) -> None:
    """Each node with the other's files: both are themselves, but at the wrong address."""
    with pytest.raises(ConfigError, match=r"tls\.identity"):
        Credentials(made.pins("b"), made.path("a"))


async def test_a_certificate_signed_by_the_pinned_one_is_not_the_pinned_one(
    made: Identities,
) -> None:
    """Whoever got hold of a signature by the peer's key is not the peer."""
    made.sign("signed", by="b")
    found = await outcome(made.transport("a", "b"), made.transport("signed", "a"))
    assert isinstance(found["acceptor"], IdentityError)
    assert "its certificate is not the pinned one" in str(found["acceptor"])


async def raw_client(made: Identities, context: ssl.SSLContext) -> tuple[object, object]:
    """What a node says of a client of the standard library, and what that gets."""
    listener = await made.transport("a", "b").listen("127.0.0.1:0")
    found: dict[str, object] = {}

    async def accept() -> None:
        stream = await listener.accept()
        await use(stream, found, "acceptor")
        await trio.aclose_forcefully(stream)

    got: object = b""
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            host, _, port = listener.address.rpartition(":")
            below = await trio.open_tcp_stream(host, int(port))
            stream = trio.SSLStream(below, context, https_compatible=True)
            try:
                await stream.send_all(b"!")
                got = await stream.receive_some(1)
            except trio.BrokenResourceError as error:
                got = error.__cause__
            await trio.aclose_forcefully(stream)
    await listener.aclose()
    return found["acceptor"], got


async def test_tls_1_2_is_refused(made: Identities) -> None:
    """No downgrade, although the certificate is the pinned one."""
    context = made.client("b")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    said, got = await raw_client(made, context)
    assert isinstance(said, IdentityError)
    assert "it speaks an older TLS than 1.3; allowed is TLS 1.3 alone" in str(said)
    assert isinstance(got, ssl.SSLError)
    assert got.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


async def test_a_client_without_a_certificate_is_refused(made: Identities) -> None:
    said, got = await raw_client(made, made.client(None))
    assert isinstance(said, IdentityError)
    assert "it shows no certificate" in str(said)
    assert isinstance(got, ssl.SSLError)


async def test_a_good_client_of_another_library_is_taken(made: Identities) -> None:
    said, got = await raw_client(made, made.client("b"))
    assert (said, got) == (b"!", b"!")


@attrs.define(eq=False)
class _Recorder(Passing):
    """A stream that remembers what was sent into it."""

    sent: bytes = b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)
        await super().send_all(data)


async def test_what_a_peer_has_said_once_is_worth_nothing_when_it_is_said_again(
    made: Identities,
) -> None:
    """Replay: each connection has a handshake of its own, without tickets and early data."""
    mine = read_trust(made.path("a"), made.pins("b"))
    theirs = read_trust(made.path("b"), made.pins("a"))
    recorded = b""
    for _ in range(2):
        caller, node = trio.testing.memory_stream_pair()
        accepted = TlsStream(node, mine.accepting, server_side=True, judge=_Trusting())
        if not recorded:
            recorder = _Recorder(caller)
            dialled = TlsStream(recorder, theirs.dialling, server_side=False, judge=_Trusting())
            await shake(dialled, accepted)
            await dialled.send_all(b"sbs takeover")
            assert await accepted.receive_some() == b"sbs takeover"
            recorded = recorder.sent
        else:
            await caller.send_all(recorded)
            await caller.aclose()
            with pytest.raises(IdentityError):
                await accepted.receive_some()


# Plain against TLS.


async def test_plain_sbs_is_refused_by_a_node_with_tls(made: Identities) -> None:
    """Adversarial case 9: no plain greeting is accepted, and none is made."""
    plain = Connection(Side.DIALLER, Hello(versions=(1, PROTOCOL_VERSION))).open()
    listener = await made.transport("a", "b").listen("127.0.0.1:0")
    caller = await TcpTransport().dial(listener.address)
    stream = await listener.accept()
    await caller.send_all(plain)
    with trio.fail_after(5), pytest.raises(IdentityError) as raised:
        await stream.send_all(b"secret")
    assert str(raised.value) == (
        "the caller from 127.0.0.1 speaks SBS without TLS; set tls.identity and "
        "tls.peer_certificate on both nodes (sbs pair), or on none"
    )
    await stream.aclose()
    assert await caller.receive_some() == b"\x15\x03\x03\x00\x02\x02\x46"  # protocol_version
    assert await caller.receive_some() == b""
    await caller.aclose()
    await listener.aclose()


async def answered_plainly(made: Identities, answer: bytes, *, end: bool = True) -> Exception:
    """What a node with TLS says of somebody who answers its call so."""
    plain = TcpTransport(bind_bound_s=0.0)
    listener = await plain.listen("127.0.0.1:0")
    dialled = await made.transport("b", "a").dial(listener.address)
    accepted = await listener.accept()
    assert isinstance(accepted, trio.SocketStream)
    found: dict[str, object] = {}
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use, dialled, found, "dialler")
            hello = await accepted.receive_some()
            assert hello[0] == 22  # a ClientHello, and nothing of SBS in it
            assert b"SBS" not in hello
            for byte in answer:
                with contextlib.suppress(trio.BrokenResourceError):  # it has heard enough
                    await accepted.send_all(bytes([byte]))
            if end:
                await accepted.send_eof()
    for each in (dialled, accepted, listener):
        await each.aclose()
    assert isinstance(found["dialler"], Exception)
    return found["dialler"]


SECRET = bytes(range(32))
TESTAMENT = last_words(SECRET)
PLAIN_HELLO = Connection(Side.ACCEPTOR, Hello(versions=(1, 1))).open()


@pytest.mark.parametrize("end", [True, False])
async def test_the_testament_of_a_dead_node_is_taken_in_plain(made: Identities, end: bool) -> None:
    """B31: it proves itself by its secret; the fencer has no keys. Byte by byte."""
    found = await answered_plainly(made, TESTAMENT, end=end)
    assert isinstance(found, PeerFencedError)
    assert found.secret == SECRET


@pytest.mark.parametrize(
    "answer",
    [
        TESTAMENT[:-1],
        PLAIN_HELLO,
        PLAIN_HELLO + TESTAMENT,
        b"\x93",
        b"\x93SBS\r\n\x1a\n" + bytes(1000),
    ],
)
async def test_nothing_else_is_taken_in_plain(made: Identities, answer: bytes) -> None:
    """No downgrade: a plain hello is refused, even if a testament follows."""
    found = await answered_plainly(made, answer)
    assert isinstance(found, IdentityError)
    assert not isinstance(found, PeerFencedError)
    assert "set tls.identity and tls.peer_certificate on both nodes" in str(found)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b"220 mail ESMTP\r\n"])
async def test_another_program_at_the_peers_address_is_named(
    made: Identities, answer: bytes
) -> None:
    found = await answered_plainly(made, answer, end=False)
    assert "speaks something else than TLS: " in str(found)
    assert repr(answer[:1])[1:-1] in str(found)


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x00\x05hello", b"\x17\x03\x03\xff\xff", b"\x15"]
)
async def test_garbage_in_records_is_refused(made: Identities, garbage: bytes) -> None:
    found = await answered_plainly(made, garbage)
    assert isinstance(found, (IdentityError, trio.BrokenResourceError))


async def test_an_acceptor_takes_no_testament(made: Identities) -> None:
    """Only whoever dials the peer's port meets its fencer."""
    listener = await made.transport("a", "b").listen("127.0.0.1:0")
    caller = await TcpTransport().dial(listener.address)
    stream = await listener.accept()
    await caller.send_all(TESTAMENT)
    with trio.fail_after(5), pytest.raises(IdentityError, match="SBS without TLS"):
        await stream.receive_some()
    for each in (caller, stream, listener):
        await each.aclose()


# Files that change.


async def test_a_new_pin_counts_from_the_next_connection(made: Identities, tmp_path: Path) -> None:
    """Rotation without downtime: no restart, and the connection that stands goes on."""
    pins = Path(made.pins("b"))
    one = made.transport("a", "b")
    async with connected(one, made.transport("b", "a")) as (dialled, accepted):
        await shake(dialled, accepted)
        assert await outcome(one, made.transport("b", "a")) == {"dialler": b"!", "acceptor": b"!"}
        replace(pins, made.certificate("b").pem + made.certificate("next").pem)
        for name in ("b", "next"):
            assert (await outcome(one, made.transport(name, "a")))["acceptor"] == b"!"
        replace(pins, made.certificate("next").pem)
        assert (await outcome(one, made.transport("next", "a")))["acceptor"] == b"!"
        found = await outcome(one, made.transport("b", "a"))
        assert isinstance(found["acceptor"], IdentityError)
        await dialled.send_all(b"still here")
        assert await accepted.receive_some() == b"still here"


async def test_a_new_identity_is_shown_from_the_next_connection(made: Identities) -> None:
    one, other = made.transport("a", "b"), made.transport("b", "a", "next")
    replace(Path(made.path("a")), made.read("next").decode())
    assert await outcome(one, other) == {"dialler": b"!", "acceptor": b"!"}
    found = await outcome(one, made.transport("b", "other"))
    assert isinstance(found["dialler"], IdentityError)


async def test_files_that_cannot_be_read_any_more_change_nothing(
    made: Identities, caplog: pytest.LogCaptureFixture
) -> None:
    """An editor's half-written file, or one that is gone, ends no pair; the log says it once."""
    one, other = made.transport("a", "b"), made.transport("b", "a")
    for spoilt in ("half", None):
        caplog.clear()
        if spoilt is None:
            os.unlink(made.pins("b"))
        else:
            replace(Path(made.pins("b")), spoilt)
        for _ in range(3):
            assert (await outcome(one, other))["acceptor"] == b"!"
        told = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(told) == 1
        assert "what was read before stays in use" in told[0].getMessage()


async def test_files_that_could_not_be_read_for_a_moment_are_read_then(
    made: Identities, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While strangers use up all descriptors the peer's certificate is changed."""
    credentials = Credentials(made.path("a"), made.pins("b"))
    before = credentials.trust
    replace(Path(made.pins("b")), made.certificate("b2").pem)

    def refuse(*_args: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert credentials.trust is before
        assert credentials.trust is before
    assert len(caplog.records) == 1
    assert "Too many open files; what was read before stays in use" in caplog.text
    assert [pin.name for pin in credentials.trust.pins] == ["b2"]


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.touch(0o600)
    new.write_text(text, "ascii")
    new.rename(path)
