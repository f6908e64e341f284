"""R31: what a node tells systemd above it, over a socket that the test holds."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from sbs.runtime.running import run_node
from sbs.runtime.supervisor import Supervisor
from sbs.testing.nodes import memory_pair
from tests.runtime.test_running import alone, wait_primary


@pytest.fixture(params=["path", "abstract"])
def ear(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[trio.socket.SocketType]:
    """The socket that the environment names."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@sbs-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0"))
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield trio.socket.from_stdlib_socket(sock.dup())


async def heard(ear: trio.socket.SocketType) -> str:
    with trio.fail_after(20):
        return (await ear.recv(4096)).decode()


async def test_a_node_says_that_it_serves_which_role_it_has_and_that_it_stops(
    ear: trio.socket.SocketType, tmp_path: Path
) -> None:
    config = alone(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_node, config)
        told = await heard(ear)
        assert told.startswith("READY=1\nSTATUS=")
        while "STATUS=primary" not in told:
            told = await heard(ear)
        assert "NOTIFY_SOCKET" not in os.environ  # it is not for services and hooks
        await wait_primary(config)
        os.kill(os.getpid(), 15)
        told = await heard(ear)
        while told != "STOPPING=1":
            assert told.startswith("STATUS=")
            told = await heard(ear)
    ear.close()


async def test_signs_of_life_come_from_the_role_loop_alone(
    ear: trio.socket.SocketType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loop that is stuck sends none, although the process runs."""
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    supervisor = Supervisor.take(os.environ)
    assert supervisor.watchdog_s == 0.1
    async with memory_pair(tmp_path) as pair, trio.open_nursery() as nursery:
        await pair.start()
        node = pair.alpha.node
        nursery.start_soon(supervisor.attend, node)
        signs = 0
        while signs < 3:
            signs += await heard(ear) == "WATCHDOG=1"
        stuck = trio.Event()
        monkeypatch.setattr(node, "settle", stuck.wait)
        with trio.move_on_after(0.5):
            while True:
                signs += await heard(ear) == "WATCHDOG=1"
        assert signs <= 4
        stuck.set()
        assert await heard(ear) == "WATCHDOG=1"
        nursery.cancel_scope.cancel()
    ear.close()


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
async def test_a_watchdog_is_ours_only_if_it_says_so(
    environment: dict[str, str], watchdog_s: float
) -> None:
    supervisor = Supervisor.take(environment)
    assert supervisor.watchdog_s == watchdog_s
    assert not environment
    await supervisor.tell("READY=1")  # nobody listens


@pytest.mark.parametrize("address", ["vsock:1:2", "relative", "/nowhere/at/all"])
async def test_a_supervisor_that_cannot_be_told_is_a_warning(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await Supervisor.take({"NOTIFY_SOCKET": address}).tell("READY=1")
    assert len(caplog.records) == 1
