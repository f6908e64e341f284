"""The explorations that are run: policies, modes, beginnings, and what may go wrong."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import attrs
import pytest

from sbs.core.claim import Mode, Policy
from sbs.testing.explorer import Bounds, Move, Report, Setup, explore

MODES: Final = tuple((first, second) for first in Mode for second in Mode)
"""All of them; of those that clash only one node may run (R6)."""

USUAL: Final = (
    (Mode.SYMMETRIC, Mode.SYMMETRIC),
    (Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY),
)
"""What administrators are told to choose (``docs/roles.md``)."""

Patch = Callable[[pytest.MonkeyPatch], None]


@attrs.frozen(kw_only=True)
class Search:
    """One exploration.

    Args:
        setup: the pair.
        bounds: how far.
        settled: whether it begins with a pair in session, or with two nodes that never ran.
        after: moves made before.
        mutant: what breaks the machine first.
    """

    setup: Setup
    bounds: Bounds
    settled: bool = True
    after: tuple[Move, ...] = ()
    mutant: Patch | None = None

    def run(self) -> Report:
        """Explore."""
        with pytest.MonkeyPatch.context() as patch:
            if self.mutant is not None:
                self.mutant(patch)
            return explore(self.setup, self.bounds, settled=self.settled, after=self.after)

    @property
    def words(self) -> str:
        """What is explored, for people."""
        setup, bounds = self.setup, self.bounds
        modes = "/".join(mode.value for mode in setup.modes)
        extras = " fence" * setup.fence + " not alone" * (not setup.start_alone)
        kinds = f": {', '.join(sorted(bounds.kinds))}" * bool(bounds.kinds)
        counts = f"{bounds.faults} faults, {bounds.commands} commands, {bounds.swaps} swaps{kinds}"
        begin = "settled" if self.settled else "cold"
        return f"{setup.policy.value} {modes} {begin}{extras} ({counts})"


def told(search: Search, report: Report) -> str:
    """A line about an exploration; and the way to what it found."""
    bound = search.bounds.states
    rest = f"{report.left} left at the bound of {bound}" if report.left else "none left"
    cut = f", {report.cut_off} moves cut off" if report.cut_off else ""
    line = (
        f"{search.words}: {report.states} states, depth {report.depth}, {report.moves} moves, "
        f"{report.peaces} run in peace, {'complete' if report.complete else rest}{cut}"
    )
    if report.broken is None:
        return line
    return f"{line}\n{report.broken.trace}\npath: {report.broken.path}"


def plain(states: int) -> Iterator[Search]:
    """Every policy, every mode, both beginnings, one fault; further with the usual modes."""
    for policy in Policy:
        for modes in MODES:
            setup = Setup(policy=policy, modes=modes)
            usual = modes in USUAL
            bounds = Bounds(states=states * 5 if usual else states, swaps=0)
            yield Search(setup=setup, bounds=bounds, settled=False)
            if usual and policy is not Policy.QUORUM:  # whose votes overtake each other too often
                bounds = attrs.evolve(bounds, swaps=1)
            yield Search(setup=setup, bounds=bounds)


def special(states: int) -> Iterator[Search]:
    """Two faults, an operator, a fence hook, nodes that must not start alone."""
    failback = USUAL[1]
    for policy in Policy:
        for faults, commands, kinds in _TOGETHER[policy]:
            bounds = Bounds(
                states=states,
                faults=faults,
                commands=commands,
                swaps=0,
                kinds=frozenset(kinds.split(", ")),
            )
            yield Search(setup=Setup(policy=policy, modes=failback), bounds=bounds)
        bounds = Bounds(states=states, swaps=0)
        for settled in (True, False):
            yield Search(setup=Setup(policy=policy, fence=True), bounds=bounds, settled=settled)
            alone = Setup(policy=policy, start_alone=False)
            yield Search(setup=alone, bounds=bounds, settled=settled)


_TOGETHER_ALWAYS: Final = (
    (2, 0, "crash, start node, part, unite"),
    (2, 0, "crash, start node, die"),
    (2, 0, "crash, start node, slow disk, quick disk"),
    (2, 0, "die, start node, reset"),
    (2, 0, "freeze, thaw, cut, heal"),
    (2, 0, "slow services, quick services, part, unite"),
    (1, 1, "stop, crash, start node"),
    (1, 1, "switchover, crash, start node"),
    (1, 1, "switchover, part, unite"),
    (1, 1, "switchover, slow disk, quick disk"),
    (1, 1, "switchover, slow services, quick services"),
    (1, 2, "pause, resume, crash, start node"),
    (1, 1, "force, part, unite"),
    (0, 2, "switchover, stop, start node"),
)
_TOGETHER: Final = {
    Policy.AVAILABILITY: _TOGETHER_ALWAYS,
    Policy.PROTECT: _TOGETHER_ALWAYS,
    Policy.QUORUM: (
        *_TOGETHER_ALWAYS,
        (2, 0, "cut off, reach, part, unite"),
        (2, 0, "witness down, witness up, crash, start node"),
        (2, 0, "witness down, witness up, freeze, thaw"),
        (2, 0, "lose vote, late vote, part, unite"),
    ),
}
"""Faults and commands on one path, and of which kinds: of all at once there are too many."""


def run_all(searches: Iterable[Search], jobs: int | None = None) -> Iterator[tuple[Search, Report]]:
    """Explore in several processes; in the order of asking."""
    searches = [*searches]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs or os.cpu_count() or 1, mp_context=context) as pool:
        yield from zip(searches, pool.map(Search.run, searches), strict=True)
