"""What every transport must fulfil, and a network in memory which does."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

import trio
import trio.testing

from sbs.core.address import Address
from sbs.errors import DialRefusedError, TransportError
from sbs.ports import Listener, Transport
from sbs.testing.memory import MemoryNetwork, MemoryTransport

__all__ = ["MemoryNetwork", "MemoryTransport", "check_transport"]

TRANSFER_BYTES = 32 * 1024 * 1024
"""What :func:`check_transport` sends at once: more than any system buffers for one connection."""


async def check_transport(transport: Transport, make_address: Callable[[], str]) -> None:
    """Check that a transport keeps the promises of :class:`sbs.ports.Transport`.

    Args:
        transport: the one to check.
        make_address: returns an address it can both listen on and dial; with port 0 it may
            always be the same.

    Raises:
        AssertionError: a promise is broken; the text says which.
    """
    await _check_echo(transport, make_address())
    await _check_close(transport, make_address())
    await _check_backpressure(transport, make_address())
    await _check_occupied(transport, make_address())
    await _check_refused(transport, make_address())


async def _connected(
    transport: Transport, listener: Listener
) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Both ends of a new connection that both have used: the dialling, the accepting one."""
    dialled = await transport.dial(listener.address)
    accepted = await listener.accept()
    async with trio.open_nursery() as nursery:
        for source, target in ((dialled, accepted), (accepted, dialled)):
            nursery.start_soon(source.send_all, b"?")
            nursery.start_soon(_receive_exactly, target, 1)
    return dialled, accepted


async def _receive_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        some = await stream.receive_some(count - len(received))
        assert some, f"the stream ended after {len(received)} of {count} bytes"
        received += some
    return bytes(received)


async def _check_echo(transport: Transport, address: str) -> None:
    listener = await transport.listen(address)
    assert Address.parse(listener.address).port != 0, "Listener.address must name the real port"
    for number in range(3):
        dialled, accepted = await _connected(transport, listener)
        async with dialled, accepted:
            for source, target in ((dialled, accepted), (accepted, dialled)):
                await source.send_all(b"%d" % number)
                got = await _receive_exactly(target, 1)
                assert got == b"%d" % number, f"sent {number}, received {got!r}"
    await listener.aclose()


async def _check_close(transport: Transport, address: str) -> None:
    listener = await transport.listen(address)
    dialled, accepted = await _connected(transport, listener)
    async with dialled, accepted:
        await dialled.send_all(b"last words")
        await dialled.aclose()
        assert await _receive_exactly(accepted, 10) == b"last words"
        assert await accepted.receive_some() == b"", "a closed connection must read as its end"
    await listener.aclose()


async def _check_backpressure(transport: Transport, address: str) -> None:
    listener = await transport.listen(address)
    dialled, accepted = await _connected(transport, listener)
    # A prime period: a lost or repeated block shifts what follows.
    data = (bytes(range(251)) * (TRANSFER_BYTES // 251 + 1))[:TRANSFER_BYTES]
    sent = trio.Event()

    async def send() -> None:
        await dialled.send_all(data)
        sent.set()

    async with dialled, accepted, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not sent.is_set(), "send_all must wait while the receiver does not read"
        digest = hashlib.blake2b()
        left = len(data)
        while left:
            some = await accepted.receive_some()
            assert some, f"the stream ended {left} bytes too early"
            digest.update(some)
            left -= len(some)
        assert digest.digest() == hashlib.blake2b(data).digest(), (
            "what arrived is not what was sent"
        )
    await listener.aclose()


async def _expect(
    error: type[TransportError], call: Callable[[], Awaitable[object]], what: str
) -> None:
    try:
        await call()
    except error as raised:
        text = str(raised)
    else:
        raise AssertionError(f"{what} must raise {error.__name__}")
    assert text, f"{what}: the error must say why"


async def _check_occupied(transport: Transport, address: str) -> None:
    listener = await transport.listen(address)
    again = partial(transport.listen, listener.address)
    await _expect(TransportError, again, "a second listen on one address")
    dialled, accepted = await _connected(transport, listener)
    async with dialled, accepted:
        await dialled.send_all(b"!")
        assert await _receive_exactly(accepted, 1) == b"!", "the first listener must live on"
    await listener.aclose()


async def _check_refused(transport: Transport, address: str) -> None:
    listener = await transport.listen(address)
    await listener.aclose()
    dial = partial(transport.dial, listener.address)
    await _expect(DialRefusedError, dial, "a dial where nothing listens any more")
    # The address is free again.
    await (await transport.listen(listener.address)).aclose()
