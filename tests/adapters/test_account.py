"""What the kernel says of a connection."""

from __future__ import annotations

import socket
import sys

import pytest
import trio
import trio.testing

from sbs.adapters.transports.account import account_of, is_local
from sbs.adapters.transports.tcp import TcpTransport

MIB = 1024 * 1024


async def connection() -> tuple[trio.SocketStream, trio.SocketStream]:
    listener = await TcpTransport().listen("127.0.0.1:0")
    dialled, accepted = await TcpTransport().dial(listener.address), await listener.accept()
    await listener.aclose()
    assert isinstance(dialled, trio.SocketStream)
    assert isinstance(accepted, trio.SocketStream)
    return dialled, accepted


@pytest.mark.skipif(sys.platform != "linux", reason="an account of Linux")
async def test_what_has_arrived_and_what_waits_is_known() -> None:
    one, other = await connection()
    async with one, other:
        before = account_of(one)
        assert before is not None
        assert before.unsent_bytes == 0
        with trio.move_on_after(0.05):  # the other side does not read: buffers become full
            await one.send_all(bytes(64 * MIB))
        full = account_of(one)
        assert full is not None
        assert full.unsent_bytes > 0
        assert full.acked_bytes > before.acked_bytes
        read = 0
        while (now := account_of(one)) is not None and now.unsent_bytes:
            read += len(await other.receive_some(MIB))
        assert read > 0
        assert account_of(other) is not None


async def test_of_other_streams_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = trio.testing.memory_stream_pair()
    assert account_of(memory) is None
    assert not is_local(memory)
    pair = [trio.SocketStream(trio.socket.from_stdlib_socket(s)) for s in socket.socketpair()]
    assert account_of(pair[0]) is None  # a stream, but not of TCP
    for stream in pair:
        await stream.aclose()
    one, other = await connection()
    monkeypatch.setattr(sys, "platform", "win32")
    assert account_of(one) is None
    await one.aclose()
    await other.aclose()


async def test_one_address_is_one_machine() -> None:
    one, other = await connection()
    assert is_local(one)
    assert is_local(other)
    await other.aclose()
    await one.aclose()
    assert not is_local(one)  # nobody is at the other end
