from __future__ import annotations

from pathlib import Path

import pytest

from sbs.core import effects as ef
from sbs.core.events import GenerationHeld, Heard, Started, StopAsked, TimePassed
from sbs.core.role import Model, State, deadline, transition
from tests.core.role.scenarios import (
    FIRST,
    FOLLOWING,
    HANDING,
    LEADING,
    ME,
    NEW,
    SCENARIOS,
    Script,
    play,
)

GOLDEN = Path(__file__).with_name("scenarios.txt").read_text("utf-8")


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_goes_as_written(name: str) -> None:
    """R1 to R8, B1, B2: events in, states and effects out."""
    body = GOLDEN.partition(f"# {name}\n")[2].partition("\n\n")[0].rstrip("\n")
    assert "\n".join(play(name)) == f"# {name}\n{body}\n"


def test_no_scenario_is_left_over() -> None:
    titles = [line[2:] for line in GOLDEN.splitlines() if line.startswith("# ")]
    assert titles == list(SCENARIOS)


def run(script: Script) -> tuple[Model, list[ef.Effect]]:
    model = Model(settings=ME, durable=NEW)
    all_effects: list[ef.Effect] = []
    for now, event in script:
        model, effects = transition(model, event, now)
        all_effects += effects
    return model, all_effects


def test_time_that_passes_early_changes_nothing() -> None:
    """A shell may wake too soon; only the deadline counts."""
    released, _ = run([*LEADING, (2.0, StopAsked()), *HANDING])
    assert released.state is State.RELEASED
    assert deadline(released) == pytest.approx(4.3)
    assert transition(released, TimePassed(), 4.29) == (released, ())
    leading, _ = run(LEADING)
    assert transition(leading, TimePassed(), 1.5) == (leading, ())


def test_a_node_that_was_frozen_while_it_probed_probes_anew() -> None:
    """R1: the peer's answer may wait unread; what was not listened for is no silence."""
    probing, _ = run([(0.0, Started()), (100.0, Heard())])
    assert transition(probing, TimePassed(), 100.0) == (probing, ())
    after, _ = transition(probing, TimePassed(), 100.0 + ME.probe_timeout_s)
    assert after.state is State.CLAIMING


def test_a_generation_that_comes_again_is_saved_again() -> None:
    """B20: its acknowledgement was lost; the journal waits for the save before it goes on."""
    again = GenerationHeld(FIRST, ("app",))
    following, _ = run([*FOLLOWING, (0.1, again)])
    after, effects = transition(following, again, 0.2)
    assert effects == (ef.Save(following.serial + 1, following.durable),)
    assert after.durable == following.durable


def test_a_stopped_machine_waits_for_nothing() -> None:
    model, effects = run([*LEADING[:1], (0.1, StopAsked())])
    assert model.state is State.STOPPED
    assert deadline(model) is None
    assert effects[-1] == ef.Exit()
