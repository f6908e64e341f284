"""The last words of a fencer; ``test_fencer.py`` shows when they are said (B31)."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sbs.adapters.services import testament

WORDS = b"all is dead"


@contextmanager
def telling(held_fds: list[int]) -> Iterator[None]:
    """Tell in a thread, as the process of the fencer does."""
    thread = threading.Thread(target=testament.tell, args=(held_fds, WORDS))
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture(autouse=True)
def _short_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testament, "LINGER_S", 0.3)
    monkeypatch.setattr(testament, "DRAIN_S", 0.1)


def serve() -> tuple[socket.socket, tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()


def read_all(sock: socket.socket) -> bytes:
    sock.settimeout(5)
    return b"".join(iter(lambda: sock.recv(4096), b""))


def talk_for_ever(sock: socket.socket) -> None:
    sock.settimeout(5)
    while True:
        sock.sendall(b"x" * 65_536)


def test_each_listening_socket_tells_and_nothing_else_does() -> None:
    """A pipe and a connection are only held, whatever waits in them; then all are closed."""
    with ExitStack() as stack:
        ours, theirs = map(stack.enter_context, socket.socketpair())
        ours.send(b"waits")
        reading, writing = os.pipe()
        stack.callback(os.close, writing)
        os.write(writing, b"waits")
        addresses: list[tuple[str, int]] = []
        held = [reading, theirs.detach()]
        for _ in range(2):
            listener, address = serve()
            held.append(listener.detach())
            addresses.append(address)
        with telling(held):
            for address in addresses:
                with socket.create_connection(address) as caller:
                    assert read_all(caller) == WORDS
        with pytest.raises(ConnectionResetError):  # closed, and nobody has read from it
            ours.recv(100)
        with pytest.raises(BrokenPipeError):
            os.write(writing, b"x")
        for address in addresses:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)


def test_caller_who_goes_away_at_once_hinders_nobody() -> None:
    listener, address = serve()
    for _ in range(3):
        with socket.create_connection(address) as gone:
            # Close with a reset.
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with telling([listener.detach()]), socket.create_connection(address) as caller:
        assert read_all(caller) == WORDS


def test_who_talks_without_end_is_left_behind() -> None:
    """The port closes in time, and the words were sent before."""
    listener, address = serve()
    with (
        telling([listener.detach()]),
        socket.create_connection(address) as caller,
        pytest.raises((BrokenPipeError, ConnectionResetError)),
    ):
        talk_for_ever(caller)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_only_so_many_are_kept_open() -> None:
    """The oldest makes room, and still reads what it was told."""
    listener, address = serve()
    with ExitStack() as stack:
        callers = [
            stack.enter_context(socket.create_connection(address))
            for _ in range(testament.MAX_TOLD + 5)
        ]
        duplicates = testament.duplicate_listeners([stack.enter_context(listener).fileno()])
        teller = testament.Teller({sock.fileno(): sock for sock in duplicates}, WORDS)
        for _ in callers:
            teller.work(time.monotonic() + 5)
        assert len(teller.told) == testament.MAX_TOLD
        assert [read_all(caller) for caller in callers] == [WORDS] * len(callers)
        for sock in (*teller.told.values(), *duplicates):
            sock.close()
