"""The benchmarks run, and print what they promise; figures are not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support import require

ROOT = Path(__file__).parents[2]


def test_w8_prints_its_figures() -> None:
    """R7 (Must show 2): min, median, p99 and max of each step of a takeover."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "W8", "--count", "1", "--json"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = json.loads(done.stdout)["W8"]
    assert shown["runs"] == 1
    for step in ("role", "begins", "answers"):
        spread = shown[step]
        assert spread["count"] == 1
        assert 0 < spread["min"] <= spread["median"] <= spread["p99"] <= spread["max"]
    assert shown["role"]["min"] < shown["answers"]["min"]
    assert done.returncode == (0 if shown["met"] else 1)


def test_detection_prints_a_row_for_each_fault_and_interval() -> None:
    """R7, must show 7: ours and keepalived's in one run, on the same hosts."""
    require("ip", "iptables", "keepalived", root=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "detection", "--count", "1", "--json"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    shown = json.loads(done.stdout)["detection"]
    assert [(row["fault"], row["defaults"]) for row in shown["rows"]] == [
        *[("kill -9", False), ("link down", False), ("kill -9", True), ("link down", True)],
        *[("kill -9", False), ("link down", False)] * 2,
    ]
    for row in shown["rows"]:
        assert min(row["ours"]["min"], row["keepalived"]["min"]) > 0
