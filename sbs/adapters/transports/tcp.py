"""TCP without encryption: the transport of a pair on loopback or on a trusted network (R1)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import attrs
import trio

from sbs.core.address import MAX_PORT, Address
from sbs.errors import DialRefusedError, ListenError, TransportError
from sbs.log import ERROR, INFO, Log
from sbs.ports import Listener

BIND_BOUND_S = 5.0
"""How long a used address is tried again: a killed predecessor's fencer holds its port until the
services are dead, which takes milliseconds, or longer where a process hangs in the kernel; then
it tells the peer so for a second (B31)."""

BIND_INTERVAL_S = 0.02
"""Pause between these tries: short against the start of a node."""

BACKLOG = 65_535
"""Connections the kernel may keep until they are accepted; it lowers this to its own limit. A
full queue drops the peer's dial, which TCP repeats only after a second: too late for a takeover."""

BATCH = 32
"""Connections taken from that queue in one turn of the event loop: one in each, and the peer would
wait for a turn of every stranger before it. That many descriptors more are open for a moment."""

ACCEPT_PAUSE_S = 0.1
"""Pause of a server that is out of descriptors or memory, as in :func:`trio.serve_listeners`."""

_THIN_LINEAR_TIMEOUTS = 16
"""``TCP_THIN_LINEAR_TIMEOUTS`` of ``linux/tcp.h``: while little is under way, a lost packet is sent
again at equal intervals. Else each loss of the same packet doubles the wait, and two in a row are
silence enough for a takeover, since what was sent after it is not delivered before it."""

_ACCEPT_CAPACITY = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

_BIND_HINTS = {
    errno.EADDRINUSE: "another program listens there, or services of an earlier SBS end; see ss -l",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address: see ip address",
    errno.EACCES: "ports below 1024 need privileges: use another one",
}

_Resolved: TypeAlias = tuple[
    int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]

_log = Log(__name__)
_FULL = _log.event(
    "port-cannot-accept",
    ERROR,
    "{address}: cannot accept now: {error}",
    "Nobody can connect to this node until it is over, the other node neither. Too many "
    "open files: find out what uses them up.",
)
_IN_USE = _log.event(
    "port-in-use",
    INFO,
    "{address} is in use; tried for {bound_s:g} s more",
    "Most likely an SBS that was here before ends its services still. If it does not end, "
    "`ss -tlnp` names the process.",
)


def _parse(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise TransportError(f"address {error}") from error


async def _resolve(address: Address, flags: int = 0) -> Sequence[_Resolved]:
    """The socket addresses of ``address``, the preferred one first (RFC 6724)."""
    try:
        return await trio.socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=flags
        )
    except socket.gaierror as error:
        raise TransportError(f"{address}: the name cannot be resolved: {error.strerror}") from error


def _words(error: OSError) -> str:
    """The bare cause; trio puts the address before it, which our texts name already."""
    return os.strerror(error.errno) if error.errno else str(error)


def _tuned(stream: trio.SocketStream) -> trio.SocketStream:
    """A connection, set to carry heartbeats over a bad link."""
    if sys.platform == "linux":
        try:
            stream.setsockopt(socket.IPPROTO_TCP, _THIN_LINEAR_TIMEOUTS, 1)
        except OSError as error:  # not every kernel that calls itself Linux has it
            _log.debug("no linear timeouts: %s", error.strerror)
    return stream


def _is_self_connected(sock: trio.socket.SocketType, dialled: object) -> bool:
    """Whether TCP connected a local port to itself (simultaneous open, RFC 9293, 3.5).

    It happens when nothing listens on the dialled port and the kernel picks that very port as
    the source; taken for an answer, it would be the node talking to itself.
    """
    # Not by getpeername: that fails if the peer has reset the connection since.
    own: object = sock.getsockname()
    return own == dialled


def _bind(resolved: _Resolved) -> socket.socket:
    family, kind, protocol, _, sockaddr = resolved
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(sockaddr)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect(resolved: _Resolved) -> trio.SocketStream:
    family, kind, protocol, _, sockaddr = resolved
    sock = trio.socket.socket(family, kind, protocol)
    try:
        await sock.connect(sockaddr)
        if _is_self_connected(sock, sockaddr):
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:  # cancelled, too
        sock.close()
        raise
    return _tuned(trio.SocketStream(sock))


@attrs.frozen
class TcpListener:
    """A :class:`sbs.ports.Listener` on one TCP port; made by :meth:`TcpTransport.listen`."""

    _sock: socket.socket
    _listener: trio.SocketListener
    _address: Address
    _accepted: deque[trio.SocketStream] = attrs.field(factory=deque[trio.SocketStream], init=False)

    @property
    def address(self) -> str:
        """Where it really listens, ``host:port``; known after it was closed, too."""
        return str(self._address)

    @property
    def held_fds(self) -> Sequence[int]:
        """The listening socket."""
        return (self._listener.socket.fileno(),)

    async def accept(self) -> trio.SocketStream:
        """The next connection; a lack of descriptors or memory is waited out.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            TransportError: the system refuses for another reason.
        """
        is_waiting = False
        while not self._accepted:
            try:
                self._accepted.append(await self._listener.accept())
                self._take_more()
            except OSError as error:
                if error.errno not in _ACCEPT_CAPACITY:
                    raise TransportError(f"{self.address}: cannot accept: {error}") from error
                if not is_waiting:
                    _FULL(address=self.address, error=error.strerror)
                    is_waiting = True
                await trio.sleep(ACCEPT_PAUSE_S)
        return _tuned(self._accepted.popleft())

    def _take_more(self) -> None:
        """Take what else waits, up to a batch."""
        with contextlib.suppress(OSError):  # nothing waits, or the next call says what is wrong
            while len(self._accepted) < BATCH:
                sock, _ = self._sock.accept()
                self._accepted.append(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))

    async def aclose(self) -> None:
        """Stop serving; connections stay, but for those that nobody has taken."""
        await self._listener.aclose()
        while self._accepted:
            await trio.aclose_forcefully(self._accepted.popleft())


@attrs.frozen
class TcpTransport:
    """A :class:`sbs.ports.Transport` over TCP.

    Nagle's algorithm is off on both ends (trio does that): a heartbeat is not kept back.

    Args:
        bind_bound_s: how long a used address is tried again, 0 or more seconds.
    """

    bind_bound_s: float = BIND_BOUND_S

    async def listen(self, address: str) -> Listener:
        """Serve ``address``; of a name with several addresses the first.

        Args:
            address: ``host:port`` or ``[v6]:port``; port 0 picks a free one.

        Raises:
            ListenError: the address cannot be had; the text says why, and what to do.
            TransportError: it is none, or its name is not known.
        """
        wanted = _parse(address)
        resolved = (await _resolve(wanted, socket.AI_PASSIVE))[0]
        give_up_at = trio.current_time() + self.bind_bound_s
        is_waiting = False
        while True:
            try:
                sock = _bind(resolved)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or trio.current_time() >= give_up_at:
                    hint = _BIND_HINTS.get(error.errno or 0, "see socket(7) and bind(2)")
                    raise ListenError(
                        f"cannot listen on {wanted}: {_words(error)}; {hint}"
                    ) from error
                if not is_waiting:
                    _IN_USE(address=wanted, bound_s=self.bind_bound_s)
                    is_waiting = True
            else:
                host, port = sock.getsockname()[:2]
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                return TcpListener(sock, listener, Address(host, port))
            await trio.sleep(BIND_INTERVAL_S)

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect to ``address``; each address of a name is tried in turn.

        Args:
            address: ``host:port`` or ``[v6]:port``.

        Raises:
            DialRefusedError: every address answered that nothing listens there.
            TransportError: it cannot be reached.
        """
        wanted = _parse(address)
        if wanted.port == 0:  # the kernel would refuse it, which proves nothing about the peer
            raise TransportError(f"cannot connect to {wanted}: allowed are ports 1 to {MAX_PORT}")
        failures: list[OSError] = []
        for resolved in await _resolve(wanted):
            try:
                return await _connect(resolved)
            except OSError as error:
                failures.append(error)
        causes = ", ".join(dict.fromkeys(_words(error) for error in failures))
        # One address that gave no answer may be the one the peer lives at: no proof of refusal.
        refused = all(isinstance(error, ConnectionRefusedError) for error in failures)
        text = f"cannot connect to {wanted}: {causes}"
        raise (DialRefusedError if refused else TransportError)(text) from failures[-1]
