"""B61: what the other side of an HTTP connection cannot do, on a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import cast

import pytest
import trio
from prometheus_client import CONTENT_TYPE_LATEST
from trio.testing import MemorySendStream, MockClock, lockstep_stream_pair, memory_stream_pair

from sbs.core.claim import Role
from sbs.runtime.showing.answer import Answer, Reply, Request, Stream, text
from sbs.runtime.showing.conversation import REQUEST_S, SEND_S, Conversation
from sbs.runtime.showing.news import BEAT_S, News
from sbs.runtime.showing.pages import PAUSE_S, Pages
from sbs.runtime.showing.snapshots import NoStatusError, Shown, Snapshot, Snapshots

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class FakePages:
    """Answers everything in one way."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.asked: list[Request] = []

    async def reply(self, request: Request) -> Reply:
        self.asked.append(request)
        await trio.lowlevel.checkpoint()
        return self._reply

    def count(self, status: int) -> None:
        pass


def talk(stream: trio.abc.Stream, reply: Reply | None = None) -> Conversation:
    return Conversation(stream, cast(Pages, FakePages(reply or text(200, "yes"))))


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET, GET + b"GET /"])
async def test_who_is_silent_is_left(autojump_clock: MockClock, sent: bytes) -> None:
    """Before a request, within one, and between two."""
    ours, theirs = memory_stream_pair()
    await theirs.send_all(sent)
    await talk(ours).run()
    assert trio.current_time() == pytest.approx(REQUEST_S)


async def test_a_head_byte_by_byte_does_not_last(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()

    async def trickle() -> None:
        await theirs.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        while True:
            await theirs.send_all(b"y")
            await trio.sleep(REQUEST_S / 20)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle)
        await talk(ours).run()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == pytest.approx(REQUEST_S)


async def test_who_does_not_read_an_answer_is_left(autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, GET)
        await talk(ours).run()
    assert trio.current_time() == pytest.approx(SEND_S)


async def endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b": x\n\n"
        await trio.sleep(1)


async def test_a_listener_who_does_not_read_is_left(autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, GET)
        await talk(ours, Stream(endless())).run()
    assert trio.current_time() == pytest.approx(SEND_S)


@pytest.mark.parametrize("leaves", [True, False])
async def test_a_listener_who_leaves_or_talks_is_left(
    autojump_clock: MockClock, leaves: bool
) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_all(GET)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk(ours, Stream(endless())).run)
        await trio.sleep(3.5)
        if leaves:
            assert isinstance(theirs.send_stream, MemorySendStream)
            await theirs.send_eof()
        else:
            await theirs.send_all(GET)
    assert trio.current_time() == pytest.approx(3.5)


async def test_requests_take_turns(autojump_clock: MockClock) -> None:
    """Whoever asks: two hundred a second, so that the node has its processor."""
    shown = Pages(cast(Shown, object()), local=True)
    async with trio.open_nursery() as nursery:
        for _ in range(101):
            nursery.start_soon(shown.reply, Request(method="GET", path="/missing"))
    assert trio.current_time() == pytest.approx(100 * PAUSE_S)


class FakeNode:
    """Its role never changes."""

    role = Role.PRIMARY

    async def wait_role_change(self, role: Role) -> Role:
        await trio.sleep_forever()
        return role


class FakeSnapshots:
    """There are none."""

    async def take(self) -> Snapshot:
        await trio.lowlevel.checkpoint()
        raise NoStatusError("not now")


async def test_a_stream_without_news_says_that_it_lives(autojump_clock: MockClock) -> None:
    """Proxies end what is silent; a status that cannot be had does not end the stream."""
    told = News(cast(Shown, FakeNode()), cast(Snapshots, FakeSnapshots()))
    stream = told.stream("")
    assert await anext(stream) == b"retry: 2000\n\n"
    assert told.listeners == 1
    for count in (1, 2):
        assert (await anext(stream)).startswith(b": ")
        assert trio.current_time() == pytest.approx(count * BEAT_S, abs=1)
    await stream.aclose()
    assert told.listeners == 0


async def test_the_length_of_head_is_that_of_get(autojump_clock: MockClock) -> None:
    """RFC 9110, section 9.3.2."""
    ours, theirs = memory_stream_pair()
    await theirs.send_all(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = Answer(status=200, body=b"12345", kind=CONTENT_TYPE_LATEST)
    await talk(ours, answer).run()
    await ours.aclose()
    found = b""
    while data := await theirs.receive_some():
        found += data
    assert b"\r\nContent-Length: 5\r\n" in found
    assert found.endswith(b"\r\n\r\n")
