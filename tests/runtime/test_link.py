"""One connection, over streams in memory."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from sbs.core.codec import encode
from sbs.core.connection import Side
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import History
from sbs.core.messages import (
    Begin,
    Chunk,
    Code,
    Folders,
    Follow,
    Heartbeat,
    Hello,
    Listing,
    Message,
    Refused,
    Welcome,
)
from sbs.errors import ProtocolError, TransportError
from sbs.runtime.linking.link import MAX_POSTED, Link
from sbs.testing.memory import PIPE_BYTES, MemoryNetwork
from sbs.testing.nodes import wait_until
from tests.runtime.rig import hello

EPOCH = Epoch(1, 0)


class Recorder:
    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.messages.append(message)


async def streams() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Both ends of a connection that holds little, as real ones do."""
    network = MemoryNetwork()
    listener = await network.transport("a").listen("a:1")
    dialled = await network.transport("b").dial("a:1")
    accepted = await listener.accept()
    await listener.aclose()
    return dialled, accepted


async def links() -> tuple[Link, Link]:
    """Dialler and acceptor, greeted."""
    dialled, accepted = await streams()
    ends = (
        Link(1, dialled, Side.DIALLER, hello("b")),
        Link(2, accepted, Side.ACCEPTOR, hello("a")),
    )
    async with trio.open_nursery() as nursery:
        for link in ends:
            nursery.start_soon(link.greet)
    return ends


async def session() -> tuple[Link, Link]:
    """Follower and leader, ready for updates."""
    follower, leader = await links()
    await follower.send(Follow(NO_EPOCH))
    await leader._read()
    await leader.send(Welcome(EPOCH, History()))
    await leader.send(Folders(EPOCH, ()))
    while len(follower._received) < 2:
        await follower._read()
    await follower.send(Listing(folder=0, last=True))
    await leader._read()
    follower._received.clear()
    leader._received.clear()
    return follower, leader


async def test_hellos_are_exchanged_at_once() -> None:
    dialler, acceptor = await links()
    assert dialler.peer is not None
    assert dialler.peer.claim is not None
    assert dialler.peer.claim.name == "a"
    assert acceptor.peer is not None


async def test_what_was_posted_goes_before_what_is_sent() -> None:
    follower, leader = await session()
    leader.post(Heartbeat(1))
    leader.post(Begin(EPOCH, 1))
    await leader.send(Chunk(0, b"x"))
    got = Recorder()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run, got)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert got.messages == [Begin(EPOCH, 1), Chunk(0, b"x")]


async def test_heartbeat_waits_behind_one_frame_at_most() -> None:
    """DESIGN: heartbeats are never stuck behind bulk data."""
    follower, leader = await session()
    chunk = Chunk(0, bytes(4 * PIPE_BYTES))
    order: list[str] = []

    async def bulk() -> None:
        await leader.send(Begin(EPOCH, 1))
        for _ in range(3):
            await leader.send(chunk)
            order.append("chunk")

    written, heartbeat = leader._send_bytes, encode(Heartbeat(1))

    async def note(data: bytes) -> None:
        await written(data)
        if data == heartbeat:
            order.append("small")

    leader._send_bytes = note  # type: ignore[method-assign]
    got = Recorder()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leader.run, Recorder())
        nursery.start_soon(bulk)
        await trio.testing.wait_all_tasks_blocked()  # the first chunk fills the pipe
        order.clear()
        leader.post(Heartbeat(1))
        nursery.start_soon(follower.run, got)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    assert order == ["chunk", "small", "chunk", "chunk"]
    assert got.messages == [Begin(EPOCH, 1), chunk, chunk, chunk]


async def test_peer_that_takes_no_messages_is_cut() -> None:
    """Nothing piles up for a peer that does not read."""
    _, leader = await session()
    for number in range(MAX_POSTED):
        leader.post(Heartbeat(number))
    assert not leader.closed_here
    leader.post(Heartbeat(0))
    assert leader.closed_here
    with leader.scope:
        await trio.lowlevel.checkpoint()
    assert leader.scope.cancelled_caught


async def test_heartbeats_are_answered_in_their_echo() -> None:
    follower, leader = await session()
    async with trio.open_nursery() as nursery:
        for link in (follower, leader):
            nursery.start_soon(link.run, Recorder())
            nursery.start_soon(link.beat, 0.005)
        await wait_until(lambda: min(follower._echo, leader._echo) >= 5, "both are heard")
        nursery.cancel_scope.cancel()
    assert follower._echo <= leader._heartbeat


async def run_until_error(link: Link) -> Exception:
    with pytest.raises(ExceptionGroup) as caught:
        await link.run(Recorder())
    return caught.value.exceptions[0]


async def test_end_of_the_stream_is_an_error_of_transport() -> None:
    follower, leader = await session()
    await follower.aclose()
    error = await run_until_error(leader)
    assert isinstance(error, TransportError)
    assert "closed" in str(error) or "broke" in str(error)


async def test_end_within_a_frame_is_no_close() -> None:
    """What came last is lost: that is never taken for an orderly end."""
    follower, leader = await session()
    data = leader._connection.send(Begin(EPOCH, 1))
    await leader._stream.send_all(data[:-1])
    await leader._stream.aclose()
    error = await run_until_error(follower)
    assert isinstance(error, ProtocolError)
    assert "in the middle of" in str(error)


async def test_garbage_is_refused_with_a_word() -> None:
    follower, leader = await session()
    await leader._stream.send_all(b"\xff" * 100)
    error = await run_until_error(follower)
    assert isinstance(error, ProtocolError)
    assert follower.closed_here
    await leader._read()
    last = leader._received[-1]
    assert isinstance(last, Refused)
    assert last.code is Code.PROTOCOL


async def test_who_breaks_the_protocol_is_told_why_whatever_waits_to_be_said() -> None:
    """A heartbeat that was due just then took the last word's place."""
    follower, leader = await session()
    await follower._stream.send_all(encode(Heartbeat(1)) + encode(Follow(NO_EPOCH)))
    leader.post(Heartbeat(1))
    with pytest.raises(ProtocolError):
        await leader._read()
    leader.post(Heartbeat(2))
    while not follower._received:
        await follower._read()
    last = follower._received.pop()
    assert isinstance(last, Refused)
    assert last.code is Code.PROTOCOL


async def test_versions_that_do_not_meet_are_named() -> None:
    dialled, accepted = await streams()
    acceptor = Link(2, accepted, Side.ACCEPTOR, hello("a"))
    dialler = Link(1, dialled, Side.DIALLER, Hello(versions=(7, 9), claim=hello("b").claim))
    errors: list[str] = []

    async def greet(link: Link) -> None:
        with pytest.raises(ProtocolError) as caught:
            await link.greet()
        errors.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(greet, acceptor)
        nursery.start_soon(greet, dialler)
    assert all("no protocol version in common" in text for text in errors)


async def test_refusal_instead_of_a_hello_is_the_reason() -> None:
    dialled, accepted = await streams()
    acceptor = Link(2, accepted, Side.ACCEPTOR, hello("a"))
    dialler = Link(1, dialled, Side.DIALLER, hello("b"))
    await acceptor.finish(Refused(Code.BUSY, "come back later"))
    with pytest.raises(ProtocolError, match="refuses: come back later"):
        await dialler.greet()


async def test_last_word_is_sent_before_the_end() -> None:
    follower, leader = await session()
    leader.post(Heartbeat(1))
    with leader.scope:
        await leader.finish(Refused(Code.STALE, "over"))
    await leader.aclose()
    got = Recorder()
    with pytest.raises(ExceptionGroup):
        await follower.run(got)
    assert got.messages == [Refused(Code.STALE, "over")]


async def test_last_word_to_a_peer_that_does_not_read_ends_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    _, leader = await session()
    async with trio.open_nursery() as nursery:

        async def bulk() -> None:
            await leader.send(Begin(EPOCH, 1))
            await leader.send(Chunk(0, bytes(4 * PIPE_BYTES)))

        nursery.start_soon(bulk)
        await trio.testing.wait_all_tasks_blocked()
        began_at = trio.current_time()
        with leader.scope:
            await leader.finish(Refused(Code.STALE, "over"))
        assert trio.current_time() - began_at <= 2
        nursery.cancel_scope.cancel()


async def test_busy_node_hears_its_peer_but_a_cut_one_does_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A node that is too busy to read must not take its peer for silent."""
    follower, leader = await session()
    await leader.send(Begin(EPOCH, 1))

    async def hold(_message: Message) -> None:
        await trio.sleep(100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run, hold)
        await trio.sleep(50)
        assert follower.heard_at == trio.current_time()
        nursery.cancel_scope.cancel()
    lost_at = trio.current_time()
    await trio.sleep(50)
    assert follower.heard_at <= lost_at
