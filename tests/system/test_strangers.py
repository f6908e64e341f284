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
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio

from sbs.core.codec import encode
from sbs.core.frames import PREAMBLE
from sbs.core.messages import Heartbeat
from sbs.runtime.linking.strangers import MAX_STRANGERS
from tests.adapters.tls_rig import Identities
from tests.hostile.peer import Peer
from tests.support import require, wait_until
from tests.system.nodes import Node, Pair, pair_in
from tests.system.securing import secure

KNOCKER = str(Path(__file__).with_name("knocker.py"))

CROWD = 1000

MAX_GROWTH_BYTES = 32 * 1024 * 1024
"""Of a node's memory while a crowd knocks: 128 strangers with 150 kB each, and some."""

MAX_MORE_FDS = MAX_STRANGERS + 32
"""Descriptors beside those of a node in peace: strangers, some that are being closed, an update."""

FDS = ("prlimit", "--nofile=256:1024")
"""Before the command of a node: the system's limit is so low that the node has to raise it."""

QUICK = {"failover": {"heartbeat_interval_s": 0.1, "down_interval_s": 0.6}}

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
def knocking(way: str, *nodes: Node) -> Iterator[Crowd]:
    """Have a thousand callers knock at each node; they were turned away once when it begins."""
    ports = [str(node.port) for node in nodes]
    process = subprocess.Popen(
        [sys.executable, "-I", KNOCKER, way, str(CROWD * len(nodes)), *ports],
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


@contextmanager
def undisturbed(pair: Pair, node: Node) -> Iterator[None]:
    """Session, roles and replication go on in the block; the node keeps its limits, and frees all."""
    fds, memory, before = open_fds(node), node.resident_bytes, facts(pair)
    yield
    assert open_fds(node) <= fds + MAX_MORE_FDS
    (pair.alpha.folder / "meanwhile").write_bytes(content := os.urandom(100_000))
    pair.beta.wait_file("meanwhile", content)
    assert facts(pair) == before, pair.log_tails()
    assert node.resident_bytes < memory + MAX_GROWTH_BYTES
    assert "cannot accept" not in node.log_text
