"""Callers that are no peer (Must show 9)."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs
import pytest

from sbs.core.claim import Claim, Mode, Role
from sbs.core.codec import encode
from sbs.core.epoch import NO_EPOCH
from sbs.core.frames import HEADER, PREAMBLE
from sbs.core.history import History
from sbs.core.messages import Follow, Hello
from tests.system.nodes import Node, Pair

MAX_GROWTH_BYTES = 32 * 1024 * 1024
"""Memory a node may take up under abuse: 32 connections with a receive buffer each, and some."""

STRANGER = Claim(
    node_id="f" * 32,
    name="stranger",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=1,
    role=Role.PROBING,
    epoch=NO_EPOCH,
    history=History(),
)
HELLO = PREAMBLE + encode(Hello(versions=(1, 1), software="stranger", claim=STRANGER))
UNKNOWN_VERSION = PREAMBLE + encode(Hello(versions=(999, 1000), software="stranger"))


@contextmanager
def calling(node: Node) -> Iterator[socket.socket]:
    """A connection to the node's port."""
    with socket.create_connection(("127.0.0.1", node.port), timeout=15) as sock:
        yield sock


def drain(sock: socket.socket) -> bytes:
    """Everything the node says until it closes."""
    said = bytearray()
    try:
        while data := sock.recv(65536):
            said += data
    except ConnectionResetError:
        pass  # it closed before it had read all
    return bytes(said)


def trickle(sock: socket.socket, data: bytes, for_s: float) -> None:
    """Send ``data`` again and again, one byte at a time."""
    give_up_at = time.monotonic() + for_s
    while time.monotonic() < give_up_at:
        for byte in data:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)


@contextmanager
def unimpressed(pair: Pair, node: Node) -> Iterator[None]:
    """Roles, epoch, session and memory of a pair are after the block as before."""

    def facts() -> list[tuple[object, ...]]:
        statuses = [each.status() for each in pair.nodes]
        return [(status["role"], status["epoch"], status["peer"]) for status in statuses]

    before, memory = facts(), node.resident_bytes
    losses = pair.alpha.log_text.count("no-secondary")
    yield
    assert facts() == before
    assert node.resident_bytes < memory + MAX_GROWTH_BYTES
    assert pair.alpha.log_text.count("no-secondary") == losses, pair.alpha.log_tail()
    (pair.alpha.folder / "still").write_bytes(b"replicated")
    pair.beta.wait_file("still", b"replicated")


@attrs.frozen
class Abuse:
    """What a caller sends, and what the node logs of it."""

    data: bytes
    logged: str
    leave: bool = False


ABUSES = {
    "garbage": Abuse(bytes(range(256)) * 4096, "does not speak SBS"),
    "http": Abuse(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "does not speak SBS"),
    "oversized": Abuse(PREAMBLE + HEADER.pack(2**32 - 1, 0x01FF_FFFF), "frame of type 1"),
    "oversized head": Abuse(PREAMBLE + HEADER.pack(1 << 20, 1 << 24 | 1 << 20), "frame of type 1"),
    "version": Abuse(UNKNOWN_VERSION, "no protocol version in common"),
    "half a frame": Abuse(HELLO[: len(HELLO) // 2], "cut in the middle of", leave=True),
    "half a preamble": Abuse(PREAMBLE[:4], "cut in the middle of", leave=True),
    "wrong word": Abuse(HELLO + HELLO[len(PREAMBLE) :], "may not send Hello"),
    "frame after hello": Abuse(HELLO + struct.pack(">II", 2**31, 5 << 24), "frame of type 5"),
}


@pytest.mark.parametrize("abuse", ABUSES.values(), ids=ABUSES.keys())
def test_what_breaks_the_protocol_is_refused(pair: Pair, abuse: Abuse) -> None:
    """Must show 9: the node says what it refused, and nothing else happens."""
    pair.start()
    for node in pair.nodes:
        with unimpressed(pair, node):
            for _ in range(20):
                with calling(node) as sock:
                    try:
                        sock.sendall(abuse.data)
                        if abuse.leave:
                            sock.shutdown(socket.SHUT_WR)
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # refused after the first bytes
                    drain(sock)
            node.wait_logged(abuse.logged)


def test_a_slow_caller_is_cut_off(pair: Pair) -> None:
    """Must show 9: one byte at a time, for ever; the greeting has a bound."""
    pair.start()
    node = pair.alpha
    with unimpressed(pair, node), calling(node) as sock:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            trickle(sock, HELLO[:-1], for_s=20.0)
        node.wait_logged("no complete hello within 5 s")


def test_silent_callers_do_not_keep_the_peer_out(pair: Pair) -> None:
    """Must show 9: 200 connections that say nothing; the real peer comes through."""
    pair.start()
    alpha, beta = pair.alpha, pair.beta
    with ExitStack() as stack:
        with unimpressed(pair, alpha):
            callers = [stack.enter_context(calling(alpha)) for _ in range(200)]
        alpha.wait_logged("callers have not said who they are")
        # Nor does a peer that has to connect anew wait for them for ever.
        beta.kill()
        beta.start()
        pair.wait_settled(alpha, beta)
        assert len(callers) == 200


def test_a_stranger_that_follows_gets_nothing(pair: Pair) -> None:
    """R1: a primary has one secondary; a second one is told so."""
    pair.start()
    with unimpressed(pair, pair.alpha), calling(pair.alpha) as sock:
        sock.sendall(HELLO + encode(Follow(NO_EPOCH)))
        said = drain(sock)
        assert b"busy" in said
        assert b"has a secondary already" in said
