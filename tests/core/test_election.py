from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.claim import Claim, Mode, Role
from sbs.core.election import (
    Decision,
    Reason,
    agreed_slot,
    came_first,
    elect,
    mode_alone,
    modes_clash,
    same_node,
)
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import DIGEST_BYTES, Generation, History

A, B = "a" * 32, "b" * 32


def generation(counter: int, slot: int, number: int, content: int = 0) -> Generation:
    digest = bytes([content]) * DIGEST_BYTES if content else b""
    return Generation(Epoch(counter, slot), number, digest)


BEGUN = generation(1, 0, 0)
FIRST = generation(1, 0, 1, 1)
OTHER = generation(1, 0, 1, 2)
TAKEN = generation(2, 1, 1)
AGAIN = generation(3, 0, 1)
HISTORIES = (
    History(),
    History((BEGUN,)),
    History((BEGUN, FIRST)),
    History((BEGUN, OTHER)),
    History((BEGUN, FIRST, TAKEN)),
    History((BEGUN, FIRST, AGAIN)),
)
EPOCHS = (NO_EPOCH, Epoch(3, 0), Epoch(3, 1), Epoch(4, 0))
ROLES = (Role.PRIMARY, Role.SECONDARY, Role.PROBING)


def claim(
    node_id: str = A,
    *,
    mode: Mode = Mode.SYMMETRIC,
    priority: int = 100,
    role: Role = Role.PROBING,
    history: History = HISTORIES[0],
    epoch: Epoch = NO_EPOCH,
    held: bool = False,
    on_silence: bool = False,
    slot: int = 0,
) -> Claim:
    return Claim(
        node_id=node_id,
        name=node_id[0],
        mode=mode,
        priority=priority,
        slot=slot,
        role=role,
        epoch=epoch,
        history=history,
        held=held,
        on_silence=on_silence,
    )


def all_claims(node_id: str, **fixed: object) -> list[Claim]:
    domains: dict[str, tuple[object, ...]] = {
        "mode": tuple(Mode),
        "priority": (0, 1000),
        "role": ROLES,
        "history": HISTORIES,
        "epoch": EPOCHS,
        "held": (False, True),
        "on_silence": (False, True),
    }
    domains |= {name: (value,) for name, value in fixed.items()}
    return [
        claim(node_id, **dict(zip(domains, values, strict=True)))  # type: ignore[arg-type]
        for values in itertools.product(*domains.values())
    ]


def check(mine: Claim, theirs: Claim) -> Decision:
    """Both nodes come to opposite results by one rule; also who came first is agreed."""
    here, there = elect(mine, theirs), elect(theirs, mine)
    assert here.leads is not there.leads, (mine, theirs)
    assert here.reason is there.reason, (mine, theirs)
    assert came_first(mine, theirs) is not came_first(theirs, mine), (mine, theirs)
    return here


def test_two_nodes_always_decide_oppositely() -> None:
    """B1: total and antisymmetric over roles, modes, priorities and histories."""
    reasons = set()
    for mine in all_claims(A, epoch=NO_EPOCH, held=False, on_silence=False):
        for theirs in all_claims(B, epoch=NO_EPOCH, held=False, on_silence=False):
            reasons.add(check(mine, theirs).reason)
    assert reasons == set(Reason) - {Reason.HELD, Reason.HEARD, Reason.EPOCH}


def test_a_primacy_not_given_back_decides_oppositely() -> None:
    """B1: the same over what is held, where roles and histories differ."""
    reasons = set()
    fixed = {"priority": 100, "epoch": NO_EPOCH, "on_silence": False}
    for mine in all_claims(A, **fixed):
        for theirs in all_claims(B, **fixed):
            reasons.add(check(mine, theirs).reason)
    assert reasons == set(Reason) - {Reason.PRIORITY, Reason.HEARD, Reason.EPOCH}


def test_two_primaries_always_decide_oppositely() -> None:
    """B4: the same over epochs and silence, where both run."""
    reasons = set()
    for history, other in itertools.product((HISTORIES[0], HISTORIES[2], HISTORIES[3]), repeat=2):
        fixed = {"role": Role.PRIMARY, "priority": 100, "held": True}
        for mine in all_claims(A, history=history, **fixed):
            for theirs in all_claims(B, history=other, **fixed):
                reasons.add(check(mine, theirs).reason)
    assert reasons == set(Reason) - {Reason.PRIMARY, Reason.HELD, Reason.PRIORITY}


def of(node_id: str) -> st.SearchStrategy[Claim]:
    entries = st.lists(
        st.builds(generation, *[st.integers(0, 3), st.integers(0, 1), st.integers(0, 3)]),
        max_size=5,
        unique_by=lambda entry: (entry.epoch, entry.number),
    )
    return st.builds(
        claim,
        st.just(node_id),
        mode=st.sampled_from(Mode),
        priority=st.integers(0, 1000),
        role=st.sampled_from(Role),
        history=entries.map(lambda found: History(tuple(sorted(found)))),
        epoch=st.builds(Epoch, st.integers(0, 2**40), st.integers(0, 1)),
        held=st.booleans(),
        on_silence=st.booleans(),
        slot=st.integers(0, 1),
    )


@given(of(A), of(B))
def test_any_two_claims_decide_oppositely(mine: Claim, theirs: Claim) -> None:
    check(mine, theirs)
    assert {agreed_slot(mine, theirs), agreed_slot(theirs, mine)} == {0, 1}
    assert modes_clash(mine, theirs) is modes_clash(theirs, mine)
    assert mode_alone(mine, theirs) is mode_alone(theirs, mine)


NEWEST = HISTORIES[4]
OLDER = HISTORIES[2]
FORKED = HISTORIES[3]
P = Role.PRIMARY

GOLDEN = [
    # Rule 1: newest data first, whatever stands below it.
    (
        claim(B, history=OLDER, mode=Mode.BACKUP_ONLY, priority=0),
        claim(A, history=HISTORIES[1], mode=Mode.PRIMARY_ONLY, priority=1000),
        Reason.HISTORY,
    ),
    # An old primary that comes back does not beat the one that took over, even while it runs.
    (claim(B, history=NEWEST), claim(A, history=OLDER, role=P), Reason.HISTORY),
    (claim(B, history=NEWEST, role=P), claim(A, history=OLDER, role=P), Reason.HISTORY),
    (claim(B, history=OLDER), claim(A), Reason.HISTORY),
    (claim(B, history=OLDER), claim(A, role=P), Reason.HISTORY),
    # But what a running primary made itself, and has not heard acknowledged, is its own.
    (
        claim(B, history=HISTORIES[1], role=P),
        claim(A, history=OLDER, mode=Mode.PRIMARY_ONLY),
        Reason.PRIMARY,
    ),
    # Rule 2: a running primary keeps the role against an equal or forked history.
    (
        claim(B, history=OLDER, role=P, mode=Mode.BACKUP_ONLY),
        claim(A, history=OLDER, mode=Mode.PRIMARY_ONLY, priority=1000),
        Reason.PRIMARY,
    ),
    (claim(B, history=OLDER, role=P), claim(A, history=FORKED), Reason.PRIMARY),
    # Rule 3: of two primaries mode, priority, silence, epoch, node id.
    (
        claim(B, role=P, history=OLDER, mode=Mode.PRIMARY_ONLY, priority=0, on_silence=True),
        claim(A, role=P, history=FORKED, priority=1000, epoch=Epoch(9, 0)),
        Reason.MODE,
    ),
    (
        claim(B, role=P, history=OLDER, mode=Mode.SYMMETRIC),
        claim(A, role=P, history=FORKED, mode=Mode.BACKUP_ONLY),
        Reason.MODE,
    ),
    (
        claim(B, role=P, history=OLDER, priority=101, on_silence=True),
        claim(A, role=P, history=FORKED, priority=100, epoch=Epoch(9, 0)),
        Reason.PRIORITY,
    ),
    (
        claim(B, role=P, history=OLDER),
        claim(A, role=P, history=FORKED, on_silence=True, epoch=Epoch(9, 0)),
        Reason.HEARD,
    ),
    (
        claim(B, role=P, history=OLDER, epoch=Epoch(4, 0)),
        claim(A, role=P, history=FORKED, epoch=Epoch(3, 1)),
        Reason.EPOCH,
    ),
    (
        claim(A, role=P, history=OLDER, epoch=Epoch(4, 0)),
        claim(B, role=P, history=FORKED, epoch=Epoch(4, 1)),
        Reason.NODE_ID,
    ),
    # Rule 3: where none runs and the histories are equal, a primacy that was never given back.
    (
        claim(B, held=True, mode=Mode.BACKUP_ONLY, priority=0),
        claim(A, mode=Mode.PRIMARY_ONLY, priority=1000),
        Reason.HELD,
    ),
    # Rule 5: else mode, priority, node id; epoch and silence say nothing.
    (claim(B, mode=Mode.PRIMARY_ONLY, priority=0), claim(A, priority=1000), Reason.MODE),
    (claim(B), claim(A, mode=Mode.BACKUP_ONLY, priority=1000), Reason.MODE),
    (claim(B, priority=2, on_silence=True), claim(A, priority=1), Reason.PRIORITY),
    (claim(A, on_silence=True), claim(B, epoch=Epoch(9, 0)), Reason.NODE_ID),
]


@pytest.mark.parametrize(("winner", "loser", "reason"), GOLDEN)
def test_rules_in_their_order(winner: Claim, loser: Claim, reason: Reason) -> None:
    """B1: newest data, the running primary, mode, priority, (silence, epoch,) node id."""
    assert elect(winner, loser) == Decision(True, reason)
    assert elect(loser, winner) == Decision(False, reason)


def test_one_identity_is_no_election() -> None:
    assert same_node(claim(A), claim(A))
    assert not same_node(claim(A), claim(B))
    with pytest.raises(ValueError, match=f"both claims are of node {A}"):
        elect(claim(A), claim(A))


@pytest.mark.parametrize(
    ("mine", "theirs", "clash", "alone"),
    [
        (Mode.SYMMETRIC, Mode.SYMMETRIC, False, False),
        (Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY, False, False),
        (Mode.PRIMARY_ONLY, Mode.PRIMARY_ONLY, True, False),
        (Mode.BACKUP_ONLY, Mode.BACKUP_ONLY, True, False),
        (Mode.PRIMARY_ONLY, Mode.SYMMETRIC, False, True),
        (Mode.BACKUP_ONLY, Mode.SYMMETRIC, False, True),
    ],
)
def test_which_modes_belong_together(mine: Mode, theirs: Mode, clash: bool, alone: bool) -> None:
    """R6: the two "only" modes belong together, one on each node."""
    for one, other in ((mine, theirs), (theirs, mine)):
        assert modes_clash(claim(A, mode=one), claim(B, mode=other)) is clash
        assert mode_alone(claim(A, mode=one), claim(B, mode=other)) is alone


def test_of_two_that_clash_the_one_that_runs_stays() -> None:
    """R6: the later node refuses to start, whatever its data or priority."""
    for settled in (Role.PRIMARY, Role.SECONDARY, Role.WAITING):
        here = claim(B, role=settled, priority=0)
        for role in (Role.STOPPED, Role.PROBING, Role.FENCED):
            assert came_first(here, claim(A, role=role, priority=1000, history=OLDER))
    assert came_first(claim(B, role=Role.PRIMARY), claim(A, role=Role.WAITING, history=OLDER))
    assert came_first(claim(A, role=Role.PROBING), claim(B, role=Role.PROBING))


def test_slots_change_only_where_they_are_equal() -> None:
    """B2: the larger node id moves."""
    for mine, theirs in itertools.product((0, 1), repeat=2):
        small, large = claim(A, slot=mine), claim(B, slot=theirs)
        assert agreed_slot(small, large) == mine
        assert agreed_slot(large, small) == (1 - mine if mine == theirs else theirs)
        moved = attrs.evolve(large, slot=agreed_slot(large, small))
        assert agreed_slot(moved, small) == moved.slot
