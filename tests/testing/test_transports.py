from __future__ import annotations

import pytest
import trio
import trio.testing

from sbs.errors import DialRefusedError, TransportError
from sbs.ports import Transport
from sbs.testing.memory import MAX_BACKLOG
from sbs.testing.transports import MemoryNetwork, check_transport


def test_fulfils_the_port() -> None:
    assert isinstance(MemoryNetwork().transport("alpha"), Transport)


async def test_memory_transport_passes_the_conformance_check() -> None:
    await check_transport(MemoryNetwork().transport("alpha"), lambda: "alpha:0")


async def connect(network: MemoryNetwork) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    listener = await network.transport("alpha").listen("alpha:0")
    dialled = await network.transport("beta").dial(listener.address)
    return dialled, await listener.accept()


async def test_streams_keep_trios_rules() -> None:
    async def make() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        return await connect(MemoryNetwork())

    async def make_clogged() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        ends = await make()
        for end in ends:
            with trio.move_on_after(0.01):
                await end.send_all(bytes(1_000_000))
        return ends

    await trio.testing.check_two_way_stream(make, make_clogged)


async def test_cut_holds_bytes_back_silently_until_healed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    dialled, accepted = await connect(network)
    network.cut("alpha", "beta")
    await dialled.send_all(b"late")
    await dialled.aclose()
    with trio.move_on_after(1000) as scope:
        await accepted.receive_some()
    assert scope.cancelled_caught
    network.heal("beta", "alpha")
    assert await accepted.receive_some() == b"late"
    assert await accepted.receive_some() == b""


async def test_cut_lets_no_refusal_pass(autojump_clock: trio.testing.MockClock) -> None:
    network = MemoryNetwork()
    network.transport("alpha")
    beta = network.transport("beta")
    network.cut("alpha", "beta")
    with trio.move_on_after(1000) as scope:
        await beta.dial("alpha:1")
    assert scope.cancelled_caught
    network.heal("alpha", "beta")
    with pytest.raises(DialRefusedError):
        await beta.dial("alpha:1")


async def test_other_hosts_are_not_cut() -> None:
    network = MemoryNetwork()
    network.cut("alpha", "gamma")
    dialled, accepted = await connect(network)
    await dialled.send_all(b"x")
    assert await accepted.receive_some() == b"x"


async def test_hung_host_takes_connections_but_answers_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    alpha, beta = network.transport("alpha"), network.transport("beta")
    listener = await alpha.listen("alpha:4445")
    network.hang("alpha")
    stream = await beta.dial("alpha:4445")
    await stream.send_all(b"x")
    with trio.move_on_after(1000) as scope:
        await listener.accept()
    assert scope.cancelled_caught
    network.resume("alpha")
    assert await (await listener.accept()).receive_some() == b"x"


async def test_backlog_is_bounded_and_closed_with_the_listener(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = MemoryNetwork()
    listener = await network.transport("alpha").listen("alpha:1")
    beta = network.transport("beta")
    streams = [await beta.dial("alpha:1") for _ in range(MAX_BACKLOG)]
    with trio.move_on_after(1000) as scope:
        await beta.dial("alpha:1")
    assert scope.cancelled_caught
    await listener.aclose()
    assert [await stream.receive_some() for stream in streams] == [b""] * MAX_BACKLOG
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_unknown_and_foreign_names_are_errors() -> None:
    alpha = MemoryNetwork().transport("alpha")
    with pytest.raises(TransportError, match="cannot be resolved"):
        await alpha.dial("nowhere:1")
    with pytest.raises(TransportError, match="this host is alpha"):
        await alpha.listen("beta:1")
