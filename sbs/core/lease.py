"""How long a voter keeps still, so that clocks that differ in speed make no two primaries (B3)."""

from __future__ import annotations

from typing import Final

SETTLE_S: Final = 0.25
"""For killed processes to vanish, and for two schedulers to notice."""

RENEWALS: Final = 4
"""A vote is asked for this often while the last one counts: three questions may be lost."""


def hold_s(lease_s: float, stop_bound_s: float, max_clock_drift: float) -> float:
    """How long a voter keeps still after it gave its vote.

    Who has the vote serves for ``lease_s`` from when it asked, which was earlier, and its services
    are gone ``stop_bound_s`` later. Its clock may be slow by the drift, and the voter's fast.

    Args:
        lease_s: how long a vote counts, greater than 0.
        stop_bound_s: how long services may take to be gone, 0 or more.
        max_clock_drift: by how much a clock may be wrong in speed, 0 to below 1.

    Returns:
        seconds on the voter's clock.
    """
    return (lease_s + stop_bound_s + SETTLE_S) * (1 + max_clock_drift) / (1 - max_clock_drift)
