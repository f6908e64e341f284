"""How services end when SBS does, whatever ends it (B31)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

import sbs
from sbs.adapters.services import testament
from sbs.adapters.services.process import open_controller
from sbs.adapters.transports.tcp import TcpTransport
from sbs.core.address import Address

NODE = """
import os, signal, sys, time, trio
from sbs.adapters.services.process import open_controller
from sbs.adapters.transports.tcp import TcpTransport
from sbs.ports import Unit

def tell(what, value):
    os.write(1, f"{what} {value}\\n".encode())  # at once: the service writes there, too

async def main():
    listener = await TcpTransport().listen("127.0.0.1:0")
    unit = Unit(name="a", command=tuple(sys.argv[1:]))
    async with open_controller([unit], listener.held_fds) as controller:
        await controller.bequeath(os.environ.get("TESTAMENT", "").encode())
        await controller.start("a", {})
        if "LEASE_S" in os.environ:
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            await controller.guard(now + float(os.environ["LEASE_S"]), 0.3)
        tell("address", listener.address)
        tell("service", (await controller.states())["a"].detail.split()[1])
        if "FORK" in os.environ and os.fork() == 0:  # as multiprocessing does
            os.close(listener.held_fds[0])
            tell("fork", os.getpid())
            signal.pause()
        await trio.sleep_forever()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
trio.run(main)
"""

DAEMON = '(setsid sh -c "echo daemon \\$\\$; exec sleep 1000" &); exec sleep 1000'
"""A service with a grandchild that cut itself loose by fork, setsid and the end of its parent."""

STUBBORN = f"trap '' INT TERM HUP; {DAEMON}"

HEAVY = """
import os, time
memory = bytearray(os.urandom(4096)) * 25600  # 100 MiB: its end takes the kernel a while
os.write(1, b"daemon %d\\n" % os.getpid())
time.sleep(1000)
"""


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def wait_ended(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with trio.fail_after(10):
        await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)


@attrs.frozen(kw_only=True)
class Node:
    process: trio.Process
    address: Address
    service: int
    daemon: int
    fork: int

    @property
    def services(self) -> tuple[int, int]:
        return self.service, self.daemon


def fencer_of(node: Node) -> int:
    tasks = Path(f"/proc/{node.process.pid}/task").glob("*/children")
    (fencer,) = [int(pid) for path in tasks for pid in path.read_text().split()]
    return fencer


async def read_lines(stream: trio.abc.ReceiveStream, *wanted: str) -> dict[str, str]:
    data = b""
    with trio.fail_after(10):
        while True:
            lines = dict(line.split(" ", 1) for line in data.decode().splitlines() if " " in line)
            if data.endswith(b"\n") and lines.keys() >= {*wanted}:
                return lines
            more = await stream.receive_some()
            assert more, f"the node ended early: {data!r}"
            data += more


@asynccontextmanager
async def running_node(
    *command: str, fork: bool = False, **settings: str
) -> AsyncGenerator[Node, None]:
    path = os.fspath(Path(sbs.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path, **settings}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", NODE, *command],
        stdout=subprocess.PIPE,
        env={**environment, "FORK": "1"} if fork else environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        wanted = ("address", "service", "daemon", "fork")
        lines = await read_lines(process.stdout, *wanted[: 4 if fork else 3])
        yield Node(
            process=process,
            address=Address.parse(lines["address"]),
            service=int(lines["service"]),
            daemon=int(lines["daemon"]),
            fork=int(lines.get("fork", 0)),
        )
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()
            await process.stdout.aclose()


def is_refused(address: Address) -> bool:
    """Dial once; a dial that TCP connected to itself met no listener either."""
    with socket.socket() as sock:
        sock.settimeout(5)
        try:
            sock.connect((address.host, address.port))
            return bool(sock.getsockname() == (address.host, address.port))
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            return False


def dial_until_refused(address: Address) -> None:
    """Return at the first refusal; no pause, so as to meet the earliest one."""
    give_up_at = time.monotonic() + 10
    while not is_refused(address):
        assert time.monotonic() < give_up_at, f"{address} is still served"


@pytest.mark.parametrize(
    "command",
    [("sh", "-c", DAEMON), ("sh", "-c", STUBBORN), (sys.executable, "-c", HEAVY)],
    ids=["daemon", "stubborn", "heavy"],
)
async def test_refused_connection_proves_that_services_are_dead(command: tuple[str, ...]) -> None:
    """B31: kill -9 of SBS; the other node acts on the first refusal."""
    async with running_node(*command) as node:
        assert not is_refused(node.address)
        assert not any(map(is_gone, node.services))
        node.process.send_signal(signal.SIGKILL)
        dial_until_refused(node.address)
        assert all(map(is_gone, node.services))


async def test_frozen_service_is_killed_with_its_node() -> None:
    """B31"""
    async with running_node("sh", "-c", DAEMON) as node:
        for pid in node.services:
            os.kill(pid, signal.SIGSTOP)
        node.process.kill()
        dial_until_refused(node.address)
        assert all(map(is_gone, node.services))


async def test_interrupt_from_the_terminal_leaves_nothing() -> None:
    """B31: Ctrl-C reaches the whole foreground process group."""
    async with running_node("sh", "-c", STUBBORN) as node:
        os.killpg(node.process.pid, signal.SIGINT)
        await node.process.wait()
        assert all(map(is_gone, node.services))
        assert is_refused(node.address)


async def test_signals_to_the_fencer_do_not_end_it() -> None:
    """B31: nor does a stop of all processes by their name, short of kill -9."""
    async with running_node("sh", "-c", DAEMON) as node:
        fencer = fencer_of(node)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(fencer, number)
        assert not any(map(is_gone, node.services))
        node.process.kill()
        dial_until_refused(node.address)
        assert all(map(is_gone, node.services))


async def test_port_is_held_when_fencer_and_node_are_killed_together() -> None:
    """B31: a keeper still holds the port until its service is dead."""
    async with running_node(sys.executable, "-c", HEAVY) as node:
        fencer = fencer_of(node)
        os.kill(fencer, signal.SIGKILL)
        node.process.kill()
        dial_until_refused(node.address)
        assert all(map(is_gone, node.services))


async def test_fork_that_keeps_the_channel_open_does_not_keep_services_alive() -> None:
    """B31: the fencer watches the process of SBS itself, besides the channel."""
    async with running_node("sh", "-c", DAEMON, fork=True) as node:
        try:
            node.process.kill()
            for pid in node.services:
                await wait_ended(pid)
            assert not is_gone(node.fork)
        finally:
            os.kill(node.fork, signal.SIGKILL)


async def test_services_of_a_frozen_node_end_at_the_deadline() -> None:
    """B3, must show 4: SIGSTOP of SBS alone; the service that ignores SIGTERM is killed, too."""
    async with running_node("sh", "-c", STUBBORN, LEASE_S="0.5") as node:
        node.process.send_signal(signal.SIGSTOP)
        for pid in node.services:
            await wait_ended(pid)
        assert not is_refused(node.address), "SBS lives: nobody may think otherwise"


async def test_testament_is_told_when_the_services_are_dead() -> None:
    """B31: to whoever waited, and to whoever comes soon after; then the port refuses."""
    async with running_node(sys.executable, "-c", HEAVY, TESTAMENT="farewell") as node:
        with trio.fail_after(10):
            early = await trio.open_tcp_stream(node.address.host, node.address.port)
            node.process.kill()
            late = await trio.open_tcp_stream(node.address.host, node.address.port)
            for stream in (early, late):
                async with stream:
                    await stream.send_all(b"hello" * 1000)
                    assert await stream.receive_some() == b"farewell"
                    assert all(map(is_gone, node.services))
                    assert await stream.receive_some() == b""
            await trio.to_thread.run_sync(dial_until_refused, node.address)


async def test_testament_reaches_whoever_waits_behind_many_idle_callers() -> None:
    """B31: more than are kept open at a time, none of which reads or closes."""
    async with running_node("sh", "-c", DAEMON, TESTAMENT="farewell") as node:
        with trio.fail_after(10):
            async with AsyncExitStack() as idle:
                for _ in range(testament.MAX_TOLD + 8):
                    stream = await trio.open_tcp_stream(node.address.host, node.address.port)
                    await idle.enter_async_context(stream)
                    await stream.send_all(b"x" * 100_000)
                last = await trio.open_tcp_stream(node.address.host, node.address.port)
                await idle.enter_async_context(last)
                node.process.kill()
                assert await last.receive_some() == b"farewell"
                await trio.to_thread.run_sync(dial_until_refused, node.address)


async def test_nothing_is_told_after_an_end_in_order() -> None:
    """B31: who closes the controller has stopped the services; the role may still be its own."""
    listener = await TcpTransport().listen("127.0.0.1:0")
    async with open_controller([], listener.held_fds) as controller:
        await controller.bequeath(b"farewell")
        stream = await TcpTransport().dial(listener.address)
    await listener.aclose()
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    await stream.aclose()


async def test_testament_is_not_told_while_sbs_lives() -> None:
    """B31: the fencer alone was killed; SBS still serves its port."""
    async with running_node("sh", "-c", DAEMON, TESTAMENT="farewell") as node:
        os.kill(fencer_of(node), signal.SIGKILL)
        for pid in node.services:
            await wait_ended(pid)
        with trio.fail_after(10):
            stream = await trio.open_tcp_stream(node.address.host, node.address.port)
            with trio.move_on_after(0.3) as scope:
                await stream.receive_some()
            assert scope.cancelled_caught
            await stream.aclose()
