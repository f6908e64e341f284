"""Crashes, freezes, partitions, stops and switchovers at random times; then peace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sbs.testing.schedules import run_trouble
from tests.simulation.runs import (
    MODES,
    Seen,
    declared_moves,
    early_pair,
    run_all,
    run_seed,
    strange_pair,
    troubled_pair,
)

SEEDS = int(os.environ.get("SBS_SIMULATION_SEEDS", "20000"))
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def seen() -> Seen:
    return run_all(range(SEEDS), os.cpu_count() or 1)


def test_no_promise_breaks(seen: Seen) -> None:
    """R4 to R8, B1 to B3, B6: every mode and policy, good and bad machines and networks."""
    assert seen.runs == SEEDS >= len(MODES)
    assert seen.broken == []


@pytest.mark.parametrize("seed", range(0, 20 * len(MODES), len(MODES)))
def test_no_promise_breaks_between_nodes_that_do_not_always_know_each_other(seed: int) -> None:
    """B1, B62: one or the other turns its peer away for a while, among all the other faults."""
    for each in range(seed, seed + len(MODES)):
        run_trouble(*strange_pair(each))


def test_every_declared_change_of_state_happens(seen: Seen) -> None:
    """The simulator reaches every arrow of the diagram in docs/roles.md, and no other."""
    declared = declared_moves()
    assert {(a.name, b.name) for a, b in seen.moves} == {(a.name, b.name) for a, b in declared}


@pytest.mark.parametrize(
    ("seed", "what"),
    [
        (75, "a dial of an earlier life was refused beside a session: taken for a lost primary"),
        (378, "a generation was durable before the epoch that made it: no epoch after it"),
        (478, "the same, after two takeovers"),
        (456, "an acknowledgement was handled by a frozen node"),
        (712, "a node still ending was not started again"),
    ],
)
def test_what_simulation_found_stays_mended(seed: int, what: str) -> None:
    run_trouble(*early_pair(seed))


@pytest.mark.parametrize(
    ("seed", "what"),
    [
        (340, "a role that was handed over was not taken, since takeovers were paused"),
    ],
)
def test_what_simulation_with_policies_found_stays_mended(seed: int, what: str) -> None:
    run_seed(seed)


def test_a_broken_promise_names_its_seed() -> None:
    pair, _ = troubled_pair(17)
    pair.run(1.5)
    with pytest.raises(AssertionError, match=r"^seed 17 at 1\.5000 s: nonsense \(a STOPPED, b"):
        pair.fail("nonsense")


def test_seeds_can_be_run_by_hand() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seeds", "17:20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("3 runs, 0 broken promises, ")
