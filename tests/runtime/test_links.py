"""All connections of a node: who is let in, and what the role machine hears of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from sbs.core import events as ev
from sbs.core.connection import Connection, Side
from sbs.core.epoch import NO_EPOCH
from sbs.core.frames import PREAMBLE
from sbs.core.messages import AskRole, Code, Follow, Heartbeat, Hello, Message, Refused
from sbs.errors import IdentityError, RejectedError, RemoteProtocolError, TransportError
from sbs.ports import Listener, Transport
from sbs.runtime.alarms import Alarms
from sbs.runtime.linking.link import Link
from sbs.runtime.linking.links import MAX_ACCEPTED, Links
from sbs.runtime.linking.strangers import GRACE_S, MAX_STRANGERS, MAX_TOLD, Strangers
from sbs.testing.memory import MemoryNetwork
from sbs.testing.nodes import wait_until
from tests.runtime.rig import hello

GREETING_S = 0.5


@pytest.fixture(autouse=True)
def quick_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbs.runtime.linking.links.GREETING_S", GREETING_S)


class Router:
    async def route(self, link: Link, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        raise RemoteProtocolError(f"{type(message).__name__} outside a session")


@attrs.frozen
class SlowTransport:
    """Connects late."""

    _transport: Transport
    _delay_s: float

    async def listen(self, address: str) -> Listener:
        return await self._transport.listen(address)

    async def dial(self, address: str) -> trio.abc.Stream:
        await trio.sleep(self._delay_s)
        return await self._transport.dial(address)


@attrs.frozen
class TurningAway:
    """Connects; the other side then says who it is, or that it does not want this one."""

    _transport: Transport
    _error: IdentityError

    async def listen(self, address: str) -> Listener:
        return await self._transport.listen(address)

    async def dial(self, address: str) -> trio.abc.Stream:
        stream = await self._transport.dial(address)
        assert isinstance(stream, trio.StapledStream)
        return trio.StapledStream(stream.send_stream, Unwilling(stream.receive_stream, self._error))


@attrs.frozen
class Unwilling(trio.abc.ReceiveStream):
    """Receives an error alone."""

    _stream: trio.abc.ReceiveStream
    _error: IdentityError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise self._error

    async def aclose(self) -> None:
        await self._stream.aclose()


class Served:
    """Links of node ``a`` that serve; the test is node ``b``, or whoever calls."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.events: list[ev.Event] = []
        self.there = self.network.transport("b")
        self.alarms = Alarms()
        self.heard: list[Message] = []
        self.links = Links(
            self.network.transport("a"),
            "b:1",
            lambda: hello("a"),
            self._post,
            Router(),
            self.alarms,
        )

    async def _post(self, event: ev.Event) -> None:
        await trio.lowlevel.checkpoint()
        self.events.append(event)

    async def hear(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append(message)

    async def call(self) -> trio.abc.Stream:
        return await self.there.dial("a:1")

    async def greet(self) -> tuple[Link, trio.abc.Stream]:
        """Call as node ``b``, greeted."""
        stream = await self.call()
        link = Link(100, stream, Side.DIALLER, hello("b"))
        await link.greet()
        await trio.testing.wait_all_tasks_blocked()
        return link, stream

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


@asynccontextmanager
async def serving() -> AsyncGenerator[Served, None]:
    served = Served()
    listener = await served.network.transport("a").listen("a:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.links.accept_forever, listener)
        yield served
        nursery.cancel_scope.cancel()


class Latecomer(trio.abc.Instrument):
    """Has a task for the first connection whenever another one has ended.

    Args:
        links: with that connection.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._waits = False
        self.came = 0
        self.refusals: list[RuntimeError] = []

    async def _task(self) -> None:
        await trio.lowlevel.checkpoint()

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        if self._waits and "Latecomer" not in task.name:  # one at a time
            return
        self.came += 1
        self._waits = True
        try:
            self._links.attach(1, self._task)
        except RuntimeError as error:
            self.refusals.append(error)


async def test_a_task_that_comes_as_the_connection_ends_is_not_started() -> None:
    """The role machine hears of the end a moment later; its handover must not end the node."""
    async with serving() as served:
        _, stream = await served.greet()
        latecomer = Latecomer(served.links)
        trio.lowlevel.add_instrument(latecomer)
        await stream.aclose()
        await wait_until(lambda: served.kinds[-1:] == ["ConnectionLost"], "it is lost")
        trio.lowlevel.remove_instrument(latecomer)
        assert latecomer.came
        assert latecomer.refusals == []


async def read_all(stream: trio.abc.Stream) -> bytes:
    got = bytearray()
    while data := await stream.receive_some():
        got += data
    return bytes(got)


async def test_caller_is_met_and_lost() -> None:
    async with serving() as served:
        link, stream = await served.greet()
        met = served.events[0]
        assert isinstance(met, ev.PeerMet)
        assert (met.claim.name, met.dialled) == ("b", False)
        assert served.links.get(met.connection) is not None
        await link.send(Follow(NO_EPOCH))
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert served.kinds == ["PeerMet", "FollowAsked", "ConnectionLost"]
        assert served.links.get(met.connection) is None


async def test_message_outside_a_session_ends_the_connection() -> None:
    async with serving() as served:
        link, _ = await served.greet()
        await link._stream.send_all(b"\0" * 20)
        await trio.testing.wait_all_tasks_blocked()
        assert served.kinds == ["PeerMet", "ConnectionLost"]


async def test_refusal_of_the_peer_is_an_event() -> None:
    async with serving() as served:
        link, _ = await served.greet()
        await link.send(Refused(Code.MODE, "both primary-only"))
        await trio.testing.wait_all_tasks_blocked()
        assert served.events[-1] == ev.TurnedAway(1, Code.MODE, "both primary-only")


async def test_silent_caller_is_closed_after_the_greeting_time() -> None:
    """Adversarial 8."""
    async with serving() as served:
        stream = await served.call()
        assert (await read_all(stream)).startswith(PREAMBLE)
        assert served.events == []


async def test_caller_that_dribbles_is_closed_after_the_greeting_time() -> None:
    """Adversarial 8: bytes do not buy time."""
    async with serving() as served:
        stream = await served.call()
        data = Connection(Side.DIALLER, hello("b")).open()

        async def dribble() -> None:
            for byte in data:
                await stream.send_all(bytes([byte]))
                await trio.sleep(GREETING_S / 10)

        with pytest.raises(trio.BrokenResourceError):
            await dribble()
        assert served.events == []


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", PREAMBLE + b"\xff" * 100, b"\0" * 9])
async def test_garbage_is_answered_and_closed(data: bytes) -> None:
    async with serving() as served:
        stream = await served.call()
        await stream.send_all(data)
        await read_all(stream)
        assert served.events == []
        await served.greet()
        assert served.kinds == ["PeerMet"]


async def test_the_oldest_stranger_gives_way_to_the_newest(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B62: whoever connects and says nothing does not keep the peer out."""
    monkeypatch.setattr("sbs.runtime.linking.links.GREETING_S", 30.0)  # a busy machine is slow
    async with serving() as served:
        callers = [await served.call() for _ in range(MAX_STRANGERS)]
        for caller in callers:
            assert await caller.receive_some()  # our hello
        crowd = [await served.call() for _ in range(3)]
        for caller in crowd:
            assert await caller.receive_some() == b""  # those before it have their time first
        await trio.sleep(GRACE_S)
        await served.greet()
        assert served.kinds == ["PeerMet"]
        assert await callers[0].receive_some() == b""
        with trio.move_on_after(0.1) as scope:
            await callers[1].receive_some()
        assert scope.cancelled_caught


async def test_a_crowd_from_one_address_makes_room_for_another_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """B62: nobody who calls from elsewhere has the peer wait, or give way."""
    strangers = Strangers()
    ours, _ = trio.testing.memory_stream_pair()
    with ExitStack() as stack:

        def come(host: str) -> Link:
            link = Link(1, ours, Side.ACCEPTOR, hello("a"))
            stack.enter_context(strangers.among(link, host))
            return link

        crowd = [come("192.0.2.1") for _ in range(MAX_STRANGERS)]
        assert not strangers.make_room("192.0.2.1")
        assert strangers.make_room("192.0.2.7")
        peer = come("192.0.2.7")
        await trio.sleep(GRACE_S)
        more = [come(host) for host in ["192.0.2.1"] * 500 if strangers.make_room(host)]
        assert not peer.closed_here
        assert len(more) == MAX_STRANGERS - 1
        assert all(link.closed_here for link in crowd)
        assert len(strangers) == MAX_STRANGERS
    assert len(strangers) == 0


async def test_nodes_are_limited_and_places_come_free() -> None:
    async with serving() as served:
        nodes = [await served.greet() for _ in range(MAX_ACCEPTED)]
        late, _ = await served.greet()
        with pytest.RaisesGroup(TransportError):
            await late.run(served.hear)
        assert served.heard == [Refused(Code.BUSY, "32 connections stand")]
        for _, stream in nodes[:2]:
            await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        await served.greet()
        assert served.kinds.count("PeerMet") == MAX_ACCEPTED + 1


async def test_a_node_that_calls_and_does_nothing_keeps_no_place() -> None:
    """B62: else 32 hellos would keep the peer out for ever."""
    async with serving() as served:
        idle = [await served.greet() for _ in range(MAX_ACCEPTED - 1)]
        follower, _ = await served.greet()
        await follower.send(Follow(NO_EPOCH))
        for _, stream in idle:
            assert await read_all(stream) == b""
        await wait_until(lambda: served.kinds.count("ConnectionLost") == len(idle), "all are lost")
        await served.greet()
        assert served.links.get(MAX_ACCEPTED) is not None


async def test_a_wish_ends_with_the_session_of_whoever_has_it() -> None:
    """R44: the next secondary has not asked for the role."""
    async with serving() as served:
        link, _ = await served.greet()
        (number,) = served.links._links
        accepted = served.links.get(number)
        assert accepted is not None
        await served.links._take(accepted, AskRole("a new licence"))
        other, _ = await served.greet()
        assert served.links.wish == "a new licence"
        await link._stream.aclose()
        await wait_until(lambda: not served.links.wish, "the wish is forgotten")
        assert other.peer is not None


async def test_the_log_tells_of_a_few_who_were_turned_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever knocks without end does not fill the disk; the log says how many did."""
    monkeypatch.setattr("sbs.runtime.linking.strangers.TOLD_S", GREETING_S)
    async with serving() as served:
        for knocks in (MAX_TOLD + 5, 1):
            for _ in range(knocks):
                stream = await served.call()
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
                await read_all(stream)
            await trio.sleep(GREETING_S)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("does not speak SBS" in line for line in lines) == MAX_TOLD + 1
    assert lines.count("5 more callers were turned away, untold") == 1


async def visit(served: Served) -> Link:
    visitor = Hello(versions=(1, 1), software="probe")
    link = Link(100, await served.call(), Side.DIALLER, visitor)
    await link.greet()
    return link


async def test_visitor_is_greeted_and_no_event() -> None:
    """B60: a probe disturbs nothing."""
    async with serving() as served:
        link = await visit(served)
        assert link.peer == hello("a")
        await link.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert served.events == []


async def test_visitor_that_stays_is_closed() -> None:
    async with serving() as served:
        link = await visit(served)
        assert await read_all(link._stream) == b""


async def test_visitor_that_talks_is_closed() -> None:
    async with serving() as served:
        link = await visit(served)
        await link._stream.send_all(b"\0" * 20)
        await link._read()
        assert isinstance(link._received[-1], Refused)


async def test_dial_meets_or_fails() -> None:
    served = Served()
    await served.links.dial(1.0)
    assert served.events.pop() == ev.DialFailed(refused=True)
    served.network.cut("a", "b")
    await served.links.dial(0.1)
    assert served.events.pop() == ev.DialFailed(refused=False)
    served.network.heal("a", "b")
    listener = await served.there.listen("b:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.links.dial, 1.0)
        link = Link(100, await listener.accept(), Side.ACCEPTOR, hello("b"))
        await link.greet()
        await trio.testing.wait_all_tasks_blocked()
        met = served.events[0]
        assert isinstance(met, ev.PeerMet)
        assert met.dialled
        served.links.close(met.connection)
    assert served.kinds == ["PeerMet", "ConnectionLost"]


@pytest.mark.parametrize(
    ("kind", "event"),
    [(RejectedError, ev.DialRejected()), (IdentityError, ev.DialFailed(refused=False))],
)
async def test_of_those_who_turn_this_node_away_the_peer_alone_is_a_sign_of_life(
    kind: type[IdentityError], event: ev.Event
) -> None:
    """B62: a stranger at its address must not be able to hold up a takeover."""
    served = Served()
    error = kind("b:1: who are you", "pair")
    served.links._transport = TurningAway(served.network.transport("a"), error)
    await served.there.listen("b:1")
    await served.links.dial(1.0)
    assert served.events == [event]
    assert served.alarms.standing[0].text == "b:1: who are you; pair"


async def test_dialled_node_that_does_not_answer_is_a_failed_dial() -> None:
    served = Served()
    await served.there.listen("b:1")
    await served.links.dial(0.1)
    assert served.events == [ev.DialFailed(refused=False)]


async def test_a_slow_link_is_a_link(autojump_clock: trio.testing.MockClock) -> None:
    """R7: connecting takes a round trip, and hellos another; each may take the time of a dial."""
    served = Served()
    listener = await served.there.listen("b:1")
    served.links._transport = SlowTransport(served.network.transport("a"), 0.8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.links.dial, 1.0)
        link = Link(100, await listener.accept(), Side.ACCEPTOR, hello("b"))
        await trio.sleep(0.8)
        await link.greet()
        await trio.testing.wait_all_tasks_blocked()
        assert served.kinds == ["PeerMet"]
        nursery.cancel_scope.cancel()


async def test_dialled_stranger_without_a_claim_is_a_failed_dial() -> None:
    """Else the node would wait for that dial's end for ever."""
    served = Served()
    listener = await served.there.listen("b:1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.links.dial, 1.0)
        stranger = Hello(versions=(1, 1))
        link = Link(100, await listener.accept(), Side.ACCEPTOR, stranger)
        await link.greet()
    assert served.events == [ev.DialFailed(refused=False)]


async def test_task_that_fails_ends_its_connection() -> None:
    async with serving() as served:
        await served.greet()

        async def fail() -> None:
            await trio.lowlevel.checkpoint()
            raise RemoteProtocolError("enough")

        assert served.links.attach(1, fail)
        assert not served.links.attach(99, fail)  # no such connection: nothing happens
        await trio.testing.wait_all_tasks_blocked()
        assert served.kinds == ["PeerMet", "ConnectionLost"]


async def test_last_word_reaches_the_peer() -> None:
    async with serving() as served:
        link, _ = await served.greet()
        async with trio.open_nursery() as nursery:
            served.links.finish(nursery, 1, Refused(Code.BUSY, "not now"))
            served.links.finish(nursery, 99, Refused(Code.BUSY, "nobody"))
        await link._read()
        assert link._received[-1] == Refused(Code.BUSY, "not now")
        await trio.testing.wait_all_tasks_blocked()
        assert served.kinds == ["PeerMet", "ConnectionLost"]


async def test_heartbeats_are_no_business_of_the_router() -> None:
    async with serving() as served:
        link, _ = await served.greet()
        await link.send(Follow(NO_EPOCH))
        await link.send(Heartbeat(1))
        await trio.testing.wait_all_tasks_blocked()
        assert served.kinds == ["PeerMet", "FollowAsked"]
