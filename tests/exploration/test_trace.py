"""A broken promise comes with the way to it, which can be gone again."""

from __future__ import annotations

import attrs
import pytest

from sbs.core.claim import Mode
from sbs.testing.explorer import Bounds, Move, Setup, explore, retrace
from tests import mutants

NEVER_TWO = Setup(never_two=True)


def test_the_way_to_a_broken_promise_leads_there_again() -> None:
    broken = explore(NEVER_TWO, Bounds(kinds=frozenset({"part"}))).broken
    assert broken is not None
    again = retrace(NEVER_TWO, broken.path, settled=True)
    assert again == (broken.text, broken.trace)
    allowed = retrace(attrs.evolve(NEVER_TWO, never_two=False), broken.path, settled=True)
    assert allowed.text == ""


def test_the_way_is_told_in_words() -> None:
    broken = explore(NEVER_TWO, Bounds(kinds=frozenset({"part"}))).broken
    assert broken is not None
    lines = broken.trace.splitlines()
    assert [line for line in lines if line.startswith("> part")] == ["> part"]
    assert "  b: TimePassed: SECONDARY -> CLAIMING" in lines
    assert lines[-1] == broken.text == "I1: services of b begin beside those of a"


def test_a_pair_that_never_settles_is_told_from_where(monkeypatch: pytest.MonkeyPatch) -> None:
    """I5: the way ends where the last fault was; what follows is peace."""
    mutants.never_give_back(monkeypatch)
    setup = Setup(modes=(Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY))
    broken = explore(setup, Bounds()).broken
    assert broken is not None
    assert broken.text.startswith("I5: ")
    assert "> peace" in broken.trace.splitlines()
    assert retrace(setup, broken.path, settled=True) == (broken.text, broken.trace)


def test_a_path_goes_on_from_another() -> None:
    """What was done before counts for no bound, and belongs to the way."""
    before = (Move("part"),)
    broken = explore(NEVER_TWO, Bounds(faults=0), after=before).broken
    assert broken is not None
    assert broken.path[:1] == before


def test_a_primacy_renewed_at_the_first_contact_is_one_that_silence_explains() -> None:
    """I1: a node that heard nothing leads, meets the other before its services run, and goes on
    under a newer epoch while the other's services still stop.
    """
    setup = Setup(modes=(Mode.PRIMARY_ONLY, Mode.SYMMETRIC))
    path = (
        Move("start node", 1),
        Move("deliver", 1, 1),
        Move("deliver", 0, 1),
        Move("save", 1),
        Move("deliver", 1, 1),
        Move("start node", 0),
        Move("freeze", 1),
        Move("time"),
        Move("give up dialling", 0),
        Move("time"),
        Move("time"),
        Move("give up dialling", 0),
    )
    told = retrace(setup, path, settled=False)
    assert "STARTING -> RENEWING" in told.trace
    assert told.text == ""
    never = retrace(attrs.evolve(setup, never_two=True), path, settled=False)
    assert never.text == "I1: services of a begin beside those of b"
