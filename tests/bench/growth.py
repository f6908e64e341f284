"""Cost against size: linear or better in what changed, and flat in what did not.

The growth of a curve is the slope of the straight line through its points on two logarithmic
axes: 1 is linear, 0 is flat. What an update costs at the least makes small sizes dear and the
slope small, hence it is taken over the upper points alone.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from tests.bench import trees
from tests.bench.again import WATCHED
from tests.bench.disk import MIB, disk
from tests.bench.order import Order
from tests.bench.ours import Ours, ours

FILES: Final = (1_000, 3_000, 10_000, 30_000, 100_000)
CHANGES: Final = (1, 10, 100, 1_000, 10_000)
LARGE_MIB: Final = (4, 16, 64, 256, 1024)

SMALL_BYTES: Final = 4096

UPPER: Final = 3
"""Points that the slope is taken over."""

LINEAR: Final = 1.15
"""Largest slope of what grows with what changed: there is noise of a tenth in each point."""

FLAT: Final = 0.35
"""Likewise, of what is to stay as it is."""

Times: TypeAlias = Mapping[str, Mapping[int, Sequence[float]]]
"""Of each curve, by size."""


@attrs.frozen(kw_only=True)
class Curve:
    """One kind of update.

    Args:
        name: for people.
        unit: of the sizes.
        sizes: ascending.
        times_s: medians, until everything stands in its place, durably.
        limit: of the slope.
    """

    name: str
    unit: str
    sizes: tuple[int, ...]
    times_s: tuple[float, ...]
    limit: float

    @classmethod
    def of(cls, name: str, unit: str, times: Mapping[int, Sequence[float]], limit: float) -> Curve:
        """A curve of the medians."""
        sizes = tuple(sorted(times))
        medians = tuple(round(statistics.median(times[size]), 5) for size in sizes)
        return cls(name=name, unit=unit, sizes=sizes, times_s=medians, limit=limit)

    @property
    def slope(self) -> float:
        """Of the upper points."""
        x = [math.log(size) for size in self.sizes[-UPPER:]]
        y = [math.log(time_s) for time_s in self.times_s[-UPPER:]]
        return statistics.linear_regression(x, y).slope if len(x) > 1 else 0.0

    @property
    def met(self) -> bool:
        """Whether it grows no faster than it may."""
        return self.slope <= self.limit

    def lines(self) -> Iterator[str]:
        """The curve for people."""
        verdict = "met" if self.met else "MISSED"
        yield f"  {self.name:<52}{self.slope:10.2f}   goal <= {self.limit:g}: {verdict}"
        for size, time_s in zip(self.sizes, self.times_s, strict=True):
            yield f"  {size:>20} {self.unit:<8}{1000 * time_s:12.1f} ms"


@attrs.frozen(kw_only=True)
class Result:
    """All curves."""

    runs: int
    curves: tuple[Curve, ...]

    @property
    def met(self) -> bool:
        """Whether none grows faster than it may."""
        return all(curve.met for curve in self.curves)

    def lines(self) -> Iterator[str]:
        """The curves for people."""
        yield f"growth: time of an update by size, and its slope; {self.runs} runs, medians"
        for curve in self.curves:
            yield from curve.lines()


def run(order: Order) -> Result:
    """Measure all curves."""
    files, changes, large = _by_files(order), _by_changes(order), _by_bytes(order)
    return Result(
        runs=order.count,
        curves=(
            Curve.of("first update", "files", files["first"], LINEAR),
            Curve.of("nothing changed, full scan", "files", files["scan"], LINEAR),
            Curve.of("nothing changed, watching", "files", files["quick"], FLAT),
            Curve.of("10 files changed, watching", "files", files["ten"], FLAT),
            Curve.of("some files changed, watching", "changes", changes["quick"], LINEAR),
            Curve.of("first update of one file", "MiB", large["first"], LINEAR),
            Curve.of("one byte of it changed", "MiB", large["byte"], LINEAR),
        ),
    )


def _by_files(order: Order) -> Times:
    times: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for files in _scaled(order, FILES):
        for seed in range(order.count):
            with _pair(order, files * SMALL_BYTES, files) as (pair, aside):
                names = [path.relative_to(aside) for path in trees.many(aside, files, SMALL_BYTES)]
                paths = [pair.folder / name for name in names]
                times["first"][files].append(_time_s(pair, partial(trees.move, aside, pair.folder)))
                _time_s(pair)  # what it left to be done is done
                times["scan"][files].append(_time_s(pair))
                times["quick"][files].append(_time_s(pair, quick=True))
                change = partial(trees.rewrite, paths, min(10, files), seed)
                times["ten"][files].append(_time_s(pair, change, quick=True))
    return times


def _by_changes(order: Order) -> Times:
    """In a tree of which the most of them are a tenth."""
    times: dict[int, list[float]] = defaultdict(list)
    sizes = _scaled(order, CHANGES)
    files = 10 * sizes[-1]
    with _pair(order, files * SMALL_BYTES, files) as (pair, aside):
        names = [path.relative_to(aside) for path in trees.many(aside, files, SMALL_BYTES)]
        paths = [pair.folder / name for name in names]
        _time_s(pair, partial(trees.move, aside, pair.folder))
        _time_s(pair)
        for seed in range(order.count):
            for changes in sizes:
                change = partial(trees.rewrite, paths, changes, seed)
                times[changes].append(_time_s(pair, change, quick=True))
    return {"quick": times}


def _by_bytes(order: Order) -> Times:
    times: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for mib in _scaled(order, LARGE_MIB):
        for _ in range(order.count):
            with _pair(order, mib * MIB, 1) as (pair, aside):
                name = trees.large(aside, mib * MIB).name
                times["first"][mib].append(_time_s(pair, partial(trees.move, aside, pair.folder)))
                for number in range(2):  # the first finds a file that was written a moment ago
                    change = partial(trees.flip, pair.folder / name, number)
                    taken_s = _time_s(pair, change, quick=True)
                times["byte"][mib].append(taken_s)
    return times


def _scaled(order: Order, sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted({order.scaled(size) for size in sizes}))


@contextmanager
def _pair(order: Order, size_bytes: int, files: int) -> Iterator[tuple[Ours, Path]]:
    """A pair in step with an empty folder, and a directory beside it."""
    with (
        disk(order.directory, size_bytes, files) as source,
        disk(order.directory, 4 * size_bytes, 4 * files) as target,
    ):
        folder, aside = source.path / "folder", source.path / "aside"
        folder.mkdir()
        aside.mkdir()
        with ours(target.path, folder, WATCHED) as pair:
            pair.start()
            yield pair, aside


def _time_s(
    pair: Ours, change: Callable[[], object] | None = None, *, quick: bool = False
) -> float:
    return pair.update(change, quick=quick).cost.flushed_s
