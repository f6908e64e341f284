"""Simultaneous starts by hand: many pairs, each with a random skew of 0 to 50 ms."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from tests.bench.measure import Spread
from tests.system.starting import Outcome, start_together

AT_ONCE = 5


@attrs.frozen(kw_only=True)
class Result:
    """Simultaneous starts.

    Args:
        settle: from the later start until the pair had settled; starting Python is in it.
        faults: what went wrong, with the seed and both logs.
    """

    runs: int
    settle: Spread | None
    faults: tuple[str, ...]

    @property
    def met(self) -> bool:
        """Whether every pair came to one primary."""
        return not self.faults

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield f"starts: {self.runs} pairs, skew 0 to 50 ms, {AT_ONCE} pairs at a time"
        yield f"  settled                 {self.settle or 'never'}"
        yield f"  goal: never two primaries: {'met' if self.met else 'MISSED'}"
        yield from (f"  {fault}" for fault in self.faults)


def run(count: int) -> Result:
    """Start ``count`` pairs."""
    with tempfile.TemporaryDirectory(prefix="sbs-starts-") as base:

        def start(seed: int) -> Outcome:
            directory = Path(base, str(seed))
            outcome = start_together(directory, seed)
            shutil.rmtree(directory)
            return outcome

        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(start, range(count)))
    times = [outcome.settle_s for outcome in outcomes if outcome.settle_s is not None]
    return Result(
        runs=count,
        settle=Spread.of(times) if times else None,
        faults=tuple(
            f"seed {each.seed}: {each.fault}\n{each.logs}" for each in outcomes if each.fault
        ),
    )
