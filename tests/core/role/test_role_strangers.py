"""Nodes that do not belong to the pair, and alarms of a pairing that was mended."""

from __future__ import annotations

import attrs
import pytest

from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.claim import Claim, Mode, Policy, Role
from sbs.core.effects import ClearAlarm, Durable, Effect, RaiseAlarm, Refuse, Save
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import DIGEST_BYTES, Generation, History
from sbs.core.messages import Code
from sbs.core.role import Model, Settings, State, transition

PEER, THIRD = 1, 2


def claim_of(letter: str, mode: Mode = Mode.SYMMETRIC) -> Claim:
    return Claim(
        node_id=letter * 32,
        name=f"node-{letter}",
        mode=mode,
        priority=100,
        slot=1,
        role=Role.PROBING,
        epoch=NO_EPOCH,
        history=History(),
    )


def run(model: Model, *events: ev.Event) -> tuple[Model, list[Effect]]:
    """Feed events; each save is done at once."""
    performed: list[Effect] = []
    for event in events:
        model, effects = transition(model, event, 0.0)
        performed += effects
        for effect in effects:
            if isinstance(effect, Save):
                model, more = run(model, ev.Saved(effect.serial))
                performed += more
    return model, performed


def primary(mode: Mode = Mode.SYMMETRIC) -> Model:
    model = Model(
        settings=Settings(node_id="a" * 32, name="node-a", mode=mode),
        durable=Durable(slot=0, epoch=NO_EPOCH),
    )
    model, _ = run(model, ev.Started(), ev.DialFailed(refused=True), ev.ServicesStarted(()))
    assert model.state is State.PRIMARY
    return model


def calls(connection: int, claim: Claim) -> tuple[ev.Event, ...]:
    return (
        ev.PeerMet(connection=connection, claim=claim, dialled=False),
        ev.FollowAsked(connection=connection, claim=claim, epoch=NO_EPOCH, opened_at=0.0),
    )


def test_a_third_node_does_not_replace_the_secondary() -> None:
    """R1: whatever it says of itself, it is refused, and the session stands."""
    model, _ = run(primary(), *calls(PEER, claim_of("b")))
    assert model.session == PEER
    leader = attrs.evolve(claim_of("c", Mode.PRIMARY_ONLY), role=Role.PRIMARY)
    for claim in (claim_of("c"), leader):
        after, effects = run(model, *calls(THIRD, claim))
        assert after == model
        assert {effect.code for effect in effects if isinstance(effect, Refuse)} == {Code.BUSY}
        assert all(isinstance(effect, Refuse) for effect in effects)


def test_without_a_session_another_node_may_follow() -> None:
    """R1: a secondary that was replaced by a new machine has a new identity."""
    model, _ = run(primary(), *calls(PEER, claim_of("b")), ev.ConnectionLost(PEER))
    model, _ = run(model, *calls(THIRD, claim_of("c")))
    assert model.session == THIRD


def test_a_clash_of_modes_that_is_mended_clears_its_alarm() -> None:
    """R6."""
    clashing, fitting = claim_of("b", Mode.PRIMARY_ONLY), claim_of("b", Mode.BACKUP_ONLY)
    model, effects = run(primary(Mode.PRIMARY_ONLY), *calls(PEER, clashing))
    raised = {effect.alarm for effect in effects if isinstance(effect, RaiseAlarm)}
    assert raised >= {Alarm.MODE_CLASH}
    _, effects = run(model, *calls(THIRD, fitting))
    assert ClearAlarm(Alarm.MODE_CLASH) in effects
    assert ClearAlarm(Alarm.SAME_IDENTITY) in effects


@pytest.mark.parametrize(("minutes", "held_back"), [((1, 20, 50), True), ((1, 20, 70), False)])
def test_a_role_does_not_go_back_to_a_node_that_keeps_failing(
    minutes: tuple[int, ...], held_back: bool
) -> None:
    """B5: three takeovers within an hour; an operator may still hand over."""
    now = 60.0 * (minutes[-1] + 1)
    first = Generation(Epoch(1, 0), 0)
    model = Model(
        settings=Settings(node_id="a" * 32, name="alpha", mode=Mode.BACKUP_ONLY),
        durable=Durable(slot=0, epoch=first.epoch, history=History((first,)), held=True),
        state=State.PRIMARY,
        session=1,
        peer=claim_of("b", Mode.PRIMARY_ONLY),
        proposed=Generation(first.epoch, 1, b"1" * DIGEST_BYTES),
        takeovers=tuple(60.0 * minute for minute in minutes),
    )
    assert model.proposed is not None
    model, effects = transition(model, ev.GenerationAcknowledged(model.proposed), now)
    alarms = [effect.alarm for effect in effects if isinstance(effect, RaiseAlarm)]
    assert (alarms == [Alarm.FLAPPING]) is held_back
    assert (model.failback_at is None) is held_back


def test_a_role_that_is_released_with_nothing_is_not_taken_with_nothing() -> None:
    """R8, B20: a primary of good will always names a generation, if only the start of its own."""
    leader = attrs.evolve(claim_of("b"), role=Role.PRIMARY, epoch=Epoch(1, 1))
    model = Model(
        settings=Settings(node_id="a" * 32, name="node-a"),
        durable=Durable(slot=0, epoch=Epoch(1, 1)),
        state=State.SECONDARY,
        session=PEER,
        peer=leader,
    )
    released = ev.RoleReleased(
        connection=PEER, epoch=Epoch(1, 1), generation=None, granted=0, leaving=False
    )
    model, effects = run(model, released)
    assert model.state is State.SECONDARY
    assert [each.alarm for each in effects if isinstance(each, RaiseAlarm)] == [
        Alarm.HANDOVER_FAILED
    ]


def test_a_third_node_does_not_end_a_secondary() -> None:
    """R1, R6: it claims to be primary under another policy, beside a session that stands."""
    leader = attrs.evolve(claim_of("b"), role=Role.PRIMARY, epoch=Epoch(1, 1))
    model = Model(
        settings=Settings(node_id="a" * 32, name="node-a"),
        durable=Durable(slot=0, epoch=Epoch(1, 1)),
        state=State.SECONDARY,
        session=PEER,
        peer=leader,
    )
    claim = attrs.evolve(claim_of("c"), role=Role.PRIMARY, policy=Policy.PROTECT)
    after, effects = run(model, *calls(THIRD, claim))
    assert after == model
    assert [each.code for each in effects if isinstance(each, Refuse)] == [Code.NOT_PRIMARY]
