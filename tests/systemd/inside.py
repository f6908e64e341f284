"""Checks of the adapter that run in a box, beside real systemd; ``test_adapter.py`` runs them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from sbs.adapters.services.systemd import binding, bus, leash
from sbs.adapters.services.systemd.controller import MAX_GRACE_S, open_controller
from sbs.errors import ServiceError
from sbs.ports import ServiceController, ServiceState, Unit
from sbs.testing.services import check_service_controller
from tests.support import ROOT, is_alive

UNITS = Path("/etc/systemd/system")
BOUND_S = 10.0
GRACE_S = 5.0

FILES = {
    "box-a.service": "ExecStart=sleep 1000",
    "box-b.service": "ExecStart=sleep 1000\nRestart=always\nRestartSec=50ms",
    "box-t@.service": "ExecStart=sleep 1000",
    "box-ends.service": "ExecStart=sh -c 'sleep 0.1; exit 3'",
    "box-done.service": "ExecStart=sh -c 'sleep 0.1'",
    "box-never.service": "Type=notify\nExecStart=sh -c 'exit 7'",
    "box-stubborn.service": "ExecStart=sh -c 'trap \"\" TERM; sleep 1000 & wait; wait'",
    "box-leaves.service": "KillMode=process\nExecStart=sh -c 'sleep 1000 & sleep 1000 & wait'",
    "box-slow.service": "Type=notify\nExecStart=sleep 1000",
}

NODE = """
import os, sys, time, trio
from sbs.adapters.services.systemd.controller import open_controller
from sbs.adapters.transports.tcp import TcpTransport
from sbs.ports import Unit

async def main():
    listener = await TcpTransport().listen("127.0.0.1:0")
    async with open_controller([Unit(name=sys.argv[1])], listener.held_fds) as controller:
        await controller.bequeath(b"last words")
        if len(sys.argv) > 2:
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            await controller.guard(now + float(sys.argv[2]), 0.3)
        await controller.start(sys.argv[1], {"SBS_EPOCH": "2"})
        print(listener.address, flush=True)
        while True:
            await trio.sleep(0.05)
            try:
                await controller.start(sys.argv[1], {"SBS_EPOCH": "2"})
            except Exception as error:
                print(f"refused: {error}", flush=True)
                break
        await trio.sleep_forever()

trio.run(main)
"""


def systemctl(*words: str) -> str:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def show(unit: str, name: str) -> str:
    return systemctl("show", "--value", f"--property={name}", unit)


def pid_of(name: str) -> int:
    return int(show(f"{name}.service", "MainPID"))


async def crash(_controller: ServiceController, name: str) -> None:
    os.kill(pid_of(name), signal.SIGKILL)


async def read_environment(_controller: ServiceController, name: str) -> Mapping[str, str]:
    data = await trio.Path(f"/proc/{pid_of(name)}/environ").read_bytes()
    return dict(os.fsdecode(item).split("=", 1) for item in data.split(b"\0") if item)


async def wait_state(controller: ServiceController, name: str, **wanted: bool) -> ServiceState:
    with trio.move_on_after(BOUND_S):
        while True:
            state = (await controller.states())[name]
            if all(getattr(state, key) is value for key, value in wanted.items()):
                return state
            await controller.wait_changed()
    raise AssertionError(f"never {wanted}: {await controller.states()}")


async def wait_until(holds: Callable[[], object]) -> None:
    with trio.fail_after(BOUND_S):
        while not holds():  # noqa: ASYNC110 - of other processes nobody tells
            await trio.sleep(0.02)


def pids_of(unit: str) -> list[int]:
    group = show(unit, "ControlGroup").lstrip("/")
    return [int(pid) for pid in Path(f"/sys/fs/cgroup/{group}/cgroup.procs").read_text().split()]


def scopes() -> str:
    return systemctl("list-units", "--plain", "--no-legend", "sbs-*.scope")


@asynccontextmanager
async def opened(*names: str) -> AsyncGenerator[ServiceController, None]:
    with trio.fail_after(60):
        async with open_controller([Unit(name=name) for name in names], []) as controller:
            yield controller


@pytest.fixture(scope="module", autouse=True)
def _units() -> None:
    for name, lines in FILES.items():
        (UNITS / name).write_text(f"[Service]\n{lines}\n[Install]\nWantedBy=multi-user.target\n")
    (UNITS / "box-masked.service").symlink_to("/dev/null")
    systemctl("daemon-reload")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """R30: whatever a test did, SBS leaves no unit running, no drop-in, no permit, no scope."""
    yield
    for name in FILES:
        assert show(name, "ActiveState") in ("inactive", "failed", ""), name
        assert not (binding.UNIT_DIR / f"{name}.d").exists()
        assert not (binding.PERMIT_DIR / name).exists()
    assert not scopes()


async def test_the_adapter_passes_the_conformance_check() -> None:
    """B30, R32: with real units."""
    unit = Unit(name="box-a")
    await check_service_controller(open_controller, unit, crash, read_environment)


async def test_the_start_type_is_manual_once_it_is_open_and_afterwards() -> None:
    """R30: idempotent; a unit that is not enabled is left alone."""
    systemctl("enable", "box-a.service")
    systemctl("enable", "--runtime", "box-b.service")
    for _ in range(2):
        async with opened("box-a", "box-b", "box-done"):
            assert systemctl("is-enabled", "box-a.service") == "disabled"
            assert systemctl("is-enabled", "box-b.service") == "disabled"
    assert systemctl("is-enabled", "box-a.service") == "disabled"


async def test_what_ran_before_sbs_is_stopped() -> None:
    """B1: whatever started it, this node may be the secondary."""
    systemctl("start", "box-a.service")
    async with opened("box-a") as controller:
        assert not show("box-a.service", "MainPID").strip("0")
        state = (await controller.states())["box-a"]
        assert not state.active
        assert not state.running


async def test_nobody_starts_a_unit_that_sbs_has_not_started() -> None:
    """R30: not by hand, and not by Restart= after a stop."""
    async with opened("box-a") as controller:
        systemctl("start", "box-a.service")
        assert show("box-a.service", "ActiveState") == "failed"
        assert not (await controller.states())["box-a"].active
        await controller.start("box-a", {})
        await controller.stop("box-a", GRACE_S)
        systemctl("start", "box-a.service")
        assert show("box-a.service", "ActiveState") == "failed"


async def test_an_operator_may_use_systemctl_on_what_sbs_started() -> None:
    """R32: a stop by systemctl is an operator's, a restart is none; a start takes it back."""
    async with opened("box-a") as controller:
        await controller.start("box-a", {"SBS_EPOCH": "4"})
        pid = pid_of("box-a")
        systemctl("restart", "box-a.service")
        await wait_state(controller, "box-a", active=True, running=True)
        assert pid_of("box-a") not in (0, pid)
        assert (await read_environment(controller, "box-a"))["SBS_EPOCH"] == "4"
        for _ in range(2):  # at once: in between nobody may take it for a crash
            systemctl("stop", "box-a.service")
            assert not (await controller.states())["box-a"].active
            systemctl("start", "box-a.service")
            assert (await controller.states())["box-a"].active


@pytest.mark.parametrize(
    ("name", "detail"),
    [("box-ends", "failed, exited with code 3"), ("box-done", "dead, exited with code 0")],
)
async def test_a_unit_that_ended_by_itself_stays_active_and_says_how(
    name: str, detail: str
) -> None:
    """R32."""
    async with opened(name) as controller:
        await controller.start(name, {})
        state = await wait_state(controller, name, running=False)
        assert state == ServiceState(active=True, running=False, detail=detail)


async def test_a_unit_that_systemd_restarts_goes_on_and_stops_for_good() -> None:
    """B32: Restart= is obeyed while the service is wanted."""
    async with opened("box-b") as controller:
        await controller.start("box-b", {})
        pid = pid_of("box-b")
        await crash(controller, "box-b")
        with trio.fail_after(BOUND_S):
            while pid_of("box-b") in (0, pid):
                await controller.wait_changed()
        await wait_state(controller, "box-b", active=True, running=True)
        await controller.stop("box-b", GRACE_S)
        await trio.sleep(0.2)
        await wait_state(controller, "box-b", active=False, running=False)


async def test_a_failed_start_says_which_unit_and_why_and_where_more_is() -> None:
    async with opened("box-never") as controller:
        for _ in range(7):  # beyond systemd's own limit of starts
            with pytest.raises(ServiceError) as caught:
                await controller.start("box-never", {})
        assert str(caught.value) == (
            "service 'box-never': box-never.service does not start: job failed, unit failed "
            "(failed, exited with code 7); more: journalctl -u box-never.service"
        )
        assert not (await controller.states())["box-never"].active


@pytest.mark.parametrize("name", ["box-stubborn", "box-leaves"])
async def test_a_stop_kills_what_is_left_after_its_bound(name: str) -> None:
    """Also what a unit with KillMode=process leaves behind."""
    async with opened(name) as controller:
        await controller.start(name, {})
        await wait_until(lambda: len(pids_of(f"{name}.service")) > 1)
        pids = pids_of(f"{name}.service")
        await controller.stop(name, 0.3)
        assert not any(is_alive(pid) for pid in pids)


async def test_a_stop_cuts_a_start_short() -> None:
    """A Type=notify service that never gets ready does not keep its node from stopping."""
    async with opened("box-slow") as controller, trio.open_nursery() as nursery:
        nursery.start_soon(controller.start, "box-slow", {})
        await wait_state(controller, "box-slow", running=True)
        nursery.cancel_scope.cancel()
    assert show("box-slow.service", "ActiveState") in ("inactive", "failed")


@pytest.mark.parametrize("timeout_s", [-1.0, float("inf"), float("nan"), 2 * MAX_GRACE_S])
async def test_an_impossible_grace_is_refused(timeout_s: float) -> None:
    async with opened("box-a") as controller:
        with pytest.raises(ServiceError, match="allowed is 0 to 86400"):
            await controller.stop("box-a", timeout_s)


async def test_a_pattern_means_the_units_that_exist() -> None:
    """Masked units and templates are none; an instance is one when it is loaded."""
    systemctl("start", "box-t@1.service")
    async with opened("box-d*", "box-[mt]*", "box-none*", "box-a.service") as controller:
        assert {*await controller.states()} == {"box-done", "box-t@1", "box-a.service"}
        await controller.start("box-t@1", {})
        await wait_state(controller, "box-t@1", active=True, running=True)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["box-nowhere"], "service 'box-nowhere': box-nowhere.service is not-found"),
        (["box-masked"], "box-masked.service is masked"),
        (["dbus.socket"], "a socket cannot be a service"),
        (["box t"], "allowed are letters"),
        (["box-t@"], "of a template an instance"),
        (["box-a", "box-a.service"], "box-a.service is 'box-a', too"),
    ],
)
async def test_units_that_cannot_be_are_refused_by_name(names: list[str], says: str) -> None:
    with pytest.raises(ServiceError, match=says):
        async with opened(*names):
            raise AssertionError("must not open")


async def test_a_unit_of_another_sbs_is_refused() -> None:
    async with opened("box-a"):
        with pytest.raises(ServiceError, match=r"box-a.service belongs to another SBS .*\.scope"):
            async with opened("box-b", "box-a"):
                raise AssertionError("must not open")
        assert binding.bound_to("box-a.service")


async def test_services_are_killed_when_the_fencer_is_and_can_be_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B31: without a fencer nothing may run; SBS goes on with another."""
    caplog.set_level(logging.ERROR)
    async with opened("box-a", "box-stubborn") as controller:
        for name in ("box-a", "box-stubborn"):
            await controller.start(name, {})
        scope = binding.bound_to("box-a.service")
        (pid,) = pids_of(scope)
        os.kill(pid, signal.SIGKILL)
        for name in ("box-a", "box-stubborn"):
            state = await wait_state(controller, name, active=True, running=False)
            assert state.detail == "killed: the fencer is gone"
        with trio.fail_after(BOUND_S):
            while binding.bound_to("box-a.service") == scope:
                await controller.wait_changed()
        await controller.guard(None, 1.0)
        await controller.start("box-a", {})
        await wait_state(controller, "box-a", active=True, running=True)
    assert "the fencer is gone" in caplog.text


async def test_without_a_system_bus_the_adapter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    monkeypatch.setattr(bus, "CALL_BOUND_S", 0.3)
    with pytest.raises(ServiceError, match=r"systemd does not answer within 0\.3 s"):
        async with opened("box-a"):
            raise AssertionError("must not open")


async def test_a_fencer_that_gets_no_scope_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the unit is not bound to anything."""
    monkeypatch.setattr(leash, "_numbers", iter(["a b"]))
    with pytest.raises(ServiceError, match="systemd, StartTransientUnit: Invalid unit name"):
        async with opened("box-a"):
            raise AssertionError("must not open")
    children = await trio.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    assert not children.split()


async def test_a_bus_that_is_restarted_is_found_again() -> None:
    async with opened("box-a") as controller:
        await controller.start("box-a", {})
        systemctl("kill", "--signal=KILL", "dbus.service")
        with trio.fail_after(BOUND_S):
            while True:
                try:
                    await controller.stop("box-a", GRACE_S)
                    break
                except ServiceError:
                    await trio.sleep(0.05)
        await controller.start("box-a", {})
        await crash(controller, "box-a")
        await wait_state(controller, "box-a", active=True, running=False)


@asynccontextmanager
async def running_node(*words: str) -> AsyncGenerator[tuple[trio.Process, tuple[str, int]], None]:
    """A process that has started a unit and tries again and again; its port."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", NODE, *words],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(BOUND_S):
            host, _, port = (await process.stdout.receive_some()).decode().strip().rpartition(":")
        yield process, (host, int(port))
    finally:
        with trio.CancelScope(shield=True):
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await wait_until(lambda: not scopes())
            async with opened(words[0]):  # what a killed SBS leaves is taken over
                pass


def say(address: tuple[str, int]) -> bytes | None:
    """What a port tells; nothing: it refuses."""
    with socket.socket() as sock:
        sock.settimeout(BOUND_S)
        try:
            sock.connect(address)
            return sock.recv(100)
        except ConnectionRefusedError:
            return None


@pytest.mark.parametrize("unit", ["box-a", "box-b", "box-stubborn", "box-leaves"])
async def test_kill_9_of_sbs_kills_its_units_before_its_port_refuses(unit: str) -> None:
    """B31: whoever is told the last words, or is refused, knows that the units are dead."""
    async with running_node(unit) as (process, address):
        pids = pids_of(f"{unit}.service")
        process.send_signal(signal.SIGKILL)
        assert await trio.to_thread.run_sync(say, address) == b"last words"
        assert not any(is_alive(pid) for pid in pids)
        await wait_until(lambda: say(address) is None)
        systemctl("start", f"{unit}.service")
        assert show(f"{unit}.service", "ActiveState") in ("inactive", "failed")


async def test_a_frozen_sbs_loses_its_unit_at_the_deadline_and_cannot_start_it_when_it_thaws() -> (
    None
):
    """B3."""
    async with running_node("box-stubborn", "1.0") as (process, _address):
        pid = pid_of("box-stubborn")
        process.send_signal(signal.SIGSTOP)
        began_at = time.monotonic()
        await wait_until(lambda: not is_alive(pid))
        assert time.monotonic() - began_at > 0.5
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        with trio.fail_after(BOUND_S):
            told = await process.stdout.receive_some()
        assert b"the time until which services may run here has passed" in told
        assert show("box-stubborn.service", "ActiveState") in ("inactive", "failed")
