"""``sbs demo`` as a process: its figures, its forms, its failure."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from sbs.adapters.transports.identity import read_pins
from tests.demo.rig import Demo

STEPS = ["pair", "start", "replicate", "takeover", "compare", "rejoin", "switchover", "stop"]


def test_json_has_plausible_figures_and_nothing_else(tmp_path: Path) -> None:
    demo = Demo(tmp_path, ["--json"])
    code, output, errors = demo.finish()
    demo.assert_nothing_left()
    result = json.loads(output)
    assert (code, errors, result["ok"], result["error"], result["kept"]) == (0, "", True, "", None)
    assert [step["name"] for step in result["steps"]] == STEPS
    assert all(step["ok"] and step["text"] for step in result["steps"])
    assert result["duration_s"] < 60
    for name in ("takeover_ms", "replication_ms", "switchover_gap_ms", "catch_up_ms"):
        assert 0 < result[name] < 20_000, name
    assert result["replication_ms"] <= result["replication_max_ms"]
    assert result["files"] > 100
    assert result["generations"] > 3
    first, second, third = result["epochs"]
    assert first < second < third
    assert first % 2 == third % 2 != second % 2


def test_plain_form_has_a_line_for_each_step_and_evidence_is_kept(tmp_path: Path) -> None:
    demo = Demo(tmp_path, ["--keep"])
    code, output, errors = demo.finish()
    *lines, last = output.splitlines()
    assert (code, errors, demo.processes()) == (0, "", {})
    assert [line[:4] for line in lines[: len(STEPS)]] == [" ok "] * len(STEPS)
    assert re.search(r"^takeover +[0-9.]+ ms ", output, re.MULTILINE)
    assert lines[-1].startswith("Every check held in ")
    assert all(char.isprintable() or char == "\n" for char in output)
    kept = Path(last.removeprefix("Configurations, logs and folders are kept in "))
    assert list(demo.temporary.iterdir()) == [kept]
    for name in ("alpha", "beta"):
        config = tomllib.loads((kept / f"{name}.toml").read_text())
        assert (kept / f"{name}.toml").stat().st_mode & 0o077 == 0
        assert "role primary, epoch " in (kept / f"{name}.log").read_text()
        other = "beta" if name == "alpha" else "alpha"
        assert read_pins(config["tls"]["peer_certificate"])[0].name == other
        assert any((kept / name / "data" / "orders").iterdir())
        host, port = config["node"]["listen"].split(":")
        for number in (int(port), int(config["services"]["unit"][0]["command"][-1])):
            with pytest.raises(ConnectionRefusedError), socket.create_connection((host, number)):
                pass


def test_a_terminal_shows_each_step_while_it_goes_on(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        demo.command,
        env={**demo.environment, "TERM": "xterm", "COLUMNS": "72"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    shown = _read_terminal(master)
    os.close(master)
    assert process.wait(timeout=60) == 0
    demo.assert_nothing_left()
    assert "\r\x1b[2K" in shown
    assert "\x1b[32m ok \x1b[0m" in shown
    assert "25 of 25 arrived" in shown
    present = re.findall(r"\r\x1b\[2K([^\r\n]*)", shown)
    widths = [len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in present if " .. " in line[:12]]
    assert widths
    assert max(widths) < 72


def _read_terminal(master: int) -> str:
    """All that is written to a terminal until nobody holds it any more."""
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # EIO: the other side was closed
            return shown.decode()
        if not data:
            return shown.decode()
        shown += data


@pytest.mark.parametrize("arguments", [["--json"], []], ids=["json", "plain"])
def test_a_node_that_dies_unasked_fails_the_demo_and_both_logs_are_shown(
    tmp_path: Path, arguments: list[str]
) -> None:
    demo = Demo(tmp_path, arguments)
    with demo.started() as process:
        _kill_node(demo, "beta.toml")
        output, errors = process.communicate(timeout=60)
    demo.assert_nothing_left()
    assert process.returncode == 1
    assert "beta ended by itself, with code -9" in errors
    assert "last lines of alpha's log:" in errors
    assert "last lines of beta's log:" in errors
    if arguments:
        result = json.loads(output)
        assert (result["ok"], result["steps"][-1]["ok"]) == (False, False)
        assert "beta ended" in result["error"]
    else:
        assert "FAIL  beta ended by itself" in output
        assert "The demo failed" in output


def _kill_node(demo: Demo, config: str) -> None:
    """Kill a node as soon as it has its fencer, so that there is something to clean up."""
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        found = demo.processes()
        nodes = [
            pid
            for pid, command in found.items()
            if f"{config} " in command and " run " in command and "leash" not in command
        ]
        fencers = [pid for pid, command in found.items() if "fencer.py" in command]
        if nodes and len(fencers) >= 2:  # alpha's, and its keeper
            os.kill(nodes[0], 9)
            return
    raise AssertionError(f"no node with {config} and a fencer: {demo.processes()}")


def test_a_reader_that_has_enough_ends_the_demo_in_order(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    with demo.started() as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    demo.assert_nothing_left()


def test_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sbs", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("sbs ")
