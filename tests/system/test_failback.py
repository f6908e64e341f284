"""The main server comes back: first the data, then the role (issue 3, must show 6)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.system.labpair import LabPair, stamps_of
from tests.system.netns import lab
from tests.system.nodes import Node

LEDGER: Final = str(Path(__file__).with_name("ledger.py"))

Line = tuple[int, int]
"""A number, and the epoch in which it was written."""


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[LabPair]:
    """Main server ``alpha`` and backup ``beta`` on two hosts, with a service that has data."""
    tables = {"failover": {"failback_delay_s": 1.0}}
    with lab() as hosts:
        pair = LabPair(tmp_path, hosts, tables)
        for node, mode in ((pair.alpha, "primary-only"), (pair.beta, "backup-only")):
            files = (str(ledger_of(node)), str(stamps_of(node)))
            command = [sys.executable, "-I", "-S", LEDGER, *files]
            node.configure(
                {
                    "node": {"mode": mode},
                    "services": {"unit": [{"name": "web", "command": command}]},
                }
            )
        try:
            yield pair
        finally:
            pair.end()


def ledger_of(node: Node) -> Path:
    return node.folder / "ledger"


def lines_in(path: Path) -> list[Line]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(number), int(epoch)) for number, epoch in map(str.split, lines)]


def wait_lines(pair: LabPair, node: Node, count: int) -> None:
    """Wait until a node's ledger is longer by so much."""
    wanted = len(lines_in(ledger_of(node))) + count
    pair.wait(lambda: len(lines_in(ledger_of(node))) >= wanted, f"{node.name} has {count} lines")


def gap_s(pair: LabPair, before: Node, after: Node) -> float:
    """How long neither stamped, when the role last went from one node to the other."""
    runs = pair.runs()
    last = max(run.last_ns for run in runs if run.name == before.name)
    first = max(run.first_ns for run in runs if run.name == after.name)
    return (first - last) / 1e9


def test_the_main_server_gets_the_data_then_the_role(
    pair: LabPair, capsys: pytest.CaptureFixture[str]
) -> None:
    """B5, B6, must show 6: whatever the acting primary wrote, to its last line.

    Both ways back: after a crash of the main server's host, and after a drill. What only the main
    server had when it died stands in its quarantine.
    """
    main, backup = pair.alpha, pair.beta
    main.start()
    main.wait_role("primary")
    backup.start()
    pair.wait_settled(main, backup)
    wait_lines(pair, backup, 5)

    pair.die(main)
    at_death = lines_in(ledger_of(main))
    backup.wait_role("primary")
    wait_lines(pair, backup, 20)
    pair.lab.repair()
    main.start()
    main.wait_role("primary")
    pair.wait_settled(main, backup)
    wait_lines(pair, main, 20)

    drill = main.sbs("drill")
    assert drill.returncode == 0, drill.stderr
    told_s = float(re.findall(r"no service ran for (\d+\.\d+) s", drill.stdout)[0])
    pair.wait(lambda: pair.runs()[-1].name == backup.name, "the backup has begun")
    stamped_s = gap_s(pair, main, backup)
    main.wait_role("primary")  # back again by itself
    pair.wait_settled(main, backup)
    wait_lines(pair, main, 20)
    back_s = gap_s(pair, backup, main)
    for node in (backup, main):
        node.stop_at_once()

    assert pair.overlaps() == []
    check_ledger(pair, at_death)
    with capsys.disabled():
        told = f"no service ran for {told_s:.3f} s in a drill"
        sys.stdout.write(f"\n{told} (stamps: {stamped_s:.3f} s), {back_s:.3f} s in a failback\n")
    assert abs(stamped_s - told_s) < 1.0


def check_ledger(pair: LabPair, at_death: list[Line]) -> None:
    """Every number is there once, in five epochs; what the main server lost is in quarantine."""
    lines = lines_in(ledger_of(pair.alpha))
    assert [number for number, _ in lines] == list(range(1, len(lines) + 1))
    epochs = [epoch for _, epoch in lines]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 5
    assert len([one for one, other in pairwise(epochs) if one != other]) == 4
    assert lines_in(ledger_of(pair.beta)) == lines[: len(lines_in(ledger_of(pair.beta)))]
    quarantine = (pair.alpha.folder / ".sbs.staging" / "quarantine").glob("*/ledger")
    kept = {line for path in quarantine for line in lines_in(path)}
    assert {*at_death} <= {*lines, *kept}
