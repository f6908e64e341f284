"""What no pair comes to while one of its nodes is away (B62)."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from sbs.core.claim import Pause
from sbs.core.connection import Connection, Side
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.messages import Hello, Message, SetPause, Taken, Welcome
from sbs.core.reach import MAX_GENERATIONS, MAX_PAUSES, MAX_PRIMACIES, check_reach
from sbs.errors import RemoteProtocolError
from tests.hostile.peer import CLAIM

MINE = attrs.evolve(
    CLAIM,
    epoch=Epoch(7, 0),
    history=History((Generation(Epoch(7, 0), 40),)),
    pause=Pause(3, on=False),
)


def hello(epoch: int = 0, generation: tuple[int, int] | None = None, pause: int = 0) -> Hello:
    history = History() if generation is None else _history(*generation)
    claim = attrs.evolve(CLAIM, epoch=Epoch(epoch, 1), history=history, pause=Pause(pause, on=True))
    return Hello(versions=(1, 1), claim=claim)


def _history(epoch: int, number: int) -> History:
    return History((Generation(Epoch(epoch, 1), number),))


@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda by: hello(epoch=7 + MAX_PRIMACIES + by), "epoch"),
        (lambda by: hello(generation=(7 + MAX_PRIMACIES + by, 1)), "epoch"),
        (lambda by: hello(generation=(1, 40 + MAX_GENERATIONS + by)), "generation"),
        (lambda by: hello(pause=3 + MAX_PAUSES + by), "pause"),
        (lambda by: Welcome(Epoch(7 + MAX_PRIMACIES + by, 1), History()), "epoch"),
        (lambda by: Welcome(Epoch(7, 1), _history(7, 40 + MAX_GENERATIONS + by)), "generation"),
        (lambda by: Taken(Epoch(7 + MAX_PRIMACIES + by, 1)), "epoch"),
        (lambda by: SetPause(Pause(3 + MAX_PAUSES + by, on=False)), "pause"),
    ],
)
def test_what_is_beyond_reach_is_not_believed(
    make: Callable[[int], Message], text: str, beyond: int
) -> None:
    message = make(beyond)
    if not beyond:
        check_reach(MINE, message)
        return
    with pytest.raises(ValueError, match=f"{text} .* is more than .* beyond this node's"):
        check_reach(MINE, message)


def test_who_is_behind_is_believed_and_what_says_nothing_is_not_looked_at() -> None:
    for message in (hello(), Hello(versions=(1, 1)), Taken(Epoch(0, 1)), SetPause(Pause())):
        check_reach(MINE, message)


def test_a_conversation_ends_with_what_is_beyond_reach() -> None:
    far = hello(epoch=2**62 - 1)
    connection = Connection(Side.ACCEPTOR, Hello(versions=(1, 1), claim=MINE))
    with pytest.raises(RemoteProtocolError, match="Hello: epoch 4611686018427387903 is more"):
        connection.receive(Connection(Side.DIALLER, far).open())
    assert connection.peer is None


def test_a_visitor_looks_at_any_node() -> None:
    """It takes nothing over, and tells what it saw."""
    visitor = Connection(Side.DIALLER, Hello(versions=(1, 1)))
    visitor.open()
    far = hello(epoch=2**62 - 1)
    assert visitor.receive(Connection(Side.ACCEPTOR, far).open()) == [far]
