"""The benchmarks run, and print what they promise; figures are not judged here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.support import require

ROOT = Path(__file__).parents[2]

SIDES = {
    "W1": ["SBS", "rsync", "rsync --fsync"],
    "W2": ["SBS", "rsync"],
    "W3": [
        *["SBS, watching 100", "SBS, full scan 100", "rsync 100"],
        *["SBS, watching 1000", "SBS, full scan 1000", "rsync 1000"],
    ],
    "W4": ["SBS, watching", "rsync", "rsync --inplace"],
    "W5": ["SBS, watching", "SBS, full scan", "rsync"],
    "W6": ["SBS", "rsync"],
}
"""What each workload shows at a thousandth of its size."""

CHECKS = {
    "W1": ["SBS / rsync flushed", "SBS / rsync --fsync"],
    "W2": ["SBS / rsync flushed"],
    "W3": [
        *["SBS, watching 100 / rsync 100", "SBS, full scan 100 / rsync 100"],
        *["SBS, watching 1000 / rsync 1000", "SBS, full scan 1000 / rsync 1000"],
    ],
    "W4": ["SBS, watching / rsync", "SBS, watching / rsync --inplace", "content sent"],
    "W5": ["SBS, watching / rsync", "SBS, full scan / rsync"],
    "W6": ["SBS / rsync"],
    "W7": ["median", "p99"],
    "W9": [
        *["share of a core", "memory without files", "memory of a file"],
        "sbs status / python -c pass",
    ],
}
"""What is compared with a goal."""

GOAL = re.compile(r"^  (\S.*?\S) +[0-9.e+-]+(?: [a-zA-Z%]+)?   goal <= [^:]+: (met|MISSED)$")


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_table_shows_both_sides_of_each_workload_and_every_goal() -> None:
    """Issue 4, must show 6: the whole table, small, with rsync in the same run."""
    require("rsync", "mkfs.ext4", root=True)
    done = _bench(*CHECKS, "--scale", "0.001", "--count", "1")
    assert done.stderr == ""
    head, *parts = re.split(r"^(?=W\d: )", done.stdout, flags=re.MULTILINE)
    assert "rsync: rsync version" in head
    shown = {part[:2]: part.splitlines()[1:] for part in parts}
    assert list(shown) == list(CHECKS)
    for name, sides in SIDES.items():
        for side, line in zip(sides, shown[name][1:], strict=False):
            assert line[2:24].rstrip() == side
            said, flushed, cpu, peak = map(float, line[24:].split())
            assert 0 < said <= flushed
            assert cpu >= 0
            assert 1 < peak < 1000
    verdicts = set()
    for name, checks in CHECKS.items():
        found = [match for line in shown[name] if (match := GOAL.match(line))]
        assert [match[1] for match in found] == checks
        verdicts |= {match[2] for match in found}
    assert done.returncode == (1 if "MISSED" in verdicts else 0)


def test_a_workload_as_json_has_its_figures_and_versions() -> None:
    """Issue 4, must show 6."""
    require("rsync", "mkfs.ext4", root=True)
    done = _bench("W6", "--scale", "0.003", "--count", "1", "--json")
    shown = json.loads(done.stdout)
    assert {"sbs", "python", "kernel", "cpus", "rsync", "missing"} <= shown.keys()
    own, peer = (side["cost"] for side in shown["W6"]["sides"])
    (check,) = shown["W6"]["checks"]
    assert check["value"] == round(own["flushed_s"] / peer["said_s"], 4)
    assert shown["W6"]["met"] == (check["value"] <= check["goal"])
    assert done.returncode == (0 if shown["W6"]["met"] else 1)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The loop device is unmounted and its image is removed."""
    require("rsync", "mkfs.ext4", root=True)
    _bench("W2", "--scale", "0.001", "--count", "1", "--directory", str(tmp_path))
    assert not list(tmp_path.iterdir())
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def test_tls_is_compared_with_plain() -> None:
    """B62 (issue 6, must show 5)."""
    require("mkfs.ext4", root=True)
    done = _bench("TLS", "--scale", "0.003", "--count", "1", "--json")
    shown = json.loads(done.stdout)["TLS"]
    plain, tls = (side["cost"]["flushed_s"] for side in shown["sides"])
    (check,) = shown["checks"]
    assert check["what"] == "SBS, TLS / SBS, plain flushed"
    assert check["value"] == round(tls / plain, 4)
    assert done.returncode == (0 if shown["met"] else 1)


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


def test_growth_shows_a_slope_for_each_curve_and_draws_them(tmp_path: Path) -> None:
    require("mkfs.ext4", root=True)
    plot = tmp_path / "growth.svg"
    done = _bench("growth", "--count", "1", "--scale", "0.01", "--plot", str(plot), "--json")
    curves = json.loads(done.stdout)["growth"]["curves"]
    assert [(curve["unit"], len(curve["sizes"])) for curve in curves] == [
        *[("files", 5)] * 4,
        ("changes", 3),
        *[("MiB", 3)] * 2,
    ]
    for curve in curves:
        assert curve["sizes"] == sorted(curve["sizes"])
        assert min(curve["times_s"]) > 0
    drawn = plot.read_text()
    assert drawn.count("<polyline") == len(curves)
    assert drawn.count("<circle") == sum(len(curve["sizes"]) for curve in curves)


def test_slow_links_are_measured_with_and_without_compression() -> None:
    require("ip", "iptables", "tc", root=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.bench", "slow"),
            *("--count", "1", "--scale", "0.1", "--json"),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    shown = json.loads(done.stdout)["slow"]
    assert [(link["mb_s"], link["mib"]) for link in shown["links"]] == [(1, 1), (10, 10)]
    for link in shown["links"]:
        assert min(link["auto"]["min"], link["off"]["min"]) > 0
    assert done.returncode == (0 if shown["met"] else 1)
