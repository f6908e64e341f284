"""Strangers at the door: many connections to nodes that lead nowhere, from a process of its own.

Run as a script with a way of knocking, how many at a time, their address, and the ports. Whoever
is turned away comes again after :data:`AGAIN_S`. Each line that it prints says how many were turned
away so far. It ends with its standard input, or after :data:`BOUND_S`.
"""

import collections
import contextlib
import select
import socket
import ssl
import sys
import time

AGAIN_S = 2.0
"""Of a thousand callers 128 are let in: the others make 436 connections a second then."""

BURST = 100
"""Connections begun at a time: the system keeps some thousand until a node accepts them."""

DRIP_S = 0.2
"""Between two bytes of somebody who sends one at a time."""

BOUND_S = 60.0


def client_hello() -> bytes:
    """The first words of a TLS 1.3 client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="node").do_handshake()
    return out.read()


WAYS = {
    "silent": (b"", b""),
    "hello": (client_hello(), b""),
    "slow": (b"", client_hello()),
    "slow within": (client_hello(), b"\x14\x03\x03\x00\x01\x01" * 20),
    "announced": (b"\x16\x03\x01\x00\x04\x01\x02\x01\x00", b"\x16"),
    "garbage": (bytes(range(256)) * 256, bytes(256)),
}
"""What is said at once, and what is said a byte at a time. Nobody reads."""


class Crowd:
    """Callers who do all the same.

    Args:
        way: one of :data:`WAYS`.
        count: how many.
        address: from which they call.
        ports: whom they call, in turn.
    """

    def __init__(self, way: str, count: int, address: str, ports: list[int]) -> None:
        self.address = address
        self.first, self.slow = WAYS[way]
        self.poll = select.poll()
        self.callers: dict[int, tuple[socket.socket, int]] = {}
        self.said: dict[int, int] = {}
        self.due = collections.deque((0.0, ports[each % len(ports)]) for each in range(count))
        self.drip_at = 0.0
        self.turned_away = 0

    def work(self) -> None:
        """Do what is due, and wait a moment for whatever happens."""
        now = time.monotonic()
        for _ in range(BURST):
            if not self.due or self.due[0][0] > now:
                break
            self.call(self.due.popleft()[1])
        if self.slow and now >= self.drip_at:
            self.drip_at = now + DRIP_S
            for fd in list(self.said):
                self.drip(fd)
        for fd, events in self.poll.poll(20):
            if events & (select.POLLHUP | select.POLLERR | select.POLLRDHUP):
                self.leave(fd)
            else:
                self.arrive(fd)

    def call(self, port: int) -> None:
        """Begin to connect."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((self.address, 0))
        sock.connect_ex(("127.0.0.1", port))
        self.callers[sock.fileno()] = (sock, port)
        self.poll.register(sock, select.POLLOUT)

    def arrive(self, fd: int) -> None:
        """Say what is said at once; whoever drips sees only by that whether it is still heard."""
        self.poll.modify(fd, 0 if self.slow else select.POLLRDHUP)
        self.said[fd] = 0
        with contextlib.suppress(OSError):  # closed already, which is told soon
            self.callers[fd][0].send(self.first)

    def drip(self, fd: int) -> None:
        """Say one byte more."""
        at = self.said[fd] % len(self.slow)
        self.said[fd] += 1
        with contextlib.suppress(OSError):
            self.callers[fd][0].send(self.slow[at : at + 1])

    def leave(self, fd: int) -> None:
        """This one was turned away, and comes again."""
        self.poll.unregister(fd)
        self.said.pop(fd, None)
        sock, port = self.callers.pop(fd)
        sock.close()
        self.turned_away += 1
        self.due.append((time.monotonic() + AGAIN_S, port))


def main() -> None:
    way, count, address, *ports = sys.argv[1:]
    crowd = Crowd(way, int(count), address, [int(port) for port in ports])
    end_at = time.monotonic() + BOUND_S
    said = -1
    while time.monotonic() < end_at and not select.select([sys.stdin], [], [], 0)[0]:
        crowd.work()
        if crowd.turned_away != said:
            said = crowd.turned_away
            sys.stdout.write(f"{said}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
