"""Explores what two nodes and a witness can do: every order of events, every place for a fault.

An explicit-state search, breadth first, over the real role machine: from each state all moves of
``moves`` are made, and whatever is reached for the first time is looked at in turn. So the first
broken promise that is found has a shortest way to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import attrs

from sbs.testing.explorer.acts import apply
from sbs.testing.explorer.instants import next_instant
from sbs.testing.explorer.models import Machine
from sbs.testing.explorer.moves import Move, commands, faults, inner, repairs
from sbs.testing.explorer.peace import Peace, first_world
from sbs.testing.explorer.scene import OutOfBoundsError, Scene, World
from sbs.testing.explorer.setup import Setup
from sbs.testing.explorer.steps import PromiseError
from sbs.testing.explorer.trace import retrace

MAX_FUSE: Final = 2
"""A node crashes after the first or the second message of a step: no step has more than three."""


class Budget(NamedTuple):
    """What may still come on a path, or what a move costs.

    Args:
        faults: of any kind; repairs are free.
        commands: of an operator.
        swaps: events that overtake an older one which could happen as well.
    """

    faults: int = 0
    commands: int = 0
    swaps: int = 0

    def less(self, cost: Budget) -> Budget:
        """What is left of it."""
        return Budget(*(left - each for left, each in zip(self, cost, strict=True)))


class Place(NamedTuple):
    """A state of the search: a world, and what may still happen to it."""

    world: World
    budget: Budget


@attrs.frozen(kw_only=True)
class Bounds:
    """How far to explore.

    Args:
        states: at most about so many.
        depth: moves from the start, at most.
        faults: on one path, at most.
        commands: of an operator, on one path, at most.
        swaps: on one path, at most: see :class:`Budget`.
        kinds: of faults, repairs and commands; all if left out.
        peace_every: of so many states one is run to its end in peace (I5).
    """

    states: int = 20_000
    depth: int = 10_000
    faults: int = 1
    commands: int = 0
    swaps: int = 1
    kinds: frozenset[str] = frozenset()
    peace_every: int = 1

    @property
    def budget(self) -> Budget:
        """Of a path."""
        return Budget(self.faults, self.commands, self.swaps)


@attrs.frozen(kw_only=True)
class Broken:
    """A broken promise, and a shortest way to it.

    Args:
        text: which, by its number.
        path: from the start; after it, I5 is broken in peace.
        trace: the same for people.
    """

    text: str
    path: tuple[Move, ...]
    trace: str


@attrs.define
class Report:
    """What an exploration has seen.

    Args:
        states: different ones.
        moves: made between them.
        depth: the longest of the shortest ways to a state.
        peaces: how many were run to their end in peace.
        cut_off: moves that lead to more connections, messages or primacies than are followed.
        left: states found, but not looked at any more: the bounds were reached.
        broken: the first broken promise.
    """

    states: int = 0
    moves: int = 0
    depth: int = 0
    peaces: int = 0
    cut_off: int = 0
    left: int = 0
    broken: Broken | None = None

    @property
    def complete(self) -> bool:
        """Whether this is all that so many faults, commands and swaps can lead to."""
        return self.broken is None and self.cut_off == self.left == 0


def explore(
    setup: Setup, bounds: Bounds, *, settled: bool = True, after: tuple[Move, ...] = ()
) -> Report:
    """Explore until a promise is broken, or to the bounds.

    Args:
        setup: the pair.
        bounds: how far.
        settled: begin with a pair in session instead of two nodes that never ran.
        after: moves made before the exploration begins; they count for no bound.
    """
    return _Search(setup, bounds, settled=settled, after=after).run()


class _Search:
    def __init__(
        self, setup: Setup, bounds: Bounds, *, settled: bool, after: tuple[Move, ...]
    ) -> None:
        self._setup = setup
        self._bounds = bounds
        self._settled = settled
        self._after = after
        self._machine = Machine()
        self._peace = Peace(setup, self._machine)
        self._places: list[Place] = []
        self._known: set[Place] = set()
        self._came: list[tuple[int, Move]] = []
        self._depths: list[int] = []
        self._report = Report()

    def run(self) -> Report:
        report, places, bounds = self._report, self._places, self._bounds
        try:
            world = first_world(self._setup, self._machine, settled=self._settled)
            for move in self._after:
                scene = Scene(self._setup, self._machine, world)
                apply(scene, move)
                world = scene.frozen()
        except PromiseError as error:
            report.broken = Broken(text=str(error), path=self._after, trace=str(error))
            return report
        self._add(Place(world, bounds.budget), 0, Move("time"), 0)
        looked_at = 0
        while looked_at < len(places) < bounds.states:
            if self._depths[looked_at] == bounds.depth:
                break
            self._look_at(looked_at)
            if report.broken is not None:
                break
            looked_at += 1
        report.states = len(places)
        report.depth = self._depths[-1]
        report.left = len(places) - looked_at
        return report

    def _add(self, place: Place, parent: int, move: Move, depth: int) -> None:
        self._known.add(place)
        self._places.append(place)
        self._came.append((parent, move))
        self._depths.append(depth)

    def _look_at(self, index: int) -> None:
        """Run a state to its end in peace; make every move from it."""
        place, report = self._places[index], self._report
        if index % self._bounds.peace_every == 0 and not self._settles(place.world, index):
            return
        for move, cost in self._moves(place):
            scene = Scene(self._setup, self._machine, place.world)
            try:
                if not apply(scene, move):
                    continue
            except OutOfBoundsError:
                report.cut_off += 1
                continue
            except PromiseError as error:
                report.broken = self._broken(str(error), index, move)
                return
            report.moves += 1
            found = Place(scene.frozen(), place.budget.less(cost))
            if found not in self._known:
                self._add(found, index, move, self._depths[index] + 1)

    def _settles(self, world: World, index: int) -> bool:
        self._report.peaces += 1
        try:
            self._peace.settle(world)
        except PromiseError as error:
            self._report.broken = self._broken(str(error), index, None)
            return False
        return True

    def _moves(self, place: Place) -> Iterator[tuple[Move, Budget]]:
        budget, kinds = place.budget, self._bounds.kinds
        scene = Scene(self._setup, self._machine, place.world)
        urgent = inner(scene)
        for age, move in enumerate(urgent[: None if budget.swaps else 1]):
            yield move, Budget(swaps=min(age, 1))
        if not urgent and next_instant(scene) is not None:
            yield Move("time"), Budget()
        for move in repairs(scene):
            if not kinds or move.kind in kinds:
                yield move, Budget()
        if budget.faults:
            for move in (*faults(scene), *_fused(urgent)):
                if not kinds or ("crash" if move.fuse else move.kind) in kinds:
                    yield move, Budget(faults=1)
        if budget.commands:
            for move in commands(scene):
                if not kinds or move.kind in kinds:
                    yield move, Budget(commands=1)

    def _broken(self, text: str, index: int, last: Move | None) -> Broken:
        path = [] if last is None else [last]
        while index:
            index, move = self._came[index]
            path.append(move)
        way = (*self._after, *reversed(path))
        trace = retrace(self._setup, way, settled=self._settled).trace
        return Broken(text=text, path=way, trace=trace)


def _fused(moves: list[Move]) -> Iterator[Move]:
    """The same moves, cut short by a crash."""
    return (move._replace(fuse=fuse) for move in moves for fuse in range(1, MAX_FUSE + 1))
