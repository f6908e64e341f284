"""What the kernel knows of a TCP connection: how fast it is, and where it comes from.

How long a write takes tells little: the kernel's buffers take megabytes at once. Linux says what
has arrived, and what still waits (``struct tcp_info`` of ``linux/tcp.h``, since version 4.6).
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Final

import attrs
import trio

from sbs.adapters.transports.tls_stream import TlsStream

_INFO: Final = struct.Struct("@120xQ16xI")
"""``tcpi_bytes_acked`` and ``tcpi_notsent_bytes``."""


@attrs.frozen(kw_only=True)
class Account:
    """A connection at one moment.

    Args:
        acked_bytes: what the other side has, of all that was ever sent from here.
        unsent_bytes: what was written here and waits to be sent.
    """

    acked_bytes: int
    unsent_bytes: int


def account_of(stream: trio.abc.Stream) -> Account | None:
    """What is known of a stream; ``None`` where nobody counts: no TCP, another system.

    Of TLS the bytes that travel are counted: some in a thousand more than the content.
    """
    stream = _lowest(stream)
    if sys.platform != "linux" or not isinstance(stream, trio.SocketStream):
        return None
    try:
        info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
    except OSError:  # no TCP
        return None
    if len(info) < _INFO.size:
        return None
    acked_bytes, unsent_bytes = _INFO.unpack(info)
    return Account(acked_bytes=acked_bytes, unsent_bytes=unsent_bytes)


def is_local(stream: trio.abc.Stream) -> bool:
    """Whether both ends of a stream have one address: then they are on one machine."""
    stream = _lowest(stream)
    if not isinstance(stream, trio.SocketStream):
        return False
    try:
        own, other = stream.socket.getsockname(), stream.socket.getpeername()
    except OSError:  # the peer has reset it
        return False
    return bool(own[0] == other[0])


def caller_of(stream: trio.abc.Stream) -> str:
    """The address from which a stream came, without its port; for people."""
    stream = _lowest(stream)
    if not isinstance(stream, trio.SocketStream):
        return "this process"
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:  # it has gone already
        return "an unknown address"


def _lowest(stream: trio.abc.Stream) -> trio.abc.Stream:
    """The stream that carries the bytes."""
    return stream.transport_stream if isinstance(stream, TlsStream) else stream
