from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys

import pytest
import trio
import trio.testing

from sbs.adapters.services import testament
from sbs.adapters.transports import tcp
from sbs.adapters.transports.tcp import TcpTransport
from sbs.errors import DialRefusedError, TransportError
from sbs.ports import Listener, Transport
from sbs.testing.transports import check_transport

IMPATIENT = TcpTransport(bind_bound_s=0.0)


async def test_fulfils_the_ports() -> None:
    assert isinstance(TcpTransport(), Transport)
    listener = await IMPATIENT.listen("127.0.0.1:0")
    assert isinstance(listener, Listener)
    await listener.aclose()


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
async def test_tcp_passes_the_conformance_check(address: str) -> None:
    await check_transport(IMPATIENT, lambda: address)


async def test_heartbeats_are_not_delayed_by_nagle() -> None:
    listener = await IMPATIENT.listen("127.0.0.1:0")
    dialled = await IMPATIENT.dial(listener.address)
    accepted = await listener.accept()
    for stream in (dialled, accepted):
        assert isinstance(stream, trio.SocketStream)
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await stream.aclose()
    await listener.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="an option of Linux")
async def test_a_packet_that_is_lost_twice_is_no_silence() -> None:
    """R7: its third try comes as soon after the second as that did after the first."""
    listener = await IMPATIENT.listen("127.0.0.1:0")
    dialled = await IMPATIENT.dial(listener.address)
    accepted = await listener.accept()
    for stream in (dialled, accepted):
        assert isinstance(stream, trio.SocketStream)
        assert stream.getsockopt(socket.IPPROTO_TCP, 16) == 1
        await stream.aclose()
    await listener.aclose()


async def test_held_descriptor_keeps_the_port_open() -> None:
    """B31: while something holds the descriptor, the port does not refuse."""
    listener = await IMPATIENT.listen("127.0.0.1:0")
    address = listener.address
    held = [os.dup(fd) for fd in listener.held_fds]
    assert len(held) == 1
    await listener.aclose()
    await (await IMPATIENT.dial(address)).aclose()
    os.close(held[0])
    with pytest.raises(DialRefusedError, match=f"cannot connect to {address}: Connection refused"):
        await IMPATIENT.dial(address)


async def test_waits_for_a_port_that_a_dying_predecessor_holds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B31: its fencer tells the peer for a second that all is dead; said once in the log."""
    caplog.set_level(logging.INFO)
    assert tcp.BIND_BOUND_S > testament.LINGER_S + 1
    first = await IMPATIENT.listen("127.0.0.1:0")

    async def free_it() -> None:
        await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.sleep(3 * tcp.BIND_INTERVAL_S)
        await first.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(free_it)
        second = await TcpTransport().listen(first.address)
    assert second.address == first.address
    assert [record.getMessage() for record in caplog.records] == [
        f"{first.address} is in use; tried for {tcp.BIND_BOUND_S:g} s more"
    ]
    await second.aclose()


async def test_used_address_names_itself_and_the_likely_cause() -> None:
    listener = await IMPATIENT.listen("127.0.0.1:0")
    with pytest.raises(TransportError, match=f"{listener.address}: .*another program listens"):
        await IMPATIENT.listen(listener.address)
    await listener.aclose()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("192.0.2.1:4445", "no interface of this machine has that address"),
        ("no.such.host.invalid:1", "name cannot be resolved"),
        ("::1", "written in brackets"),
    ],
)
async def test_impossible_addresses_to_listen_on(address: str, says: str) -> None:
    with pytest.raises(TransportError, match=says):
        await IMPATIENT.listen(address)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("no.such.host.invalid:1", "name cannot be resolved"),
        ("127.0.0.1:0", "ports 1 to 65535"),
        ("255.255.255.255:1", "cannot connect to 255.255.255.255:1: "),
        ("bad host", "allowed is a name"),
    ],
)
async def test_unreachable_addresses_are_no_refusal(address: str, says: str) -> None:
    with pytest.raises(TransportError, match=says) as caught:
        await IMPATIENT.dial(address)
    assert not isinstance(caught.value, DialRefusedError)


async def test_port_connected_to_itself_is_recognised() -> None:
    sock = trio.socket.socket()
    await sock.bind(("127.0.0.1", 0))
    dialled = sock.getsockname()
    await sock.connect(dialled)
    assert tcp._is_self_connected(sock, dialled)
    sock.close()


async def test_accept_survives_a_lack_of_descriptors(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await IMPATIENT.listen("127.0.0.1:0")
    assert isinstance(listener, tcp.TcpListener)
    failures = [errno.EMFILE, errno.ENFILE]
    real = listener._listener

    class Scarce(trio.abc.Listener[trio.SocketStream]):
        socket = real.socket

        async def accept(self) -> trio.SocketStream:
            if failures:
                raise OSError(number := failures.pop(), os.strerror(number))
            return await real.accept()

        async def aclose(self) -> None:
            await real.aclose()

    scarce = tcp.TcpListener(listener._sock, Scarce(), listener._address)  # type: ignore[arg-type]
    dialled = await IMPATIENT.dial(listener.address)
    accepted = await scarce.accept()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    failures.append(errno.EPERM)
    with pytest.raises(TransportError, match="cannot accept"):
        await scarce.accept()
    for end in (dialled, accepted, scarce):
        await end.aclose()


async def test_many_are_accepted_in_one_turn_and_none_is_forgotten() -> None:
    """More than a batch, in their order; the one that nobody took ends with the listener."""
    listener = await IMPATIENT.listen("127.0.0.1:0")
    callers = [await IMPATIENT.dial(listener.address) for _ in range(tcp.BATCH + 2)]
    accepted = [await listener.accept() for _ in range(tcp.BATCH + 1)]
    for number, stream in enumerate(accepted):
        await stream.send_all(bytes([number]))
    await listener.aclose()
    for number, caller in enumerate(callers[:-1]):
        assert await caller.receive_some(10) == bytes([number])
    with contextlib.suppress(trio.BrokenResourceError):
        assert await callers[-1].receive_some(10) == b""
    for stream in (*callers, *accepted):
        await stream.aclose()


async def test_cancelled_dial_and_listen_leave_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            await IMPATIENT.dial("127.0.0.1:4445")
        with trio.CancelScope() as scope:
            scope.cancel()
            await IMPATIENT.listen("127.0.0.1:0")
    assert len(os.listdir("/proc/self/fd")) == before
