"""The adapter ``command``, with real commands: a shell script around a file with a process id."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
import trio

from sbs.adapters.services import command as command_module
from sbs.adapters.services import commanded
from sbs.adapters.services.command import open_controller
from sbs.errors import ServiceError
from sbs.ports import ServiceController, Unit
from sbs.testing.nodes import wait_until
from sbs.testing.services import check_service_controller
from tests.support import is_alive

SCRIPT = r"""
pid=$(cat "$2/pid" 2>/dev/null)
lives() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status"; }
echo "$1 $SBS_SERVICE $SBS_EPOCH $SBS_GRACE_S" >> "$2/calls"
case $1 in
start)
    echo "starting"
    sleep 1000 > /dev/null 2>&1 < /dev/null &
    echo $! > "$2/pid" ;;
stop)
    lives || exit 0
    kill "$pid"
    tries=50
    while lives && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.02; done
    lives && kill -9 "$pid"
    exit 0 ;;
status)
    lives ;;
esac
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "POLL_S", 0.05)
    monkeypatch.setattr(commanded, "SETTLE_S", 0.3)
    monkeypatch.setattr(commanded, "LOOK_S", 0.02)


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    script = tmp_path / "service.sh"
    script.write_text(SCRIPT)

    def command(word: str) -> tuple[str, ...]:
        return ("sh", str(script), word, str(tmp_path))

    return Unit(name="a", start=command("start"), stop=command("stop"), status=command("status"))


def pid_of(directory: Path) -> int:
    return int((directory / "pid").read_text())


def calls(directory: Path, word: str) -> list[str]:
    path = directory / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.startswith(word)]


async def test_command_adapter_passes_the_conformance_check(unit: Unit, tmp_path: Path) -> None:
    """R32, B30: with real processes that are no children of SBS."""

    async def crash(controller: ServiceController, name: str) -> None:
        os.kill(pid_of(tmp_path), signal.SIGKILL)

    async def read_environment(controller: ServiceController, name: str) -> Mapping[str, str]:
        data = await trio.Path(f"/proc/{pid_of(tmp_path)}/environ").read_bytes()
        return dict(os.fsdecode(item).split("=", 1) for item in data.split(b"\0") if item)

    await check_service_controller(open_controller, unit, crash, read_environment)


async def test_says_that_services_outlive_the_node(unit: Unit) -> None:
    """B31: a refused connection proves nothing then."""
    async with open_controller([unit], []) as controller:
        assert not controller.dies_with_node


async def test_commands_learn_service_epoch_and_grace(unit: Unit, tmp_path: Path) -> None:
    async with open_controller([unit], []) as controller:
        await controller.start("a", {"SBS_EPOCH": "7"})
        await controller.stop("a", 2.5)
    assert calls(tmp_path, "start") == ["start a 7 "]
    assert calls(tmp_path, "stop") == ["stop a 7 2.5"]


async def test_output_is_in_the_log(unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_controller([unit], []) as controller:
        await controller.start("a", {})
    assert "service a: starting" in caplog.messages


async def test_what_runs_at_the_opening_is_stopped(unit: Unit, tmp_path: Path) -> None:
    """R30: SBS alone starts the services; its predecessor was killed."""
    process = await trio.lowlevel.open_process([*unit.start])
    await process.wait()
    assert is_alive(pid_of(tmp_path))
    async with open_controller([unit], []) as controller:
        assert not is_alive(pid_of(tmp_path))
        assert not (await controller.states())["a"].running


async def test_leaving_stops_what_runs(unit: Unit, tmp_path: Path) -> None:
    async with open_controller([unit], []) as controller:
        await controller.start("a", {})
        pid = pid_of(tmp_path)
        assert is_alive(pid)
    assert not is_alive(pid)


async def test_cancelled_node_leaves_nothing_running(unit: Unit, tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_controller([unit], []) as controller:
            await controller.start("a", {})
            scope.cancel()
            await trio.sleep_forever()
    assert not is_alive(pid_of(tmp_path))


async def test_stop_is_finished_although_nobody_waits(unit: Unit, tmp_path: Path) -> None:
    slow = attrs.evolve(unit, stop=("sh", "-c", 'sleep 0.2; exec "$@"', "sh", *unit.stop))
    async with open_controller([slow], []) as controller:
        await controller.start("a", {})
        with trio.move_on_after(0.05) as scope:
            await controller.stop("a", 5.0)
        assert scope.cancelled_caught
        with trio.fail_after(10):
            while (await controller.states())["a"].running:
                await controller.wait_changed()
    assert len(calls(tmp_path, "stop")) == 1


async def test_stop_cuts_a_start_short(unit: Unit, tmp_path: Path) -> None:
    """A handover does not wait for a start that hangs; what it may have begun is ended."""
    hanging = attrs.evolve(unit, start=("sh", "-c", '"$@"; sleep 1000', "sh", *unit.start))
    async with open_controller([hanging], []) as controller:
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:

                async def start() -> None:
                    with pytest.raises(ServiceError, match="stopped meanwhile"):
                        await controller.start("a", {})

                nursery.start_soon(start)
                await wait_until(lambda: calls(tmp_path, "start"), "it starts")
                await controller.stop("a", 1.0)
        assert calls(tmp_path, "stop")
        assert not (await controller.states())["a"].active


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (("sh", "-c", "echo no paper >&2; exit 3"), "ended with code 3: no paper"),
        (("/no-such-program",), "cannot be started: No such file"),
        (("true",), "does not say within 0.3 s that it runs"),
    ],
)
async def test_failed_start_says_why(start: tuple[str, ...], says: str, unit: Unit) -> None:
    async with open_controller([attrs.evolve(unit, start=start)], []) as controller:
        with pytest.raises(ServiceError, match=says):
            await controller.start("a", {})
        state = (await controller.states())["a"]
        assert not state.active
        assert not state.running


async def test_start_that_takes_too_long_is_killed_and_undone(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commanded, "START_BOUND_S", 0.3)
    hanging = attrs.evolve(unit, start=("sh", "-c", '"$@"; sleep 1000', "sh", *unit.start))
    async with open_controller([hanging], []) as controller:
        with pytest.raises(ServiceError, match=r"killed after 0\.3 s"):
            await controller.start("a", {})
        # A busy machine may have killed it before it began anything.
        assert not (tmp_path / "pid").exists() or not is_alive(pid_of(tmp_path))


async def test_stop_that_does_not_stop_is_an_error(
    unit: Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commanded, "KILL_BOUND_S", 1.0)
    broken = attrs.evolve(
        unit, stop=("sh", "-c", f'test -e {tmp_path}/mended && exec "$@"', "sh", *unit.stop)
    )
    async with open_controller([broken], []) as controller:
        await controller.start("a", {})
        with pytest.raises(ServiceError, match="ended with code 1, and it still runs"):
            await controller.stop("a", 0.0)
        assert (await controller.states())["a"].running
        (tmp_path / "mended").touch()
        await controller.stop("a", 0.0)


async def test_status_that_does_not_tell_changes_nothing(
    unit: Unit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A hiccup of a container engine is no crash of a service."""
    broken = tmp_path / "broken"
    status = ("sh", "-c", f'test -e {broken} && kill -9 $$; exec "$@"', "sh", *unit.status)
    async with open_controller([attrs.evolve(unit, status=status)], []) as controller:
        await controller.start("a", {})
        broken.touch()
        await wait_until(lambda: "it counts as before" in caplog.text, "a look has failed")
        assert (await controller.states())["a"].running
        broken.unlink()
        os.kill(pid_of(tmp_path), signal.SIGKILL)
        with trio.fail_after(10):
            while (await controller.states())["a"].running:
                await controller.wait_changed()
        assert "ended with code" in (await controller.states())["a"].detail


async def test_deadline_that_passed_unseen_is_heeded_before_it_is_moved(
    unit: Unit, tmp_path: Path
) -> None:
    """B3: SBS was frozen over its deadline; what ran then is ended, and may start again."""
    async with open_controller([unit], []) as controller:
        await controller.start("a", {})
        first = pid_of(tmp_path)
        deadline_at = time.clock_gettime(time.CLOCK_BOOTTIME) + 0.05
        await controller.guard(deadline_at, 5.0)
        time.sleep(0.1)  # noqa: ASYNC251 - the freeze
        await controller.guard(deadline_at + 1000.0, 5.0)
        await controller.start("a", {})
        assert not is_alive(first)
        assert is_alive(pid_of(tmp_path))


async def test_missing_commands_are_refused_by_name(unit: Unit) -> None:
    with pytest.raises(ServiceError, match=r"'a'.*missing: stop, status"):
        async with open_controller([attrs.evolve(unit, stop=(), status=())], []):
            raise AssertionError("must not open")


async def test_status_that_cannot_be_asked_at_the_opening_is_refused(unit: Unit) -> None:
    """What may run here is not known: this node must not claim that nothing does."""
    with pytest.raises(ServiceError, match="status command /no-such-program cannot be started"):
        async with open_controller([attrs.evolve(unit, status=("/no-such-program",))], []):
            raise AssertionError("must not open")
