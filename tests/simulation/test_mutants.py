"""The simulator is no rubber stamp: it catches machines that break a promise on purpose."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from sbs.core.claim import Policy
from sbs.core.role import Settings
from sbs.testing.simnode import InvariantError, SimNode
from sbs.testing.simpair import SimPair
from tests import mutants
from tests.mutants import Patch
from tests.simulation.runs import run_seed, started_together

BESIDE = r"serves in \S+ beside"

MOST = 3000
"""Seeds until which each mutant must be found."""


def run_many() -> None:
    for seed in range(60, MOST):
        started_together(seed)
        run_seed(seed)


@pytest.mark.parametrize(
    ("mutant", "complaint"),
    [
        (mutants.serve_before_saved, "is not durable|not declared"),
        (mutants.keep_the_epoch, "not settled|was used before"),
        (mutants.both_lead, "not settled|neither was silent"),
        (mutants.none_leads, "not settled"),
        (mutants.skip_the_last_update, "lost writes"),
        (mutants.release_while_serving, "services run on . in state RELEASING"),
        (mutants.take_any_refusal, "neither was silent"),
        (mutants.never_give_back, "R4"),
        (mutants.serve_without_votes, BESIDE),
        (mutants.believe_a_refusal, BESIDE),
        (mutants.replace_without_proof, BESIDE),
        (mutants.ignore_the_pause, "takeovers are paused"),
    ],
)
def test_a_machine_that_breaks_a_promise_is_caught(
    mutant: Patch, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises(InvariantError, match=complaint):
        run_many()


def cut_off(down_interval_s: float) -> tuple[SimPair, SimNode, SimNode]:
    """A pair whose primary has no vote but its secondary's."""

    def tune(settings: Settings) -> Settings:
        return attrs.evolve(
            settings,
            policy=Policy.QUORUM,
            lease_s=3.0,
            stop_bound_s=0.2,
            max_clock_drift=0.0,
            down_interval_s=down_interval_s,
        )

    pair = SimPair(1, tune=tune)
    for node in pair.nodes:
        node.start()
    pair.run(5.0)
    (primary,) = pair.serving
    pair.witness.reached[primary.side] = False
    pair.run(6.0)
    assert pair.settled
    return pair, primary, pair.peer(primary)


def lose_the_primary() -> None:
    """The primary is cut off, and the secondary takes over."""
    pair, primary, secondary = cut_off(2.0)
    for side in (0, 1):
        pair.network.cut(side)
    pair.run(8.0)
    assert (primary.serving, pair.serving) == (None, [secondary])


def restart_the_secondary() -> None:
    """The secondary is restarted just then, and remembers no promise."""
    pair, primary, secondary = cut_off(2.0)
    for side in (0, 1):
        pair.network.cut(side)
    secondary.crash()
    secondary.start()
    pair.run(8.0)
    assert (primary.serving, pair.serving) == (None, [secondary])


def delay_a_vote() -> None:
    """The last votes are long on their way, but not too long for the session."""
    pair, primary, secondary = cut_off(3.0)
    pair.network.cut(secondary.side)
    pair.run(1.0)
    pair.network.cut(primary.side)
    pair.run(1.4)
    pair.network.heal(secondary.side)
    pair.run(4.0)
    assert (primary.serving, pair.serving) == (None, [secondary])


@pytest.mark.parametrize(
    ("schedule", "mutant"),
    [
        (lose_the_primary, mutants.keep_no_promise),
        (restart_the_secondary, mutants.forget_promises_at_a_restart),
        (delay_a_vote, mutants.count_from_the_receipt),
    ],
)
def test_votes_are_kept_to_the_second(
    schedule: Callable[[], None], mutant: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3: the machine passes where its mutant is caught."""
    schedule()
    mutant(monkeypatch)
    with pytest.raises(InvariantError, match=BESIDE):
        schedule()
