"""The explorer is no rubber stamp: it finds machines that break each of its invariants."""

from __future__ import annotations

import re
import sys

import pytest

from sbs.core.claim import Mode, Policy
from sbs.testing.explorer import INVARIANTS, Bounds, Move, Report, Setup, quiet
from tests import mutants
from tests.exploration.searches import Search, run_all, told

QUORUM = Setup(policy=Policy.QUORUM)
FAILBACK = Setup(modes=(Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY))

WITHOUT_WITNESS = quiet(QUORUM, (Move("cut off", 0),), 6.0)
"""The primary has been cut off from the witness for so long that one vote is left."""


def bounds(
    *kinds: str, faults: int = 1, commands: int = 0, swaps: int = 1, states: int = 40_000
) -> Bounds:
    return Bounds(
        kinds=frozenset(kinds), faults=faults, commands=commands, swaps=swaps, states=states
    )


BESIDE = r"I1: services of . begin beside those of ."

CASES: dict[str, tuple[str, Search]] = {
    "both serve": (
        BESIDE,
        Search(setup=Setup(never_two=True), bounds=bounds("part")),
    ),
    "a failed dial is a refusal": (
        BESIDE,
        Search(
            setup=Setup(),
            bounds=bounds("cut", "reset", faults=2),
            mutant=mutants.take_any_refusal,
        ),
    ),
    "a refusal is proof": (
        BESIDE,
        Search(
            setup=Setup(policy=Policy.PROTECT), bounds=bounds(), mutant=mutants.believe_a_refusal
        ),
    ),
    "the vote is taken without proof": (
        BESIDE,
        Search(setup=QUORUM, bounds=bounds(), mutant=mutants.replace_without_proof),
    ),
    "no promise is kept": (
        BESIDE,
        Search(
            setup=QUORUM,
            bounds=bounds("cut off", "part", faults=2, swaps=0),
            mutant=mutants.keep_no_promise,
        ),
    ),
    "promises are forgotten at a restart": (
        BESIDE,
        Search(
            setup=QUORUM,
            bounds=bounds("part", "crash", "start node", faults=2, swaps=0),
            after=WITHOUT_WITNESS,
            mutant=mutants.forget_promises_at_a_restart,
        ),
    ),
    "votes count from the receipt": (
        BESIDE,
        Search(
            setup=QUORUM,
            bounds=bounds("part", "heal"),
            after=WITHOUT_WITNESS,
            mutant=mutants.count_from_the_receipt,
        ),
    ),
    "a primary serves without votes": (
        BESIDE,
        Search(
            setup=QUORUM,
            bounds=bounds("cut off", "part", faults=2, swaps=0),
            mutant=mutants.serve_without_votes,
        ),
    ),
    "the epoch is not saved first": (
        "I2: . serves in 5, which is not durable",
        Search(setup=Setup(), bounds=bounds(), mutant=mutants.serve_before_saved),
    ),
    "an epoch that is over is kept": (
        "I3: . starts services of",
        Search(
            setup=Setup(),
            bounds=bounds("die", "start node", faults=2, swaps=0),
            mutant=mutants.keep_the_epoch,
        ),
    ),
    "votes ran out before the start": (
        "I3: . starts services of .* without votes",
        Search(
            setup=QUORUM,
            bounds=bounds(
                "slow disk", "quick disk", "witness down", "start node", faults=2, swaps=0
            ),
            settled=False,
            mutant=mutants.serve_before_the_votes,
        ),
    ),
    "a pause is ignored": (
        "I3: . takes over although takeovers are paused",
        Search(
            setup=Setup(),
            bounds=bounds("pause", "part", commands=1),
            mutant=mutants.ignore_the_pause,
        ),
    ),
    "an older epoch is followed": (
        "I4: . acted on Welcomed",
        Search(setup=Setup(), bounds=bounds(), mutant=mutants.follow_the_outdated),
    ),
    "none leads": (
        "I5: ",
        Search(setup=Setup(), bounds=bounds(), mutant=mutants.none_leads),
    ),
    "both lead": (
        "I5: ",
        Search(setup=Setup(policy=Policy.PROTECT), bounds=bounds(), mutant=mutants.both_lead),
    ),
    "the role is not given back": (
        "I5: .* did not get its role back",
        Search(setup=FAILBACK, bounds=bounds(), mutant=mutants.never_give_back),
    ),
    "the role is released while services run": (
        "I6: services run on . in RELEASING",
        Search(
            setup=Setup(),
            bounds=bounds(faults=0, commands=1),
            mutant=mutants.release_while_serving,
        ),
    ),
    "the loser does not wait for its services": (
        "I6: services run on . in PROBING",
        Search(setup=Setup(), bounds=bounds(), mutant=mutants.demote_at_once),
    ),
    "a node ends while it serves": (
        "I6: . ends while its services run",
        Search(
            setup=Setup(), bounds=bounds(faults=0, commands=1), mutant=mutants.end_while_serving
        ),
    ),
}
"""What is wrong, which promise is reported, and where it is looked for."""


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    searches = [search for _, search in CASES.values()]
    found = run_all(searches)
    return {name: report for name, (_, report) in zip(CASES, found, strict=True)}


@pytest.mark.parametrize("name", CASES)
def test_a_machine_that_breaks_a_promise_is_found(name: str, reports: dict[str, Report]) -> None:
    promise, search = CASES[name]
    report = reports[name]
    sys.stdout.write(f"{name}: {told(search, report)}\n")
    assert report.broken is not None
    assert re.match(promise, report.broken.text)


def test_each_invariant_has_such_a_machine() -> None:
    assert {promise[:2] for promise, _ in CASES.values()} == set(INVARIANTS)
