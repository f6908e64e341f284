"""The clock by which roles are decided: trio's, and it goes on while the machine sleeps.

trio's own clock stands still in suspend, and a vote that has run out meanwhile must not count.
"""

from __future__ import annotations

import math
import time
from typing import Final

import trio

SHORTEST_SLEEP_S: Final = 0.05
"""Below this the two readings of the kernel's clocks differ because they are two readings."""

_BOOTTIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


def _suspended_s() -> float:
    """How long the machine has slept since it was booted; 0 where that cannot be told."""
    if _BOOTTIME is None:
        return 0.0
    return time.clock_gettime(_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


_SUSPENDED_BEFORE_S: Final = _suspended_s()


def now() -> float:
    """Seconds on trio's clock, plus the time for which the machine slept since SBS started."""
    slept_s = _suspended_s() - _SUSPENDED_BEFORE_S
    return trio.current_time() + (slept_s if slept_s >= SHORTEST_SLEEP_S else 0.0)


def trio_deadline(at: float) -> float:
    """The deadline of a cancel scope that is to end at ``at`` on this clock."""
    return at if math.isinf(at) else trio.current_time() + (at - now())


def boottime(at: float) -> float:
    """What CLOCK_BOOTTIME shows when this clock shows ``at``; other processes understand it."""
    clock = time.CLOCK_MONOTONIC if _BOOTTIME is None else _BOOTTIME
    return time.clock_gettime(clock) + (at - now())
