"""The machine keeps I1 to I6 wherever the explorer comes; ``pytest -rP`` shows how far."""

from __future__ import annotations

import os
import sys
from collections import Counter

from sbs.core.claim import Policy
from sbs.testing.explorer import Bounds, Setup
from tests.exploration.searches import Search, plain, run_all, special, told

STATES = int(os.environ.get("SBS_EXPLORATION_STATES", "10000"))


def test_no_promise_breaks() -> None:
    """B1 to B3, B6, B7, R1 to R8: every policy and mode, and whatever may go wrong."""
    searches = (*plain(STATES), *special(STATES // 2))
    broken = []
    seen: Counter[str] = Counter()
    for search, report in run_all(searches):
        line = told(search, report)
        sys.stdout.write(f"{line}\n")
        seen.update(states=report.states, moves=report.moves, complete=report.complete)
        if report.broken is not None:
            broken.append(line)
    sys.stdout.write(
        f"{len(searches)} searches, {seen['complete']} complete, {seen['states']} states, "
        f"{seen['moves']} moves\n"
    )
    assert broken == []


def test_a_settled_pair_is_explored_to_the_end() -> None:
    """One fault, anywhere, and whatever follows from it: nothing is left out."""
    for policy in (Policy.AVAILABILITY, Policy.PROTECT):
        report = Search(setup=Setup(policy=policy), bounds=Bounds(states=30_000)).run()
        assert report.complete, policy
        assert report.states > 5_000
        assert report.moves > report.states


def test_a_bound_is_never_silent() -> None:
    by_states = Search(setup=Setup(), bounds=Bounds(states=500)).run()
    assert (by_states.broken, by_states.complete) == (None, False)
    assert by_states.left > 0
    by_depth = Search(setup=Setup(), bounds=Bounds(depth=4)).run()
    assert (by_depth.depth, by_depth.complete) == (4, False)
    assert by_depth.left > 0
