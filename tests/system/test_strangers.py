"""Must show 4: thousands who knock, and get nothing, do not disturb a pair (B62).

The heartbeats are quick and the down interval is short here, and memory and descriptors have a
limit, so a node that is held up, or that holds on to what strangers brought, shows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from sbs.adapters.transports.tcp import BATCH
from sbs.core.codec import encode
from sbs.core.frames import PREAMBLE
from sbs.core.messages import Heartbeat
from sbs.runtime.linking.strangers import MAX_STRANGERS
from tests.adapters.tls_rig import Identities
from tests.hostile.peer import CLAIM, Peer
from tests.support import require, wait_until
from tests.system.nodes import Node, Pair, pair_in
from tests.system.securing import secure

KNOCKER = str(Path(__file__).with_name("knocker.py"))

CROWD = 1000

MAX_GROWTH_BYTES = 32 * 1024 * 1024
"""Of a node's memory while a crowd knocks: 128 strangers with 150 kB each, and some."""

OWN_FDS = 8
"""Descriptors that a node has at one moment and not at another, for updates and who asks it."""

MAX_MORE_FDS = MAX_STRANGERS + 3 * BATCH + OWN_FDS
"""Strangers, and batches of those who come, have to go, and are being closed."""

FDS = ("prlimit", "--nofile=256:1024")
"""Before the command of a node: the system's limit is so low that the node has to raise it."""

QUICK = {"failover": {"heartbeat_interval_s": 0.1, "down_interval_s": 0.6}}

ELSEWHERE = "127.0.0.2"
"""Callers from there give way to the peer. Among those of its own address it has to be quick, which
it is not on a busy machine, whose processor the crowd takes, too."""

NEVER_S = 600.0
"""A down interval that no test waits for: what is noticed was not noticed by silence."""


@contextmanager
def secured(directory: Path) -> Iterator[tuple[Pair, Identities]]:
    require("prlimit")
    with pair_in(directory, QUICK) as pair:
        for node in pair.nodes:
            node.prefix = FDS
        yield pair, secure(pair, directory)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pair, Identities]]:
    """A pair in step, which all crowds meet one after the other."""
    with secured(tmp_path_factory.mktemp("strangers")) as (pair, made):
        pair.start()
        yield pair, made


class Crowd:
    """A process whose callers knock at a node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_turned_away(self, more: int) -> None:
        """Return when callers were turned away so many times more."""
        assert self._process.stdout is not None
        first = last = int(self._process.stdout.readline())
        while last - first < more:
            last = int(self._process.stdout.readline())


@contextmanager
def knocking(way: str, *nodes: Node, address: str = "127.0.0.1") -> Iterator[Crowd]:
    """Have a thousand callers knock at each node; they were turned away once when it begins."""
    ports = [str(node.port) for node in nodes]
    process = subprocess.Popen(
        [sys.executable, "-I", KNOCKER, way, str(CROWD * len(nodes)), address, *ports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        crowd = Crowd(process)
        crowd.wait_turned_away(CROWD * len(nodes))
        yield crowd
    finally:
        process.kill()
        process.communicate()


def open_fds(node: Node) -> int:
    return len(os.listdir(f"/proc/{node.pid}/fd"))


def facts(pair: Pair) -> list[object]:
    """What changes when a session is lost, even for a moment."""
    statuses = [node.status() for node in pair.nodes]
    found: list[object] = [(each["role"], each["epoch"], each["peer"]) for each in statuses]
    logs = [node.log_text for node in pair.nodes]
    return found + [log.count(word) for log in logs for word in (" role ", "no-secondary")]


@pytest.mark.parametrize(
    ("way", "at"),
    [
        ("silent", "alpha"),
        ("hello", "beta"),
        ("slow", "beta"),
        ("slow within", "alpha"),
        ("announced", "alpha"),
        ("garbage", "beta"),
    ],
)
def test_a_crowd_does_not_disturb_a_session(
    running: tuple[Pair, Identities], way: str, at: str
) -> None:
    """Half-open connections, a byte at a time, no end of garbage; at the primary, at the other."""
    pair, _ = running
    node = getattr(pair, at)
    fds, memory, before = open_fds(node), node.resident_bytes, facts(pair)
    with knocking(way, node) as crowd:
        (pair.alpha.folder / way).write_bytes(content := os.urandom(100_000))
        pair.beta.wait_file(way, content)
        crowd.wait_turned_away(CROWD)
        assert open_fds(node) <= fds + MAX_MORE_FDS
    assert node.resident_bytes < memory + MAX_GROWTH_BYTES
    wait_until(lambda: open_fds(node) <= fds + OWN_FDS, "connections of strangers are closed")
    assert facts(pair) == before, pair.log_tails()
    assert "cannot accept" not in node.log_text


async def trickle(stream: trio.abc.Stream) -> None:
    """Say hello so slowly that it does not end; return when the node closes."""
    try:
        while True:
            for byte in PREAMBLE[:-1]:
                await stream.send_all(bytes([byte]))
                await trio.sleep(1.0)
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(stream)


async def test_whoever_proves_who_it_is_must_still_say_hello(
    running: tuple[Pair, Identities],
) -> None:
    """Somebody with the peer's identity, on forty connections: a byte a second after TLS."""
    pair, made = running
    before = facts(pair)
    transport = made.transport("beta", "alpha")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                stream = await transport.dial(f"127.0.0.1:{pair.alpha.port}")
                await stream.do_handshake()
                nursery.start_soon(trickle, stream)
    pair.alpha.wait_logged("no complete hello within 5 s")
    assert facts(pair) == before, pair.log_tails()


def test_takeover_and_return_through_a_crowd(tmp_path: Path) -> None:
    """The primary dies while both ports are besieged: its fencer is heard, and it returns."""
    with secured(tmp_path) as (pair, _):
        # At its return the other one is waited for, however busy the machine is.
        pair.configure({"failover": {"down_interval_s": NEVER_S, "probe_timeout_s": NEVER_S}})
        alpha, beta = pair.start()
        with knocking("hello", alpha, beta, address=ELSEWHERE):
            alpha.kill()
            beta.wait_role("primary")
            assert beta.wait_service()["node"] == "beta"
            alpha.start()
            pair.wait_settled(beta, alpha)


def test_a_frozen_secondary_returns_through_a_crowd(tmp_path: Path) -> None:
    """When it thaws, what knocked meanwhile is before it, and its session has to be made anew."""
    with secured(tmp_path) as (pair, _):
        pair.configure({"failover": {"down_interval_s": 2.0}})  # a quarter of it for each dial
        alpha, beta = pair.start()
        with knocking("hello", alpha, address=ELSEWHERE):
            beta.signal(signal.SIGSTOP)
            alpha.wait_alarm("no-secondary")
            beta.signal(signal.SIGCONT)
            alpha.wait_no_alarm()
            pair.wait_settled(alpha, beta)
            assert alpha.wait_service()["node"] == "alpha"
            assert " role primary" not in beta.log_text


async def listen_to_nothing(made: Identities, node: Node, base: Path) -> None:
    """Follow a primary, take no word of its update, and say all the time that one is alive.

    Returns when the node gives this one up.
    """
    stream = await made.transport("beta", "alpha").dial(f"127.0.0.1:{node.port}")
    peer = Peer(stream, CLAIM, base)
    await peer.greet()
    await peer.follow()
    await peer.list_nothing()
    beats = 0
    try:
        while True:
            beats += 1
            await stream.send_all(encode(Heartbeat(beats)))
            await trio.sleep(0.05)
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(stream)


def test_a_peer_that_never_reads_is_given_up(tmp_path: Path) -> None:
    """An update is on its way to it, and heartbeats behind that: the primary serves on."""
    with secured(tmp_path) as (pair, made):
        pair.configure({"failover": {"heartbeat_interval_s": 0.03}})
        alpha, beta = pair.alpha, pair.beta
        (alpha.folder / "large").write_bytes(content := os.urandom(30_000_000))
        alpha.start()
        alpha.wait_role("primary")
        memory = alpha.resident_bytes
        trio.run(listen_to_nothing, made, alpha, tmp_path)
        alpha.wait_logged("the peer takes no messages; closed")
        assert alpha.resident_bytes < memory + MAX_GROWTH_BYTES
        assert alpha.wait_service()["node"] == "alpha"
        beta.start()
        pair.wait_settled(alpha, beta)
        beta.wait_file("large", content)
