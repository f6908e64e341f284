"""A second look at a peer whose connection is silent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from sbs.core.claim import Role
from sbs.core.connection import Side
from sbs.core.messages import Hello
from sbs.runtime.linking.link import Link
from sbs.runtime.linking.lookout import STALLED, Lookout
from sbs.testing.memory import MemoryNetwork
from tests.runtime.rig import hello

HEARTBEAT_S = 0.5
DOWN_S = 2.0


def primary(name: str, role: Role = Role.PRIMARY) -> Hello:
    said = hello(name)
    assert said.claim is not None
    return attrs.evolve(said, claim=attrs.evolve(said.claim, role=role))


@attrs.define
class Scene:
    """Node ``a`` has dialled node ``b``, which says nothing more on that connection."""

    network: MemoryNetwork
    link: Link
    answer: Hello | None
    """What ``b`` says to whoever else calls; ``None``: nothing."""


@asynccontextmanager
async def silent_session() -> AsyncGenerator[Scene, None]:
    network = MemoryNetwork()
    transport = network.transport("a")
    listener = await network.transport("b").listen("b:1")
    link = Link(1, await transport.dial("b:1"), Side.DIALLER, hello("a"))
    there = Link(2, await listener.accept(), Side.ACCEPTOR, primary("b"))
    scene = Scene(network, link, primary("b"))

    async def answer(stream: trio.abc.Stream) -> None:
        async with stream:
            if scene.answer is None:
                await trio.sleep_forever()
            else:
                await Link(3, stream, Side.ACCEPTOR, scene.answer).greet()

    async def serve() -> None:
        while True:
            nursery.start_soon(answer, await listener.accept())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.greet)
        await link.greet()
        nursery.start_soon(serve)
        lookout = Lookout(
            transport=transport,
            peer_address="b:1",
            heartbeat_interval_s=HEARTBEAT_S,
            down_interval_s=DOWN_S,
        )
        nursery.start_soon(lookout.watch, link)
        yield scene
        nursery.cancel_scope.cancel()


async def test_a_peer_that_answers_elsewhere_lives(autojump_clock: trio.testing.MockClock) -> None:
    """R7: it leads, and is heard of again and again; nothing came in on the connection."""
    async with silent_session() as scene:
        began_at = trio.current_time()
        await trio.sleep(2 * DOWN_S)
        assert scene.link.heard_at > trio.current_time() - HEARTBEAT_S
        assert scene.link.received_at == began_at


async def test_who_does_not_answer_is_silent(autojump_clock: trio.testing.MockClock) -> None:
    """R7: frozen, it takes the call and says nothing; cut off, not even that."""
    async with silent_session() as scene:
        began_at = trio.current_time()
        scene.answer = None
        await trio.sleep(DOWN_S)
        scene.network.cut("a", "b")
        await trio.sleep(DOWN_S)
        assert scene.link.heard_at == began_at


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(primary("b", Role.PROBING), id="leads-no-more"),
        pytest.param(primary("c"), id="another-node"),
        pytest.param(Hello(versions=(1, 1)), id="a-stranger"),
    ],
)
async def test_another_answer_is_no_sign_of_life(
    autojump_clock: trio.testing.MockClock, answer: Hello
) -> None:
    """R7: only the node at the other end counts, in the role it has there."""
    async with silent_session() as scene:
        began_at = trio.current_time()
        scene.answer = answer
        await trio.sleep(DOWN_S)
        assert scene.link.heard_at == began_at


async def test_a_connection_that_stays_silent_is_given_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """R7: its peer lives, so there will be another."""
    async with silent_session() as scene:
        await trio.sleep(STALLED * DOWN_S - HEARTBEAT_S)
        assert not scene.link.closed_here
        await trio.sleep(2 * HEARTBEAT_S)
        assert scene.link.closed_here
