from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from sbs.adapters.services import channel, fencer, keeper
from sbs.adapters.services import process as process_module
from sbs.adapters.services.process import MAX_GRACE_S, MAX_UNITS, boottime, open_controller
from sbs.errors import ServiceError
from sbs.ports import ServiceController, ServiceState, Unit
from sbs.testing.services import check_service_controller

SLEEP = Unit(name="a", command=("sleep", "1000"))
STUBBORN = Unit(name="a", command=("sh", "-c", "trap '' TERM; sleep 1000 & wait; wait"))
GRACE_S = 5.0


def is_gone(pid: int) -> bool:
    """Whether a process has ended and was reaped."""
    return not Path(f"/proc/{pid}").exists()


def children_of(pid: int) -> list[int]:
    """All children, zombies included, whichever thread they came from."""
    listings = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for listing in listings for child in listing.split()]


def fencer_of(pid: int) -> int:
    """The fencer; once it has answered, for a process is without a command line at first."""
    (fencer_pid,) = [
        child
        for child in children_of(pid)
        if b"fencer.py" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return fencer_pid


async def wait_ended(pid: int) -> None:
    """Wait until a process has ended; it may be a zombie still."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with trio.fail_after(10):
        await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)


async def read_fifo(path: Path) -> str:
    """What the next writer writes to a named pipe; waits for it."""
    with trio.fail_after(10):
        return await trio.to_thread.run_sync(path.read_text, abandon_on_cancel=True)


def shell(script: str) -> Unit:
    return Unit(name="a", command=("sh", "-c", script))


async def pid_of(controller: ServiceController) -> int:
    word, pid = (await controller.states())["a"].detail.split()
    assert word == "process"
    return int(pid)


async def crash(controller: ServiceController, name: str) -> None:
    os.kill(await pid_of(controller), signal.SIGKILL)


async def wait_stubborn(controller: ServiceController) -> int:
    """The process of :data:`STUBBORN`, once it ignores SIGTERM."""
    pid = await pid_of(controller)
    bit = 1 << (signal.SIGTERM - 1)
    with trio.fail_after(10):
        while not _ignored(pid) & bit:
            await trio.lowlevel.checkpoint()
    return pid


def _ignored(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))


async def read_environment(controller: ServiceController, name: str) -> Mapping[str, str]:
    data = await trio.Path(f"/proc/{await pid_of(controller)}/environ").read_bytes()
    return dict(os.fsdecode(item).split("=", 1) for item in data.split(b"\0") if item)


async def wait_state(controller: ServiceController, wanted: ServiceState) -> None:
    with trio.fail_after(10):
        while (await controller.states())["a"] != wanted:
            await controller.wait_changed()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


async def test_process_adapter_passes_the_conformance_check() -> None:
    """R32, B30: with real processes."""
    await check_service_controller(open_controller, SLEEP, crash, read_environment)


async def test_promises_that_services_die_with_the_node() -> None:
    """B31: this is what the node declares to its peer."""
    async with open_controller([SLEEP], []) as controller:
        assert controller.dies_with_node


async def test_inherits_the_environment_of_sbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBS_TEST_INHERITED", os.fsdecode(b"\xff"))
    async with open_controller([SLEEP], []) as controller:
        await controller.start("a", {})
        found = await read_environment(controller, "a")
    assert found["SBS_TEST_INHERITED"] == os.fsdecode(b"\xff")


async def test_service_gets_a_clean_process() -> None:
    """No descriptor of ours, no signal ignored or blocked, a session of its own."""
    held = os.open("/dev/null", os.O_RDONLY)
    async with open_controller([SLEEP], [held]) as controller:
        await controller.start("a", {})
        pid = await pid_of(controller)
        while len(os.listdir(f"/proc/{pid}/fd")) > 3:  # its loader still reads libraries
            await trio.lowlevel.checkpoint()
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2"]
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        assert os.getsid(pid) == os.getpgid(pid) == pid
        status = await trio.Path(f"/proc/{pid}/status").read_text()
        signals = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
        assert int(signals["SigIgn"], 16) == int(signals["SigBlk"], 16) == 0
    os.close(held)


async def test_unit_without_command_is_refused_by_name() -> None:
    with pytest.raises(ServiceError, match=r"'printer-1'.*needs its command"):
        async with open_controller([SLEEP, Unit(name="printer-1")], []):
            raise AssertionError("must not open")


async def test_number_of_units_is_bounded() -> None:
    units = [Unit(name=f"u{n}", command=("true",)) for n in range(MAX_UNITS + 1)]
    with pytest.raises(ServiceError, match="at most 256"):
        async with open_controller(units, []):
            raise AssertionError("must not open")


@pytest.mark.parametrize(
    ("command", "cause"),
    [
        (("no-such-program", "x y"), "no-such-program 'x y': No such file or directory"),
        (("/",), "/: Permission denied"),
        (("sleep", "1\0"), "embedded null byte"),
        (("sleep", "x" * channel.MAX_MESSAGE_BYTES), "at most 65536 are allowed"),
    ],
)
async def test_command_that_cannot_start_names_unit_command_and_cause(
    command: tuple[str, ...], cause: str
) -> None:
    async with open_controller([Unit(name="a", command=command), SLEEP][:1], []) as controller:
        for _ in range(2):
            with pytest.raises(ServiceError, match=f"service 'a': .*{cause}"):
                await controller.start("a", {})
        state = (await controller.states())["a"]
        assert not state.active
        assert not state.running


@pytest.mark.parametrize("timeout_s", [-1.0, float("inf"), float("nan"), 2 * MAX_GRACE_S])
async def test_impossible_grace_is_refused(timeout_s: float) -> None:
    async with open_controller([SLEEP], []) as controller:
        with pytest.raises(ServiceError, match="allowed is 0 to 86400"):
            await controller.stop("a", timeout_s)


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ("exit 3", "exited with code 3"),
        ("exit 0", "exited with code 0"),
        ("kill -KILL $$", "killed by SIGKILL"),
        ("kill -40 $$", "killed by signal 40"),
    ],
)
async def test_service_that_ended_by_itself_stays_active_and_says_how(
    script: str, detail: str
) -> None:
    """R32: active means started and not stopped by an operator."""
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        await wait_state(controller, ServiceState(active=True, running=False, detail=detail))
        await controller.stop("a", GRACE_S)
        assert not (await controller.states())["a"].active


async def test_nothing_of_a_crashed_service_is_left(fifo: Path) -> None:
    """A second run must not meet remains of the first."""
    script = f"(setsid sleep 1000 & echo $! >{fifo}) ; sleep 1000 & exit 1"
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        daemon = int(await read_fifo(fifo))
        await wait_state(
            controller, ServiceState(active=True, running=False, detail="exited with code 1")
        )
        assert is_gone(daemon)


async def test_stop_asks_first(fifo: Path) -> None:
    script = (
        f"trap 'echo asked >{fifo}; exit' TERM; echo ready >{fifo}; while :; do sleep 0.01; done"
    )
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        assert await read_fifo(fifo) == "ready\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controller.stop, "a", GRACE_S)
            assert await read_fifo(fifo) == "asked\n"


async def test_grace_covers_the_group_when_its_leader_ends_first(fifo: Path) -> None:
    worker = f"trap 'sleep 0.05; echo tidied >{fifo}; exit' TERM; echo ready >{fifo}; "
    worker += "while :; do sleep 0.01; done"
    async with open_controller([shell(f'sh -c "{worker}" & wait')], []) as controller:
        await controller.start("a", {})
        assert await read_fifo(fifo) == "ready\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controller.stop, "a", GRACE_S)
            assert await read_fifo(fifo) == "tidied\n"


async def test_service_that_ignores_the_request_is_killed_after_the_grace(fifo: Path) -> None:
    script = f"trap '' TERM; echo ready >{fifo}; while :; do sleep 1000; done"
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        await read_fifo(fifo)
        pid = await pid_of(controller)
        await controller.stop("a", 0.05)
        assert is_gone(pid)


async def test_stopped_process_is_killed_all_the_same(fifo: Path) -> None:
    async with open_controller([shell(f"trap '' CONT TERM; echo >{fifo}; kill -STOP $$")], []) as c:
        await c.start("a", {})
        await read_fifo(fifo)
        pid = await pid_of(c)
        await c.stop("a", 0.05)
        assert is_gone(pid)


async def test_daemon_that_cut_itself_loose_is_killed_with_its_service(fifo: Path) -> None:
    """B31: and a service beside it lives on."""
    script = f'(setsid sh -c "echo \\$\\$ >{fifo}; exec sleep 1000" &) ; exec sleep 1000'
    other = Unit(name="b", command=("sleep", "1000"))
    async with open_controller([shell(script), other], []) as controller:
        await controller.start("b", {})
        await controller.start("a", {})
        daemon = int(await read_fifo(fifo))
        assert os.getsid(daemon) == daemon
        await controller.stop("a", GRACE_S)
        assert is_gone(daemon)
        assert (await controller.states())["b"].running


async def test_second_stop_shortens_the_grace_of_a_cancelled_one(fifo: Path) -> None:
    script = f"trap '' TERM; echo ready >{fifo}; while :; do sleep 1000; done"
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        await read_fifo(fifo)
        with trio.move_on_after(0.05) as scope:
            await controller.stop("a", 1000.0)
        assert scope.cancelled_caught
        with trio.fail_after(10):
            await controller.stop("a", 0.0)
        assert not (await controller.states())["a"].running


@pytest.mark.parametrize("cancelled", [False, True])
async def test_leaving_the_context_leaves_nothing(cancelled: bool, fifo: Path) -> None:
    script = f"trap '' TERM; (setsid sleep 1000 & echo $! >{fifo}); while :; do sleep 1000; done"
    with trio.CancelScope() as scope:
        async with open_controller([shell(script)], []) as controller:
            await controller.start("a", {})
            pids = [int(await read_fifo(fifo)), await pid_of(controller), fencer_of(os.getpid())]
            assert not any(map(is_gone, pids))
            if cancelled:
                scope.cancel()
                await trio.lowlevel.checkpoint()
    assert all(map(is_gone, pids))


async def test_callers_exception_comes_out_as_it_was() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_controller([SLEEP], []):
            raise KeyError("mine")


async def test_killed_fencer_takes_its_services_along_and_is_replaced(
    fifo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B31: whatever dies, services do not live on unwatched."""
    script = f"(setsid sleep 1000 & echo $! >{fifo}); exec sleep 1000"
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        daemon, pid = int(await read_fifo(fifo)), await pid_of(controller)
        os.kill(fencer_of(os.getpid()), signal.SIGKILL)
        detail = "killed: the fencer is gone"
        await wait_state(controller, ServiceState(active=True, running=False, detail=detail))
        await wait_ended(pid)
        await wait_ended(daemon)
        assert [r.levelno for r in caplog.records] == [logging.ERROR]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(controller.start, "a", {})
            await read_fifo(fifo)
        assert (await controller.states())["a"].running


async def test_killed_keeper_ends_all_rather_than_leave_one_unwatched(fifo: Path) -> None:
    """B31"""
    script = f"(setsid sleep 1000 & echo $! >{fifo}); exec sleep 1000"
    async with open_controller([shell(script)], []) as controller:
        await controller.start("a", {})
        daemon, pid = int(await read_fifo(fifo)), await pid_of(controller)
        (keeper_pid,) = children_of(fencer_of(os.getpid()))
        os.kill(keeper_pid, signal.SIGKILL)
        detail = "killed: the fencer is gone"
        await wait_state(controller, ServiceState(active=True, running=False, detail=detail))
        assert is_gone(pid)
        assert is_gone(daemon)


async def test_stuck_fencer_delays_no_call_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    units = [SLEEP, Unit(name="b", command=("sleep", "1000"))]
    async with open_controller(units, []) as controller:
        await controller.start("a", {})
        pid, fencer_pid = await pid_of(controller), fencer_of(os.getpid())
        os.kill(fencer_pid, signal.SIGSTOP)
        for bound in ("START_BOUND_S", "KILL_BOUND_S", "CLOSE_BOUND_S"):
            monkeypatch.setattr(process_module, bound, 0.2)
        with pytest.raises(ServiceError, match=r"'b': not started after 0.2 s"):
            await controller.start("b", {})
        with pytest.raises(ServiceError, match=r"'a': something of it still runs"):
            await controller.stop("a", 0.0)
        with pytest.raises(ServiceError, match=r"'a': its last run does not end"):
            await controller.start("a", {})
        monkeypatch.setattr(process_module, "KILL_BOUND_S", 5.0)
    assert is_gone(fencer_pid)
    assert is_gone(pid)


async def test_fifty_cycles_leave_no_zombie_and_no_descriptor() -> None:
    async with open_controller([SLEEP], []) as controller:
        await controller.start("a", {})
        fencer_pid = fencer_of(os.getpid())
        counts: list[tuple[int, int]] = []
        for _ in range(50):
            await controller.start("a", {})
            await controller.stop("a", GRACE_S)
            paths = ("/proc/self/fd", f"/proc/{fencer_pid}/fd")
            own, fencers = (len(os.listdir(path)) for path in paths)
            counts.append((own, fencers))
        # The last keeper may be about to exit while we look: two descriptors.
        assert counts[-1][0] == counts[0][0]
        assert counts[-1][1] <= counts[0][1] + 2
        for keeper_pid in children_of(fencer_pid):
            await wait_ended(keeper_pid)
    assert is_gone(fencer_pid)
    assert children_of(os.getpid()) == []


async def test_service_ended_by_the_deadline_says_so_and_can_start_again() -> None:
    """B3, R32: whoever moves the deadline on meanwhile gets a new run, not the dying one."""
    async with open_controller([STUBBORN], []) as controller:
        await controller.start("a", {})
        pid = await wait_stubborn(controller)
        await controller.guard(boottime(), 0.3)
        with pytest.raises(ServiceError, match=r"'a'.*the time until which services may run"):
            await controller.start("a", {})
        assert is_gone(pid)
        await controller.guard(boottime() + 1000, 0.3)
        await controller.start("a", {})
        pid = await wait_stubborn(controller)
        await controller.guard(boottime(), 0.3)
        await controller.guard(boottime() + 1000, 0.3)
        await controller.start("a", {})
        assert is_gone(pid)
        await wait_stubborn(controller)
        await controller.guard(boottime(), 0.0)
        detail = "its time here had passed: killed by SIGKILL"
        await wait_state(controller, ServiceState(active=True, running=False, detail=detail))


async def test_no_grace_is_left_to_give_long_after_the_deadline() -> None:
    """B3: as after a suspend, in which CLOCK_BOOTTIME goes on."""
    async with open_controller([STUBBORN], []) as controller:
        await controller.start("a", {})
        pid = await wait_stubborn(controller)
        await controller.guard(boottime() - 60.0, 59.0)
        await wait_ended(pid)


async def test_frozen_fencer_is_killed_when_the_deadline_has_passed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B3: SBS itself sees to it that the services end."""
    async with open_controller([SLEEP], []) as controller:
        await controller.start("a", {})
        pid = await pid_of(controller)
        os.kill(fencer_of(os.getpid()), signal.SIGSTOP)
        await controller.guard(boottime() + 0.1, 0.0)
        await wait_ended(pid)
        detail = "killed: the fencer is gone"
        await wait_state(controller, ServiceState(active=True, running=False, detail=detail))
        assert "whose time has passed: it is killed" in caplog.text
        with pytest.raises(ServiceError, match=r"the time until which services may run"):
            await controller.start("a", {})
        await controller.guard(None, 0.0)
        await controller.start("a", {})


def test_frozen_sbs_need_not_read_for_services_to_be_stopped() -> None:
    """B3: two reports of each service wait in the channel."""
    ours, theirs = channel.open_pair()
    with ours, theirs:
        theirs.setblocking(False)
        for run in range(10_000, 10_000 + MAX_UNITS):
            keeper.report(theirs.fileno(), "started", run, pid=2**22)
            keeper.report(theirs.fileno(), "exited", run, code=-signal.SIGTERM)


def test_both_ends_of_the_channel_agree_on_its_limit() -> None:
    assert channel.MAX_MESSAGE_BYTES == fencer.MAX_MESSAGE_BYTES


def test_both_ways_to_find_children_agree() -> None:
    """In a process of its own: the fencer has one thread, the tests have several."""
    script = (
        "import os, signal; from sbs.adapters.services import keeper\n"
        "pids = [os.fork() or signal.pause() for _ in range(3)]\n"
        "found = sorted(keeper.listed_children()), sorted(keeper.scanned_children())\n"
        "left = len(keeper.kill_descendants())\n"
        "assert found == (pids, pids) and left == 3, (found, left)\n"
    )
    root = os.fspath(Path(channel.__file__).parents[3])
    subprocess.run([sys.executable, "-c", script], check=True, cwd=root, timeout=10)


async def test_a_stop_that_overtakes_the_start_is_heeded() -> None:
    """B30: SIGTERM between fork and execution is not lost, so nobody waits for the grace."""
    async with open_controller([SLEEP], ()) as controller:
        for instant in range(40):
            with trio.move_on_after(instant * 0.0002):
                await controller.start("a", {})
            with trio.fail_after(MAX_GRACE_S / 1000):
                await controller.stop("a", MAX_GRACE_S)
