"""A path of an exploration once more, with words for people."""

from __future__ import annotations

from typing import NamedTuple

from sbs.testing.explorer.acts import apply
from sbs.testing.explorer.models import Machine
from sbs.testing.explorer.moves import Move
from sbs.testing.explorer.peace import Peace, first_world
from sbs.testing.explorer.scene import Scene
from sbs.testing.explorer.setup import Setup
from sbs.testing.explorer.steps import PromiseError


class Retraced(NamedTuple):
    """What a path led to.

    Args:
        text: the promise that it breaks; empty for none.
        trace: what happened, a line each.
    """

    text: str
    trace: str


def retrace(setup: Setup, path: tuple[Move, ...], *, settled: bool) -> Retraced:
    """Make the moves of a path; then, if no promise is broken yet, let the pair settle in peace.

    Args:
        setup: the pair.
        path: of a :class:`~sbs.testing.explorer.search.Broken` report.
        settled: as the exploration began.
    """
    machine = Machine()
    log: list[str] = []
    try:
        world = first_world(setup, machine, settled=settled)
        for move in path:
            scene = Scene(setup, machine, world, log=log)
            log.append(f"> {_words(move)}")
            apply(scene, move)
            world = scene.frozen()
        log.append("> peace")
        Peace(setup, machine).settle(world, log=log)
    except PromiseError as error:
        return Retraced(str(error), "\n".join((*log, str(error))))
    return Retraced("", "\n".join(log))


def _words(move: Move) -> str:
    words = [move.kind]
    if move.kind not in _OF_THE_PAIR:
        words.append("from " + "ab"[move.side] if move.kind == "deliver" else "ab"[move.side])
    if move.number:
        words.append(f"on {move.number}")
    if move.fuse:
        words.append(f"and a crash after {move.fuse} of its messages")
    return " ".join(words)


_OF_THE_PAIR = frozenset({"time", "part", "unite", "witness down", "witness up", "reset"})
"""Moves in which it does not matter which node makes them."""
