"""Two nodes start in the same instant."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.system.starting import start_together

PAIRS = 50
AT_ONCE = 5


def test_simultaneous_starts_make_one_primary(tmp_path: Path) -> None:
    """B1, B2 (Must show 4): 50 pairs with a skew of 0 to 50 ms; never two primaries."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(
            pool.map(lambda seed: start_together(tmp_path / str(seed), seed), range(PAIRS))
        )
    faults = [
        f"seed {outcome.seed}: {outcome.fault}\n{outcome.logs}"
        for outcome in outcomes
        if outcome.fault
    ]
    assert not faults, "\n".join(faults)
