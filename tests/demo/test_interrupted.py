"""``sbs demo`` ended from outside: whenever it happens, nothing is left behind."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.demo.rig import Demo

SPAN_S = 6.0
"""The instants lie between the start of the process and a little after its end."""

_chance = random.Random(20)
INSTANTS = [SPAN_S * (slot + _chance.random()) / 10 for slot in range(10)]
"""One in each tenth of the span."""


@pytest.mark.parametrize("after_s", INSTANTS, ids="{:.2f}s".format)
def test_an_interrupt_at_any_instant_leaves_nothing(tmp_path: Path, after_s: float) -> None:
    demo = Demo(tmp_path, ["--json"])
    with demo.started() as process:
        time.sleep(after_s)  # the instant is what is tested
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    demo.assert_nothing_left()
    # 1, or the signal itself: Python had not yet come to the demo.
    assert process.returncode in {0, 1, 128 + signal.SIGINT, -signal.SIGINT}
    assert bool(output) == (process.returncode == 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_in_the_same_way(tmp_path: Path, number: signal.Signals) -> None:
    demo = Demo(tmp_path)
    with demo.started() as process:
        assert process.stdout is not None
        process.stdout.readline()  # both nodes run
        process.send_signal(number)
        process.send_signal(number)  # impatience changes nothing
        output = process.stdout.read()
        assert process.wait(timeout=60) == 128 + number
    demo.assert_nothing_left()
    assert output.endswith("Interrupted; both nodes and their services have ended.\n")


def test_closing_its_terminal_leaves_nothing(tmp_path: Path) -> None:
    log_in = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
    demo = Demo(tmp_path)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", log_in, *demo.command], env=demo.environment, stdin=slave
    )
    os.close(slave)
    shown = b""
    while b"secondary with" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert process.wait(timeout=60) == 128 + signal.SIGHUP
    demo.assert_nothing_left()


def test_nodes_and_services_end_even_if_the_demo_is_killed(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    with demo.started() as process:
        assert process.stdout is not None
        while "secondary with" not in process.stdout.readline():
            pass
        commands = " ".join(demo.processes().values())
        assert "alpha.toml" in commands
        assert "beta.toml" in commands
        assert "service.py" in commands
        process.kill()
        process.wait(timeout=60)
        demo.wait_for_no_process()


def test_a_signal_that_its_parent_ignores_is_ignored(tmp_path: Path) -> None:
    """As after ``nohup``."""
    ignore = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    demo = Demo(tmp_path)
    demo.command = [sys.executable, "-c", ignore, *demo.command]
    with demo.started() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline().startswith(" ok ")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(timeout=60) == 128 + signal.SIGTERM
    demo.assert_nothing_left()
