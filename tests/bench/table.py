"""One workload as a table: what each side cost, and how ours compares with the goals."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from tests.bench.cost import Cost


@attrs.frozen(kw_only=True)
class Side:
    """One side of a workload: the median of its runs."""

    name: str
    cost: Cost

    def __str__(self) -> str:
        cost = self.cost
        return (
            f"  {self.name:<22}{cost.said_s:9.3f}{cost.flushed_s:11.3f}{cost.cpu_s:9.2f}"
            f"{cost.peak_bytes / 1e6:10.1f}"
        )


@attrs.frozen(kw_only=True)
class Check:
    """A figure that has a goal.

    Args:
        what: for people.
        value: as measured.
        goal: at most this.
        unit: of both; empty for a ratio.
    """

    what: str
    value: float
    goal: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal was reached."""
        return self.value <= self.goal

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        verdict = "met" if self.met else "MISSED"
        return f"  {self.what:<52}{self.value:10.4g}{unit}   goal <= {self.goal:g}{unit}: {verdict}"


@attrs.frozen(kw_only=True)
class Result:
    """One workload.

    Args:
        title: what was done.
        runs: of each side.
        sides: what they cost; see :class:`~tests.bench.cost.Cost`.
        checks: ours against the goals.
        notes: what else to know, such as peers that are not installed.
    """

    title: str
    runs: int
    sides: tuple[Side, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        """Whether all goals were reached."""
        return all(check.met for check in self.checks)

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield f"{self.title}; {self.runs} runs, medians"
        yield f"  {'':<22}{'said s':>9}{'flushed s':>11}{'CPU s':>9}{'peak MB':>10}"
        yield from map(str, self.sides)
        yield from map(str, self.checks)
        yield from (f"  {note}" for note in self.notes)


def compare(ours: Side, peer: Side, goal: float, *, flushed: bool) -> Check:
    """Ours, durable and in its place, to a peer's time.

    Args:
        ours: this side.
        peer: the other.
        goal: of the ratio.
        flushed: the peer's time is taken with its data flushed, too.
    """
    theirs = peer.cost.flushed_s if flushed else peer.cost.said_s
    what = f"{ours.name} / {peer.name}{' flushed' if flushed else ''}"
    return Check(what=what, value=round(ours.cost.flushed_s / theirs, 4), goal=goal)
