"""W8 beside keepalived: until the other host starts the service, by fault and down interval.

Both sides run on the same two hosts (network namespaces) in the same run, and both are asked for
the same: a shell that writes the time. keepalived starts it as its notify script when it becomes
master; SBS as its service, when the new epoch is on disk. The fault comes at a random instant
between two signs of life, of which each side has heard some before.

On silence both wait for the same interval: nobody can be much ahead of the other there.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import attrs

from tests.bench.keepalived import Keepalived, down_interval_s, read_mark
from tests.bench.measure import Spread
from tests.support import wait_until
from tests.system.labpair import LabPair
from tests.system.netns import Lab, lab
from tests.system.nodes import Node, Tables

ADVERTS_S: Final = (1.0, 0.1, 0.01)
"""keepalived's default, and two tuned ones; the last is the shortest it takes."""

FAULTS: Final = ("kill -9", "link down")

STEADY_BEATS: Final = 2
"""Signs of life between the settling of a pair and the fault, at least."""

WAIT_S: Final = 60.0
"""For one takeover: many times the longest down interval."""


@attrs.frozen(kw_only=True)
class Row:
    """One fault at one down interval.

    Args:
        fault: one of :data:`FAULTS`.
        interval_s: how long either side waits in silence.
        defaults: both sides run with their own defaults; ``interval_s`` is keepalived's then.
        ours: from the fault until the service is started on the other host.
        keepalived: likewise.
    """

    fault: str
    interval_s: float
    defaults: bool
    ours: Spread
    keepalived: Spread

    @property
    def ratio(self) -> float:
        """Ours to theirs, medians."""
        return self.ours.median / self.keepalived.median

    def __str__(self) -> str:
        label = "defaults" if self.defaults else f"{1000 * self.interval_s:.0f} ms"
        return (
            f"  {self.fault:<10}{label:>10}   ours median {self.ours.median:8.1f}  max "
            f"{self.ours.max:8.1f}   keepalived median {self.keepalived.median:8.1f}  max "
            f"{self.keepalived.max:8.1f} ms   ratio {self.ratio:.2f}"
        )


@attrs.frozen(kw_only=True)
class Result:
    """Detection beside keepalived."""

    runs: int
    rows: tuple[Row, ...]

    @property
    def met(self) -> bool:
        """Whether SBS was faster in every row."""
        return all(row.ratio < 1 for row in self.rows)

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield f"detection: until the service is started on the other host, {self.runs} runs each"
        yield from map(str, self.rows)
        yield f"  goal: faster than keepalived in every row: {'met' if self.met else 'MISSED'}"


def run(count: int) -> Result:
    """Measure each fault ``count`` times at each down interval."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="sbs-detection-") as base, lab() as hosts:
        directory = Path(base)
        for advert_s in ADVERTS_S:
            theirs = {
                fault: _keepalived(directory, hosts, advert_s, fault, count) for fault in FAULTS
            }
            interval_s = down_interval_s(advert_s)
            equal = {"heartbeat_interval_s": advert_s, "down_interval_s": round(interval_s, 4)}
            settings: list[tuple[bool, Tables]] = [(False, {"failover": equal})]
            if advert_s == 1.0:
                settings.append((True, {}))
            for defaults, tables in settings:
                for fault, times in _ours(directory, hosts, tables, count).items():
                    row = Row(
                        fault=fault,
                        interval_s=interval_s,
                        defaults=defaults,
                        ours=Spread.of(times),
                        keepalived=Spread.of(theirs[fault]),
                    )
                    rows.append(row)
    return Result(runs=count, rows=tuple(rows))


def _keepalived(
    directory: Path, hosts: Lab, advert_s: float, fault: str, count: int
) -> list[float]:
    times: list[float] = []
    for _ in range(count):
        with tempfile.TemporaryDirectory(dir=directory) as base:
            pair = Keepalived(Path(base), hosts, advert_s)
            try:
                pair.start()
                _let_beat(advert_s)
                harm: Callable[[], None] = (
                    pair.kill if fault == "kill -9" else lambda: hosts.unplug("a")
                )
                times.append(_time(harm, lambda: read_mark(pair.mark("b"))))  # noqa: B023 - at once
            finally:
                pair.end()
                hosts.repair()
    return times


def _ours(directory: Path, hosts: Lab, tables: Tables, count: int) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory(dir=directory) as base:
        pair = LabPair(Path(base), hosts, tables)
        for node in pair.nodes:
            script = f"date +%s.%N >> {_mark(node)}; exec sleep 1000000"
            node.configure(
                {"services": {"unit": [{"name": "web", "command": ["sh", "-c", script]}]}}
            )
        try:
            _start(pair)
            return {fault: [_replace(pair, fault) for _ in range(count)] for fault in FAULTS}
        finally:
            pair.end()
            hosts.repair()


def _mark(node: Node) -> Path:
    return node.directory / "mark"


def _start(pair: LabPair) -> None:
    for node in pair.nodes:
        node.start()
    _settle(pair)


def _settle(pair: LabPair) -> tuple[Node, Node]:
    """Wait until one node serves and the other follows it; return them in this order."""

    def settled() -> bool:
        shown = [node.status() for node in pair.nodes]
        roles = sorted(str(status["role"]) for status in shown)
        return roles == ["primary", "secondary"] and all(
            status["in_step"] and status["services"]["wanted"]
            for status in shown
            if status["role"] == "secondary"
        )

    wait_until(settled, "a primary and a secondary in step", WAIT_S)
    primary, secondary = sorted(pair.nodes, key=lambda node: node.role)
    return primary, secondary


def _replace(pair: LabPair, fault: str) -> float:
    """Lose the primary; return how long its service was not started elsewhere."""
    primary, secondary = _settle(pair)
    _let_beat(float(primary.tables.get("failover", {}).get("heartbeat_interval_s", 0.5)))
    before = _starts(secondary)

    def harm() -> None:
        if fault == "kill -9":
            primary.kill()
        else:
            pair.lab.unplug(pair.host(primary))

    def started() -> float | None:
        return read_mark(_mark(secondary)) if _starts(secondary) > before else None

    took_s = _time(harm, started)
    pair.lab.repair()
    if primary.process is None:
        primary.start()
    _settle(pair)
    return took_s


def _let_beat(interval_s: float) -> None:
    """Let some signs of life pass, to a random instant between two of them."""
    time.sleep((STEADY_BEATS + random.random()) * interval_s)


def _starts(node: Node) -> int:
    return _mark(node).read_bytes().count(b"\n") if _mark(node).exists() else 0


def _time(harm: Callable[[], None], marked: Callable[[], float | None]) -> float:
    """Seconds from a fault until the other host has written its mark."""
    began_at = time.time()
    harm()
    wait_until(marked, "the other host takes over", WAIT_S)
    ended_at = marked()
    assert ended_at is not None
    return ended_at - began_at
