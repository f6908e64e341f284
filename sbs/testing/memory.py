"""A network in memory that can fail on demand."""

from __future__ import annotations

import itertools
import operator
from collections import deque
from collections.abc import Sequence

import attrs
import trio

from sbs.core.address import Address
from sbs.errors import DialRefusedError, ListenError, TransportError
from sbs.ports import Listener

PIPE_BYTES = 65_536
"""Bytes in flight in one direction before the sender waits: small, so that tests meet it."""

MAX_BACKLOG = 16
"""Connections that wait to be accepted before the next dial waits: likewise."""

FIRST_FREE_PORT = 49_152
"""Where port 0 begins to pick, as systems do (RFC 6335, section 6)."""


class MemoryNetwork:
    """Hosts whose connections exist in memory, and the faults between them.

    A host's name is the host part of its addresses. Faults act on existing and new connections
    and are as silent as real ones: neither side is told. What was sent meanwhile is not lost but
    late, as TCP's retransmission makes it.
    """

    def __init__(self) -> None:
        self._hosts: set[str] = set()
        self._listeners: dict[str, MemoryListener] = {}
        self._cut: set[frozenset[str]] = set()
        self._hung: set[str] = set()
        self._ports = itertools.count(FIRST_FREE_PORT)
        self._waiting = trio.lowlevel.ParkingLot()

    def transport(self, host: str) -> MemoryTransport:
        """The transport that the node on ``host`` uses."""
        self._hosts.add(host)
        return MemoryTransport(network=self, host=host)

    def cut(self, a: str, b: str) -> None:
        """Part two hosts: no byte, connection, refusal or end passes until :meth:`heal`."""
        self._cut.add(frozenset((a, b)))

    def heal(self, a: str, b: str) -> None:
        """Undo :meth:`cut`."""
        self._cut.discard(frozenset((a, b)))
        self.wake()

    def hang(self, host: str) -> None:
        """Freeze a host's program: connections open, but nothing is read, sent or accepted."""
        self._hung.add(host)

    def resume(self, host: str) -> None:
        """Undo :meth:`hang`."""
        self._hung.discard(host)
        self.wake()

    def passes(self, a: str, b: str) -> bool:
        """Whether bytes pass between two hosts now."""
        return frozenset((a, b)) not in self._cut and not self._hung & {a, b}

    def is_hung(self, host: str) -> bool:
        """Whether a host's program is frozen now."""
        return host in self._hung

    def wake(self) -> None:
        """Let every waiting call look again."""
        self._waiting.unpark_all()

    async def wait(self) -> None:
        """Wait until something may have changed."""
        await self._waiting.park()

    def bind(self, host: str, address: Address) -> MemoryListener:
        """See :meth:`MemoryTransport.listen`."""
        if address.host != host:
            raise ListenError(f"cannot listen on {address}: this host is {host}")
        if address.port == 0:
            address = Address(host, next(self._ports))
        if str(address) in self._listeners:
            raise ListenError(f"cannot listen on {address}: another program listens there")
        listener = MemoryListener(self, address)
        self._listeners[str(address)] = listener
        return listener

    def unbind(self, address: Address) -> None:
        """Free an address."""
        del self._listeners[str(address)]
        self.wake()

    async def connect(self, host: str, address: Address) -> trio.abc.Stream:
        """See :meth:`MemoryTransport.dial`."""
        await trio.lowlevel.checkpoint()
        if address.host not in self._hosts:
            raise TransportError(f"{address}: the name cannot be resolved")
        while True:
            # A hung host still answers: that is its kernel's work.
            if frozenset((host, address.host)) not in self._cut and host not in self._hung:
                listener = self._listeners.get(str(address))
                if listener is None:
                    raise DialRefusedError(f"cannot connect to {address}: nothing listens there")
                if len(listener.backlog) < MAX_BACKLOG:
                    break
            await self.wait()
        there = _Pipe(self, host, address.host)
        back = _Pipe(self, address.host, host)
        listener.backlog.append(_stream(back, there))
        self.wake()
        return _stream(there, back)


class MemoryListener:
    """A :class:`sbs.ports.Listener` of a :class:`MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, address: Address) -> None:
        self._network = network
        self._address = address
        self._closed = False
        self.backlog: deque[trio.abc.Stream] = deque()

    @property
    def address(self) -> str:
        """Where it listens, ``host:port``."""
        return str(self._address)

    @property
    def held_fds(self) -> Sequence[int]:
        """None: there is no descriptor."""
        return ()

    async def accept(self) -> trio.abc.Stream:
        """The next connection."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._closed:
                raise trio.ClosedResourceError
            if self.backlog and not self._network.is_hung(self._address.host):
                stream = self.backlog.popleft()
                self._network.wake()
                return stream
            await self._network.wait()

    async def aclose(self) -> None:
        """Stop serving; what nobody accepted is closed."""
        if not self._closed:
            self._closed = True
            self._network.unbind(self._address)
        while self.backlog:
            await trio.aclose_forcefully(self.backlog.popleft())
        await trio.lowlevel.checkpoint()


@attrs.frozen(kw_only=True)
class MemoryTransport:
    """A :class:`sbs.ports.Transport`; made by :meth:`MemoryNetwork.transport`."""

    network: MemoryNetwork
    host: str

    async def listen(self, address: str) -> Listener:
        """Serve ``address``, whose host is this one; port 0 picks a free one."""
        await trio.lowlevel.checkpoint()
        return self.network.bind(self.host, Address.parse(address))

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect to ``address``; wait as long as the hosts are parted."""
        return await self.network.connect(self.host, Address.parse(address))


class _Pipe:
    """One direction of a connection."""

    def __init__(self, network: MemoryNetwork, source: str, target: str) -> None:
        self.network = network
        self.source = source
        self.target = target
        self.data = bytearray()
        self.sender_closed = False
        self.receiver_closed = False
        self.sending = False
        self.receiving = False

    @property
    def passes(self) -> bool:
        return self.network.passes(self.source, self.target)

    async def wait_for_room(self) -> None:
        """Wait until at least one byte may be sent."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.sender_closed:
                raise trio.ClosedResourceError
            if self.receiver_closed and self.passes:
                raise trio.BrokenResourceError("the other side closed the connection")
            if len(self.data) < PIPE_BYTES and not self.network.is_hung(self.source):
                return
            await self.network.wait()


class _Sender(trio.abc.SendStream):
    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        pipe = self._pipe
        if pipe.sending:
            raise trio.BusyResourceError("another task is sending")
        pipe.sending = True
        try:
            rest = memoryview(data)
            await pipe.wait_for_room()
            while rest:
                await pipe.wait_for_room()
                room = PIPE_BYTES - len(pipe.data)
                pipe.data += rest[:room]
                rest = rest[room:]
                pipe.network.wake()
        finally:
            pipe.sending = False

    async def wait_send_all_might_not_block(self) -> None:
        if self._pipe.sending:
            raise trio.BusyResourceError("another task is sending")
        self._pipe.sending = True
        try:
            await self._pipe.wait_for_room()
        finally:
            self._pipe.sending = False

    async def aclose(self) -> None:
        self._pipe.sender_closed = True
        self._pipe.network.wake()
        await trio.lowlevel.checkpoint()


class _Receiver(trio.abc.ReceiveStream):
    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes {max_bytes}: allowed is 1 or more")
        pipe = self._pipe
        if pipe.receiving:
            raise trio.BusyResourceError("another task is receiving")
        pipe.receiving = True
        try:
            await trio.lowlevel.checkpoint()
            return await self._take(max_bytes or PIPE_BYTES)
        finally:
            pipe.receiving = False

    async def _take(self, max_bytes: int) -> bytes:
        pipe = self._pipe
        while True:
            if pipe.receiver_closed:
                raise trio.ClosedResourceError
            if pipe.passes and pipe.data:
                taken = bytes(pipe.data[:max_bytes])
                del pipe.data[:max_bytes]
                pipe.network.wake()
                return taken
            if pipe.passes and pipe.sender_closed:
                return b""
            await pipe.network.wait()

    async def aclose(self) -> None:
        self._pipe.receiver_closed = True
        self._pipe.network.wake()
        await trio.lowlevel.checkpoint()


def _stream(out: _Pipe, back: _Pipe) -> trio.abc.Stream:
    return trio.StapledStream(_Sender(out), _Receiver(back))
