"""What benchmarks share: a distribution and how it is shown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen(kw_only=True)
class Spread:
    """A distribution of measured times, in milliseconds."""

    count: int
    min: float
    median: float
    p99: float
    max: float

    @classmethod
    def of(cls, times_s: Sequence[float]) -> Spread:
        """The spread of times in seconds; of few values, p99 is the greatest."""
        ordered = sorted(times_s)
        p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        shown = (ordered[0], statistics.median(ordered), p99, ordered[-1])
        low, median, p99, high = (round(1000 * value, 2) for value in shown)
        return cls(count=len(ordered), min=low, median=median, p99=p99, max=high)

    def __str__(self) -> str:
        return (
            f"min {self.min:8.1f}   median {self.median:8.1f}   "
            f"p99 {self.p99:8.1f}   max {self.max:8.1f}   ms"
        )
