"""After the last fault: everything is repaired, and the pair has to settle (I5)."""

from __future__ import annotations

from typing import Final

from sbs.testing.explorer.acts import apply
from sbs.testing.explorer.instants import next_instant
from sbs.testing.explorer.models import Machine
from sbs.testing.explorer.moves import Move, inner, repairs
from sbs.testing.explorer.promises import unsettled
from sbs.testing.explorer.scene import (
    MAX_PEACEFUL_CONNECTIONS,
    MAX_PRIMACIES,
    Node,
    OutOfBoundsError,
    Scene,
    World,
)
from sbs.testing.explorer.setup import Setup
from sbs.testing.explorer.steps import PromiseError

SETTLE_S: Final = 30.0
"""Virtual time in which a pair must settle: several times the longest wait there is."""

MAX_PEACEFUL_PRIMACIES: Final = MAX_PRIMACIES + 8
"""A pair that needs more of them does not settle."""

MAX_MOVES: Final = 1500
"""More than happen in that time."""


class Peace:
    """Runs worlds to their end in peace; where one came past before, the end is known.

    Args:
        setup: what is explored.
        machine: takes the nodes' steps.
    """

    def __init__(self, setup: Setup, machine: Machine) -> None:
        self._setup = setup
        self._machine = machine
        self._good: dict[World, World] = {}

    def settle(self, world: World, *, log: list[str] | None = None) -> World:
        """The settled world that this one becomes.

        Args:
            world: as the faults left it.
            log: see :class:`~sbs.testing.explorer.scene.Scene`.

        Raises:
            PromiseError: it never settles, or a promise is broken on the way.
        """
        scene = Scene(self._setup, self._machine, world, log=log)
        scene.max_connections = MAX_PEACEFUL_CONNECTIONS
        scene.max_primacies = MAX_PEACEFUL_PRIMACIES
        try:
            return self._settle(scene)
        except OutOfBoundsError as error:
            raise PromiseError(f"I5: not settled before too many {error}") from error

    def _settle(self, scene: Scene) -> World:
        mend(scene)
        passed: list[World] = []
        left_s = SETTLE_S
        for _ in range(MAX_MOVES):
            world = scene.frozen()
            if world in self._good or not unsettled(scene):
                break
            passed.append(world)
            left_s -= proceed(scene)
            if left_s < 0:
                raise PromiseError(f"I5: not settled after {SETTLE_S:g} s: {unsettled(scene)}")
        else:
            raise PromiseError(f"I5: a busy loop: {unsettled(scene)}")
        settled = self._good.setdefault(world, world)
        self._good.update(dict.fromkeys(passed, settled))
        return settled


def first_world(setup: Setup, machine: Machine, *, settled: bool) -> World:
    """Where an exploration begins.

    Args:
        setup: what is explored.
        machine: takes the nodes' steps.
        settled: with a pair in session instead of two nodes that never ran.

    Raises:
        PromiseError: the pair does not even settle when it is left alone.
    """
    world = Scene(setup, machine).frozen()
    return Peace(setup, machine).settle(world) if settled else world


def quiet(setup: Setup, path: tuple[Move, ...], seconds: float) -> tuple[Move, ...]:
    """A path prolonged by so much time in which nothing else happens, nor is mended."""
    machine = Machine()
    scene = Scene(setup, machine, first_world(setup, machine, settled=True))
    for move in path:
        apply(scene, move)
    while seconds > 0:
        moves = inner(scene)
        if not moves:
            seconds -= next_instant(scene) or seconds
        move = moves[0] if moves else Move("time")
        apply(scene, move)
        path = (*path, move)
    return path


def mend(scene: Scene) -> None:
    """Make every repair."""
    while moves := [move for move in repairs(scene) if move.kind != "late vote"]:
        apply(scene, moves[0])


def proceed(scene: Scene) -> float:
    """Make the next move of a fair schedule; return how much time passed."""
    moves = inner(scene)
    if moves:
        apply(scene, moves[0])
        return 0.0
    for node in scene.nodes:
        if not node.up and _starts_again(scene, node):
            apply(scene, Move("start node", node.side))
            return 0.0
    seconds = next_instant(scene)
    apply(scene, Move("time"))
    return SETTLE_S if seconds is None else seconds


def _starts_again(scene: Scene, node: Node) -> bool:
    """Whether somebody starts a node that has ended; not one that was refused (R6)."""
    return not (scene.setup.clash and scene.peer(node).up)
