"""One connection to the peer: a stream below, the protocol above.

Control messages are posted and never wait; bulk messages are sent one frame at a time, so a
heartbeat is at most one frame late. Any byte received counts as a sign of life.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from sbs.adapters.transports.account import Account, account_of, is_local
from sbs.core.connection import Connection, Side, State
from sbs.core.messages import MAX_TEXT, Code, Heartbeat, Hello, Message, Refused
from sbs.core.testament import Fenced, PeerFencedError
from sbs.errors import ProtocolError, RemoteProtocolError, TransportError, VersionError
from sbs.log import WARNING, Log
from sbs.runtime import clock

RECEIVE_BYTES: Final = 256 * 1024
"""Asked of the stream at a time: a megabyte frame in few calls, and little memory unused."""

PART_BYTES: Final = 64 * 1024
"""Of a body from which to write it by itself costs less than to copy it."""

MAX_POSTED: Final = 64
"""Control messages waiting to be written: a peer that takes none for so long is lost."""

FAREWELL_S: Final = 1.0
"""How long a last word may take to be written before the connection is cut."""

_log = Log(__name__)
_CHOKED = _log.event(
    "peer-takes-nothing",
    WARNING,
    "connection {connection}: the peer takes no messages; closed",
    "The other node, or the network to it, stands still; this node connects anew. Look at "
    "the load of the other machine.",
)


class Link:
    """A connection in use.

    Args:
        number: names it towards the role machine.
        stream: bytes.
        side: whether this node dialled or accepted.
        hello: this node's first message.
        opened_at: before anything was sent on it, by :mod:`sbs.runtime.clock`; now if left out.
    """

    def __init__(
        self,
        number: int,
        stream: trio.abc.Stream,
        side: Side,
        hello: Hello,
        opened_at: float | None = None,
    ) -> None:
        self.number = number
        self.side = side
        self.scope: trio.CancelScope = trio.CancelScope()
        self.closed_here: bool = False
        self.opened_at: float = clock.now() if opened_at is None else opened_at
        self.session: trio.Event = trio.Event()
        """Set when this node has accepted the peer's Welcome and can take its updates."""
        self._connection = Connection(side, hello)
        self._stream = stream
        self._lock = trio.StrictFIFOLock()
        self._posted: deque[Message] = deque()
        self._wake = trio.Event()
        self._received: deque[Message] = deque()
        self._delivering = False
        self._broken = False
        self._received_at = clock.now()
        self._vouched_at = self._received_at
        self._heartbeat = 0
        self._echo = 0

    @property
    def peer(self) -> Hello | None:
        """What the other side said of itself."""
        return self._connection.peer

    @property
    def is_idle(self) -> bool:
        """Whether both sides have said who they are, and whoever called nothing since."""
        caller = (
            self._connection.state if self.side is Side.DIALLER else self._connection.peer_state
        )
        return caller is State.GREETED

    @property
    def heard_at(self) -> float:
        """When the peer last gave a sign of life, here or elsewhere."""
        return max(self.received_at, self._vouched_at)

    @property
    def received_at(self) -> float:
        """When anything came in here last; now, while this side is too busy to read."""
        return clock.now() if self._delivering else self._received_at

    def vouch(self) -> None:
        """The peer has just given a sign of life elsewhere."""
        self._vouched_at = clock.now()

    async def greet(self) -> Hello:
        """Exchange hellos.

        Raises:
            PeerFencedError: SBS is dead there, and its fencer said its last word.
            ProtocolError: the other side is no SBS node, or of another version.
            TransportError: the connection broke.
        """
        await self._send_bytes(self._connection.open())
        while self._connection.peer is None:
            await self._read()
            match next(iter(self._received), None):
                case Refused(text=text):
                    raise RemoteProtocolError(f"the other side refuses: {text}")
                case Fenced(secret):
                    raise PeerFencedError(secret)
                case _:
                    continue
        first = self._received.popleft()
        if not isinstance(first, Hello):  # the protocol says so; Connection has checked it
            raise TypeError(f"the first message is a {type(first).__name__}")
        return first

    async def run(self, deliver: Callable[[Message], Awaitable[None]]) -> None:
        """Hand each message to ``deliver`` until the connection ends; write what is posted.

        Raises:
            ProtocolError: the peer broke the protocol; it was told.
            TransportError: the connection ended, in order or not.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_posted)
            while True:
                while self._received:
                    message = self._received.popleft()
                    if isinstance(message, Heartbeat):
                        self._echo = message.sequence
                        continue
                    await self._deliver(deliver, message)
                await self._read()

    async def _deliver(
        self, deliver: Callable[[Message], Awaitable[None]], message: Message
    ) -> None:
        self._delivering = True
        try:
            await deliver(message)
            self._received_at = clock.now()
        finally:
            self._delivering = False

    async def beat(self, interval_s: float) -> None:
        """Send heartbeats for ever."""
        while True:
            self._heartbeat += 1
            self.post(Heartbeat(self._heartbeat, self._echo))
            await trio.sleep(interval_s)

    async def _read(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise TransportError(f"the connection broke: {_cause(error)}") from error
        self._received_at = clock.now()
        try:
            if not data:
                self._connection.receive_eof()
                raise TransportError("the peer closed the connection")
            self._received.extend(self._connection.receive(data))
        except ProtocolError as error:
            code = Code.VERSION if isinstance(error, VersionError) else Code.PROTOCOL
            self._broken = True  # nothing may be sent any more but why
            self._posted.clear()
            await self.finish(Refused(code, str(error)[:MAX_TEXT]))
            raise

    @property
    def account(self) -> Account | None:
        """What has arrived at the other side, and what waits; ``None`` where nobody counts."""
        return account_of(self._stream)

    @property
    def is_local(self) -> bool:
        """Whether both nodes are on one machine."""
        return is_local(self._stream)

    def post(self, message: Message) -> None:
        """Write a control message soon, in order, without waiting."""
        if self._broken:
            return
        if len(self._posted) >= MAX_POSTED:
            _CHOKED(connection=self.number)
            self.cut()
            return
        self._posted.append(message)
        self._wake.set()

    async def send(self, message: Message) -> int:
        """Write a message after everything posted; return when the stream has taken it.

        Returns:
            how many bytes it has.

        Raises:
            TransportError: the connection broke.
            LocalProtocolError: the message is not legal now.
        """
        async with self._lock:
            await self._flush_posted()
            head, body = self._connection.send_parts(message)
            if len(body) < PART_BYTES:
                await self._send_bytes(head + body)
            else:
                await self._send_bytes(head)
                await self._send_bytes(body)
            return len(head) + len(body)

    async def _write_posted(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            async with self._lock:
                await self._flush_posted()

    async def _flush_posted(self) -> None:
        while self._posted:
            await self._send_bytes(self._connection.send(self._posted.popleft()))

    async def _send_bytes(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise TransportError(f"the connection broke: {_cause(error)}") from error

    async def finish(self, last: Message) -> None:
        """Say a last word, if the peer still takes it in time, and close."""
        self.closed_here = True
        with trio.move_on_after(FAREWELL_S, shield=True):
            try:
                await self.send(last)
            except (TransportError, ProtocolError) as error:
                _log.debug("connection %d: last word not sent: %s", self.number, error)
        self.scope.cancel()

    def cut(self) -> None:
        """Close at once."""
        self.closed_here = True
        self.scope.cancel()

    async def aclose(self) -> None:
        """Give the stream back."""
        await trio.aclose_forcefully(self._stream)


def _cause(error: Exception) -> str:
    cause = error.__cause__
    return str(cause or error) or type(error).__name__
