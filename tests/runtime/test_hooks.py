"""Hooks are real processes here."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import pytest
import trio

from sbs.config import HookSettings
from sbs.core.claim import Role
from sbs.core.effects import TellRole
from sbs.core.epoch import Epoch
from sbs.runtime.alarms import Alarms
from sbs.runtime.announcer import MAX_UNTOLD, Announcer
from sbs.runtime.hooks import HookError, run_hook
from sbs.testing.nodes import wait_until
from tests.support import is_alive

BOUND_S = 30.0


def announcer_of(alarms: Alarms, *hooks: tuple[str, ...]) -> Announcer:
    return Announcer(HookSettings(transition=hooks), "alpha", alarms)


async def test_lines_and_environment() -> None:
    """R25."""
    lines = await run_hook(["sh", "-c", 'echo "$SBS_X"; echo "$HOME"'], {"SBS_X": "a b"}, BOUND_S)
    assert lines == ["a b", os.environ.get("HOME", "")]


async def test_paths_that_are_no_text_survive() -> None:
    assert await run_hook(["printf", r"\377\n"], {}, BOUND_S) == [os.fsdecode(b"\xff")]


async def test_arguments_meet_no_shell(tmp_path: Path) -> None:
    """Adversarial 10."""
    odd = f"; touch {tmp_path}/pwned $(id) `id`"
    assert await run_hook(["echo", odd], {}, BOUND_S) == [odd]
    assert os.listdir(tmp_path) == []


async def test_complaints_are_logged_without_control_sequences(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Adversarial 10."""
    caplog.set_level(logging.INFO)
    with pytest.raises(HookError, match="ended with code 3"):
        await run_hook(["sh", "-c", r"printf 'bad \033[31m\n' >&2; exit 3"], {}, BOUND_S)
    assert any(r"bad \x1b[31m" in record.getMessage() for record in caplog.records)


async def test_program_that_is_missing_is_named() -> None:
    with pytest.raises(HookError, match=r"no-such-program.*cannot be started: No such file"):
        await run_hook(["/no-such-program", "x"], {}, BOUND_S)


async def test_hook_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(HookError, match=r"killed after 0\.2 s"):
        await run_hook(["sh", "-c", f"sleep 1000 & echo $! > {pid}; wait"], {}, 0.2)
    await wait_until(lambda: not is_alive(int(pid.read_text())), "it is gone")


async def test_program_that_a_hook_leaves_running_holds_nothing_up(tmp_path: Path) -> None:
    """It has the hook's pipes; the hook has ended all the same."""
    pid = tmp_path / "pid"
    with trio.fail_after(30):
        assert await run_hook(
            ["sh", "-c", f"sleep 1000 & echo $! > {pid}; echo a"], {}, BOUND_S
        ) == ["a"]
    os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_hook_that_never_stops_printing_is_killed_early(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbs.adapters.commands.MAX_OUTPUT_BYTES", 100_000)
    endless = f"import sys\nwhile True: sys.{stream}.write('x' * 1000)"
    with trio.fail_after(30), pytest.raises(HookError, match="printed over 100000 bytes"):
        await run_hook([sys.executable, "-I", "-S", "-c", endless], {}, BOUND_S)


async def test_cancelled_hook_is_killed(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def started() -> bool:
        return pid.exists() and pid.read_text().endswith("\n")

    async with trio.open_nursery() as nursery:
        hook = ["sh", "-c", f"echo $$ > {pid}; exec sleep 1000"]
        nursery.start_soon(run_hook, hook, {}, BOUND_S)
        await wait_until(started, "the hook runs")
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


async def test_role_changes_are_told_in_order(tmp_path: Path) -> None:
    """R25."""
    log = tmp_path / "log"
    alarms = Alarms()
    words = "$SBS_HOOK $SBS_NODE $SBS_ROLE $SBS_EPOCH $SBS_REASON"
    hook = ("sh", "-c", f'echo "{words}" >> {log}')
    announcer = announcer_of(alarms, hook, ("false",))
    announcer.tell(TellRole(Role.PRIMARY, Epoch(3, 1), "why"))
    announcer.tell(TellRole(Role.STOPPED, Epoch(3, 1), "asked"))
    assert announcer.role is Role.STOPPED
    announcer.end()
    await announcer.run()
    assert log.read_text() == ("transition alpha primary 7 why\ntransition alpha stopped 7 asked\n")
    assert [alarm.code for alarm in alarms.standing] == ["transition-hook-failed"]


async def test_alarm_of_a_transition_hook_ends_with_its_next_success(tmp_path: Path) -> None:
    alarms = Alarms()
    script = f"mkdir {tmp_path}/once || rmdir {tmp_path}/x"
    announcer = announcer_of(alarms, ("sh", "-c", script))
    (tmp_path / "once").mkdir()
    announcer.tell(TellRole(Role.PRIMARY, Epoch(1, 0), ""))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(announcer.run)
        await wait_until(lambda: alarms.standing, "it failed")
        (tmp_path / "once").rmdir()
        announcer.tell(TellRole(Role.STOPPED, Epoch(1, 0), ""))
        announcer.end()
    assert alarms.standing == ()


def test_too_many_changes_are_dropped_not_piled_up() -> None:
    announcer = announcer_of(Alarms())
    for _ in range(MAX_UNTOLD + 1):
        announcer.tell(TellRole(Role.PRIMARY, Epoch(1, 0), ""))
    assert announcer.role is Role.PRIMARY
