"""Part of the fencer: last words for whoever connects when all is dead; ``fencer.py`` says when.

Standard library only. It waits for nobody: who does not read, or never stops sending, takes
nothing from the others, nor from the time after which the port refuses.
"""

from __future__ import annotations

import math
import os
import select
import socket
import stat
import time

LINGER_S = 1.0
"""How long the testament is told: the peer dials again within a round trip. It is not ended early
by a caller: nobody knows whether that was the peer, or somebody who only tried the port."""

DRAIN_S = 0.2
"""How long those told last may take to read: a close with unread data would take the words back."""

MAX_TOLD = 32
"""Connections kept open at a time, as many as SBS accepts; the oldest makes room for the next."""

READ_BYTES = 65_536
"""Read and thrown away at once."""


def tell(held_fds: list[int], testament: bytes) -> None:
    """Tell whoever waits or comes within LINGER_S, then close the descriptors."""
    listeners = {listener.fileno(): listener for listener in duplicate_listeners(held_fds)}
    teller = Teller(listeners, testament)
    teller.work_until(time.monotonic() + LINGER_S)
    for listener in listeners.values():
        teller.poll.unregister(listener)
        listener.close()
    for fd in held_fds:
        os.close(fd)
    end_at = time.monotonic() + DRAIN_S
    while teller.told and time.monotonic() < end_at:
        teller.work(end_at)
    for fd in [*teller.told]:
        teller.dismiss(fd)


def duplicate_listeners(held_fds: list[int]) -> list[socket.socket]:
    """The listening sockets among the descriptors."""
    found: list[socket.socket] = []
    for fd in held_fds:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            continue
        sock = socket.socket(fileno=os.dup(fd))
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.setblocking(False)
            found.append(sock)
        else:
            sock.close()
    return found


class Teller:
    """Tells each caller the same, and listens to what they say without heeding it."""

    def __init__(self, listeners: dict[int, socket.socket], testament: bytes) -> None:
        self.listeners = listeners
        self.testament = testament
        self.told: dict[int, socket.socket] = {}
        self.poll: select.poll = select.poll()
        for fd in listeners:
            self.poll.register(fd, select.POLLIN)

    def work_until(self, end_at: float) -> None:
        """Work until a time on the monotonic clock."""
        while time.monotonic() < end_at:
            self.work(end_at)

    def work(self, end_at: float) -> None:
        """Do what can be done at once; wait for it, not beyond ``end_at``."""
        left_s = max(0.0, end_at - time.monotonic())
        ready = [fd for fd, _ in self.poll.poll(math.ceil(left_s * 1000))]
        for fd in ready:
            if fd in self.told:
                self.drain(fd)
        for fd in ready:
            if fd in self.listeners:
                self.answer(self.listeners[fd])

    def answer(self, listener: socket.socket) -> None:
        """Tell one caller, who reads our end right after; what is sent fits any buffer."""
        try:
            connection, _ = listener.accept()
        except OSError:  # the caller has gone again
            return
        if len(self.told) >= MAX_TOLD:
            self.dismiss(next(iter(self.told)))
        connection.setblocking(False)
        self.told[connection.fileno()] = connection
        self.poll.register(connection, select.POLLIN)
        try:
            connection.send(self.testament)
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # reset by the caller
            self.dismiss(connection.fileno())

    def drain(self, fd: int) -> None:
        """Throw away what was said: unread, it would turn the close into a reset."""
        try:
            over = not self.told[fd].recv(READ_BYTES)
        except OSError:  # reset by the caller
            over = True
        if over:
            self.dismiss(fd)

    def dismiss(self, fd: int) -> None:
        """Close a connection."""
        self.poll.unregister(fd)
        self.told.pop(fd).close()
