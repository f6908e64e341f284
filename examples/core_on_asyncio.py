"""The protocol without trio: two ends of a conversation over asyncio's TCP streams.

``sbs.core`` decides and never waits, so that any event loop can carry its bytes. Run it::

    python examples/core_on_asyncio.py
"""

# ruff: noqa: E402 - the bar against trio stands before the imports that must do without it
from __future__ import annotations

import asyncio
import sys
from collections import deque

sys.modules["trio"] = None  # type: ignore[assignment]  # from here on, importing trio fails

from sbs.core.claim import Claim, Mode, Role
from sbs.core.connection import Connection, Side
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import History
from sbs.core.messages import PROTOCOL_VERSION, Follow, Heartbeat, Hello, Message, Welcome

BEATS = 3
TIMEOUT_S = 10


class Peer:
    """A connection of ``sbs.core`` on a pair of streams."""

    def __init__(
        self,
        side: Side,
        hello: Hello,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.connection = Connection(side, hello)
        self._reader = reader
        self._writer = writer
        self._received: deque[Message] = deque()

    async def greet(self) -> Hello:
        """Say Hello and return the other's."""
        self._writer.write(self.connection.open())
        await self._writer.drain()
        hello = await self.receive()
        assert isinstance(hello, Hello)
        return hello

    async def send(self, message: Message) -> None:
        """Send a message which is legal now."""
        self._writer.write(self.connection.send(message))
        await self._writer.drain()

    async def receive(self) -> Message:
        """The next message; EOFError when the other side has closed between two of them."""
        while not self._received:
            data = await self._reader.read(65536)
            if not data:
                self.connection.receive_eof()
                raise EOFError("the other side has closed")
            self._received.extend(self.connection.receive(data))
        return self._received.popleft()

    async def beat(self) -> int:
        """Exchange heartbeats; return the number of those that were echoed."""
        echoed = 0
        echo = 0
        for sequence in range(1, BEATS + 1):
            await self.send(Heartbeat(sequence, echo))
            answer = await self.receive()
            assert isinstance(answer, Heartbeat)
            echo = answer.sequence
            echoed += answer.echo > 0
        return echoed


def make_hello(name: str, slot: int, role: Role, epoch: Epoch) -> Hello:
    """What a node says of itself."""
    claim = Claim(
        node_id=f"{slot:032x}",
        name=name,
        mode=Mode.SYMMETRIC,
        priority=100,
        slot=slot,
        role=role,
        epoch=epoch,
        history=History(),
    )
    return Hello(versions=(1, PROTOCOL_VERSION), software="core on asyncio", claim=claim)


async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The acceptor: welcome a follower and answer its heartbeats until it closes."""
    epoch = Epoch(1, 0)
    peer = Peer(Side.ACCEPTOR, make_hello("alpha", 0, Role.PRIMARY, epoch), reader, writer)
    try:
        await peer.greet()
        sequence = 0
        while True:
            match await peer.receive():
                case Follow():
                    await peer.send(Welcome(epoch, History()))
                case Heartbeat(sequence=received):
                    sequence += 1
                    await peer.send(Heartbeat(sequence, received))
    except EOFError:
        print(f"alpha: the follower has closed; {sequence} heartbeats answered")
    finally:
        writer.close()
        await writer.wait_closed()


async def follow(port: int) -> None:
    """The dialler: ask to follow, exchange heartbeats, close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hello = make_hello("beta", 1, Role.PROBING, NO_EPOCH)
    peer = Peer(Side.DIALLER, hello, reader, writer)
    theirs = await peer.greet()
    assert theirs.claim is not None
    role, version = theirs.claim.role.value, peer.connection.version
    print(f"beta: {theirs.claim.name} is {role}, speaking version {version}")
    await peer.send(Follow(NO_EPOCH))
    welcome = await peer.receive()
    assert isinstance(welcome, Welcome)
    print(f"beta: following in epoch {welcome.epoch}")
    print(f"beta: {await peer.beat()} heartbeats echoed")
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    """Both nodes in one program, over a real loopback connection."""
    finished = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await lead(reader, writer)
        finished.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, asyncio.timeout(TIMEOUT_S):
        await follow(server.sockets[0].getsockname()[1])
        await finished.wait()


if __name__ == "__main__":
    asyncio.run(main())
