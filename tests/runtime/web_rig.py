"""A pair in memory that is shown by HTTP on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import trio

from sbs.config import WebSettings
from sbs.core.address import Address
from sbs.testing.nodes import MemoryNode, MemoryPair, memory_pair, wait_until

LISTEN = WebSettings(listen=Address("127.0.0.1", 0))


def shown(node: MemoryNode, web: WebSettings = LISTEN) -> None:
    """From its next start on the node is shown by HTTP."""
    node.config = attrs.evolve(node.config, web=web)


@asynccontextmanager
async def shown_pair(directory: Path, **options: Any) -> AsyncGenerator[MemoryPair, None]:
    """A pair, not started, whose nodes are shown."""
    async with memory_pair(directory, **options) as pair:
        shown(pair.alpha)
        shown(pair.beta)
        yield pair


async def address_of(node: MemoryNode) -> str:
    """Where it is shown."""
    door = node.node._door
    assert door is not None
    await wait_until(lambda: door.address, f"{node.name} is shown")
    return door.address


@asynccontextmanager
async def client_of(node: MemoryNode) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client of the node's pages."""
    url = f"http://{await address_of(node)}"
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        yield client


@asynccontextmanager
async def connected(node: MemoryNode, count: int) -> AsyncGenerator[list[trio.SocketStream], None]:
    """Connections that have said nothing."""
    host, _, port = (await address_of(node)).rpartition(":")
    streams = [await trio.open_tcp_stream(host, int(port)) for _ in range(count)]
    try:
        yield streams
    finally:
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    """All that comes until the other side closes, however it does."""
    found = b""
    try:
        while data := await stream.receive_some(65536):
            found += data
    except trio.BrokenResourceError:
        pass
    return found


class Events:
    """An event stream, read event by event."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._data = b""
        self.head = ""

    async def ask(self, last_id: str = "") -> None:
        """Begin; HTTP/1.0 has no chunks that would have to be put together."""
        request = f"GET /events HTTP/1.0\r\nLast-Event-ID: {last_id}\r\n\r\n"
        await self._stream.send_all(request.encode())
        self.head = await self._until(b"\r\n\r\n")

    async def _until(self, end: bytes) -> str:
        while end not in self._data:
            data = await self._stream.receive_some(65536)
            assert data, "the stream has ended"
            self._data += data
        found, _, self._data = self._data.partition(end)
        return found.decode()

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The id and the data of the next event."""
        while True:
            lines = (await self._until(b"\n\n")).split("\n")
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "data" in fields:
                assert fields["event"] == "status"
                return fields["id"], json.loads(fields["data"])

    async def until_role(self, role: str) -> dict[str, Any]:
        """The first event in which the node has this role."""
        while True:
            _, found = await self.next()
            if found["role"] == role:
                return found


@asynccontextmanager
async def listening(node: MemoryNode, last_id: str = "") -> AsyncGenerator[Events, None]:
    """A listener of the node's event stream."""
    async with connected(node, 1) as (stream,):
        events = Events(stream)
        await events.ask(last_id)
        yield events
