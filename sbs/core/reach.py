"""How far ahead of a node its peer can be (B62).

Epochs, generations and pauses are counted up one by one, and of each there is a last one. A peer
that names one near it would leave nothing to count up to: no takeover, no update, no resume. So
nothing is believed that no pair comes to while one of its nodes is away.
"""

from __future__ import annotations

from typing import Final

from sbs.core.claim import Claim
from sbs.core.messages import Hello, Message, SetPause, Taken, Welcome

MAX_PRIMACIES: Final = 2**20
"""A primacy each second for twelve days; four million million such leaps lead to the last one."""

MAX_GENERATIONS: Final = 2**40
"""A thousand updates a second for 35 years; four million such leaps lead to the last one."""

MAX_PAUSES: Final = 2**20
"""Pauses and resumes are counted by people."""


def check_reach(mine: Claim, message: Message) -> None:
    """Look at what a peer's message would have this node count on from.

    Args:
        mine: what this node said of itself when the conversation began.
        message: of the peer.

    Raises:
        ValueError: the peer cannot have come so far; the text says what is believed.
    """
    match message:
        case Hello(claim=Claim() as theirs):
            _check("epoch", mine.epoch.counter, theirs.epoch.counter, MAX_PRIMACIES)
            _check("pause", mine.pause.serial, theirs.pause.serial, MAX_PAUSES)
            history = theirs.history
        case Welcome(epoch, history):
            _check("epoch", mine.epoch.counter, epoch.counter, MAX_PRIMACIES)
        case Taken(epoch):
            _check("epoch", mine.epoch.counter, epoch.counter, MAX_PRIMACIES)
            return
        case SetPause(pause):
            _check("pause", mine.pause.serial, pause.serial, MAX_PAUSES)
            return
        case _:
            return
    tip = history.tip
    if tip is not None:
        _check("epoch", mine.epoch.counter, tip.epoch.counter, MAX_PRIMACIES)
        _check("generation", mine.history.number, tip.number, MAX_GENERATIONS)


def _check(what: str, mine: int, theirs: int, most: int) -> None:
    if theirs - mine > most:
        raise ValueError(
            f"{what} {theirs} is more than {most} beyond this node's, which is {mine}: no pair "
            "gets so far while one of its nodes is away, so the state of one of them is wrong"
        )
