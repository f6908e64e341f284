"""W9: what an idle pair costs, what each file costs in memory, and what ``sbs status`` costs.

The figures are of the node that needs more of the two, at default settings. What a file costs is
measured on nodes that have started with it; after a first update a process keeps the memory in
which the update was (shown, too): Python gives back only what is free as a whole.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from tests.bench import trees
from tests.bench.cost import cpu_s, resident_bytes
from tests.bench.disk import disk
from tests.bench.order import Order
from tests.bench.ours import Ours, ours
from tests.bench.table import Check
from tests.support import ROOT, SBS

IDLE_S: Final = 60.0
SHORTEST_IDLE_S: Final = 0.5
"""A clock tick in it is two percent: for tests, where no figure is judged."""

SETTLE_S: Final = 1.0
"""After a start, before the pair counts as idle."""


@attrs.frozen(kw_only=True)
class Result:
    """W9.

    Args:
        idle_s: for which the pair was watched.
        sizes: files in the folder, smaller first.
        first_mb: resident memory of a node, by size, after the first update.
        resident_mb: likewise, of a node that has started anew.
        base_mb: likewise, of a node without files by these two.
        status_s: median time of ``sbs status``.
        python_s: likewise of ``python -c pass``.
        checks: against the goals.
    """

    idle_s: float
    sizes: tuple[int, ...]
    first_mb: tuple[float, ...]
    resident_mb: tuple[float, ...]
    base_mb: float
    status_s: float
    python_s: float
    checks: tuple[Check, ...]

    @property
    def met(self) -> bool:
        """Whether all goals were reached."""
        return all(check.met for check in self.checks)

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield f"W9: an idle pair for {self.idle_s:g} s; memory; start-up"
        for row in zip(self.sizes, self.resident_mb, self.first_mb, strict=True):
            files, resident_mb, first_mb = row
            yield (
                f"  {f'{files} files':<22}{resident_mb:8.1f} MB resident,"
                f" {first_mb:.1f} MB after their first update"
            )
        yield f"  {'sbs status':<22}{self.status_s:8.3f} s"
        yield f"  {'python -c pass':<22}{self.python_s:8.3f} s"
        yield from map(str, self.checks)


def run(order: Order) -> Result:
    """Watch a pair with few files, and one with many."""
    sizes = (order.scaled(10_000), order.scaled(100_000))
    idle_s = max(SHORTEST_IDLE_S, min(1.0, order.scale) * IDLE_S)
    first: list[int] = []
    resident: list[int] = []
    share = status_s = python_s = 0.0
    for files in sizes:
        with (
            disk(order.directory, 4096 * files, files) as source,
            disk(order.directory, 2 * 4096 * files, files) as target,
        ):
            folder = source.path / "folder"
            folder.mkdir()
            trees.many(folder, files, 4096)
            with ours(target.path, folder, {}) as pair:
                pair.start()
                time.sleep(SETTLE_S)
                first.append(max(map(resident_bytes, _pids(pair))))
                pair.restart({})
                time.sleep(SETTLE_S)
                resident.append(max(map(resident_bytes, _pids(pair))))
                if files != sizes[-1]:
                    continue
                share = _share(pair, idle_s)
                config = str(pair.primary.config)
                status_s, python_s = _starts(
                    order.count,
                    ((*SBS, "status", "-c", config), (sys.executable, "-c", "pass")),
                )
    slope = (resident[1] - resident[0]) / max(1, sizes[1] - sizes[0])
    base_mb = round((resident[0] - slope * sizes[0]) / 1e6, 1)
    return Result(
        idle_s=idle_s,
        sizes=sizes,
        first_mb=_megabytes(first),
        resident_mb=_megabytes(resident),
        base_mb=base_mb,
        status_s=status_s,
        python_s=python_s,
        checks=(
            Check(what="share of a core", value=round(100 * share, 2), goal=0.5, unit="%"),
            Check(what="memory without files", value=base_mb, goal=60, unit="MB"),
            Check(what="memory of a file", value=round(slope, 1), goal=200, unit="bytes"),
            Check(what="sbs status / python -c pass", value=round(status_s / python_s, 2), goal=6),
        ),
    )


def _megabytes(sizes: Sequence[int]) -> tuple[float, ...]:
    return tuple(round(each / 1e6, 1) for each in sizes)


def _pids(pair: Ours) -> list[int]:
    return [pair.primary.pid, pair.secondary.pid]


def _share(pair: Ours, idle_s: float) -> float:
    """Of one core, by the busier node."""
    before = [cpu_s(pid) for pid in _pids(pair)]
    began_at = time.monotonic()
    time.sleep(idle_s)
    after = [cpu_s(pid) for pid in _pids(pair)]
    elapsed_s = time.monotonic() - began_at
    return max(end - start for start, end in zip(before, after, strict=True)) / elapsed_s


def _starts(count: int, commands: Sequence[Sequence[str]]) -> list[float]:
    """The median time of each command, run in turn."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(count):
        for command, taken in zip(commands, times, strict=True):
            began_at = time.perf_counter()
            subprocess.run(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=True
            )
            taken.append(time.perf_counter() - began_at)
    return [round(statistics.median(taken), 4) for taken in times]
