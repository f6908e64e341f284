"""Asking for votes, giving them, and stopping when there are too few (policy ``quorum``, B3)."""

from __future__ import annotations

import functools
from collections.abc import Callable

import attrs

from sbs.core.alarm import Alarm
from sbs.core.effects import (
    AskWitness,
    ClearAlarm,
    Effect,
    RaiseAlarm,
    SendAskLease,
    SendGrant,
    StopServices,
)
from sbs.core.events import (
    LeaseAsked,
    LeaseGranted,
    ServicesStopped,
    TimePassed,
    WillTold,
    WitnessAnswered,
)
from sbs.core.role import steps
from sbs.core.role.model import BALLOTING, VOTED, Model, State
from sbs.core.role.steps import Step


def ask(model: Model, now: float) -> Step:
    """Ask for the votes that are due."""
    settings, votes = model.settings, model.votes
    effects: tuple[Effect, ...] = ()
    if not model.quorum:
        return model, effects
    ballot_at = None if votes.ballot is not None else votes.ballot_at
    if model.state in BALLOTING and ballot_at is not None and now >= ballot_at:
        votes = votes.question(now)
        question = AskWitness(
            serial=votes.ballots,
            term=votes.term,
            ttl_s=settings.hold_s,
            within_s=settings.lease_s / 2,
            replaces=votes.replaces,
        )
        effects = (question,)
    ask_at = votes.ask_at if model.state in VOTED else None
    if model.session is not None and ask_at is not None and now >= ask_at:
        votes = votes.ask(now, settings.renewal_s)
        request = SendAskLease(
            connection=model.session,
            epoch=model.primacy,
            serial=votes.asks,
            hold_s=settings.hold_s,
        )
        effects = (*effects, request)
    return attrs.evolve(model, votes=votes), effects


def timed(handler: Callable[[Model, TimePassed, float], Step]) -> Callable[..., Step]:
    """Before ``handler``: stop serving if the votes have run out, and ask for those due."""

    @functools.wraps(handler)
    def time_passed(model: Model, event: TimePassed, now: float) -> Step:
        if model.state in VOTED and now >= model.authority_until:
            return _yield(model)
        model, asking = ask(model, now)
        model, effects = handler(model, event, now)
        return model, (*asking, *effects)

    return time_passed


def _yield(model: Model) -> Step:
    text = (
        "neither the other node nor the witness acknowledges this primary any more, so the other "
        "node may lead: the services stop here until a vote comes back"
    )
    model, closing = steps.drop_connections(model)
    model, answering = steps.answer(model, text)
    model = attrs.evolve(model, state=State.YIELDING)
    told = steps.tell(model, "too few votes")
    return model, (*closing, *answering, told, RaiseAlarm(Alarm.NO_VOTE, text), StopServices())


def yielded(model: Model, _event: ServicesStopped, now: float) -> Step:
    """Nothing runs here any more: look for a primary, or for votes."""
    if model.stopping:
        return steps.leave(model)
    return steps.probe(model, now, "too few votes; services stopped, looking for the other node")


def lease_asked(model: Model, event: LeaseAsked, now: float) -> Step:
    """Vote for the leader, and keep still for as long as it asks (B3)."""
    if event.connection != model.session or event.epoch != model.durable.epoch:
        return model, ()
    hold_s = max(event.hold_s, model.settings.hold_s)
    votes = model.votes.grant(event.serial, now, hold_s)
    return attrs.evolve(model, votes=votes), (SendGrant(event.connection, event.serial),)


def lease_granted(model: Model, event: LeaseGranted, now: float) -> Step:
    """The follower votes for this primary (B3)."""
    if event.connection != model.session:
        return model, ()
    votes = model.votes.hear(event.serial, model.settings.lease_s)
    return _with_vote(attrs.evolve(model, votes=votes), now), ()


def _with_vote(model: Model, now: float) -> Model:
    """An operator's word holds until there is a majority again: from then on votes decide."""
    return attrs.evolve(model, forced=model.forced and now >= model.votes.until)


def count(model: Model, event: WitnessAnswered, now: float) -> Model:
    """The model with the witness's answer counted; the same one if it was not waited for."""
    votes, settings = model.votes, model.settings
    if votes.ballot is None or votes.ballot.serial != event.serial:
        return model
    every_s = settings.renewal_s
    if event.error:
        return attrs.evolve(model, votes=votes.unanswered(every_s=every_s, now=now))
    votes = votes.answered(
        granted=event.granted, lease_s=settings.lease_s, every_s=every_s, now=now
    )
    return attrs.evolve(model, votes=votes)


def witness_answered(model: Model, event: WitnessAnswered, now: float) -> Step:
    """Renew the witness's vote; without it the other node's has to do (B3)."""
    before = model
    model = count(model, event, now)
    if model is before:
        return model, ()
    if event.granted:
        return _with_vote(model, now), (ClearAlarm(Alarm.WITNESS_LOST),)
    why = event.error or f"its vote is with {event.holder or 'another'}"
    text = (
        f"no vote from the witness ({why}): if the other node is lost as well, the services stop "
        "here; mend the witness"
    )
    return model, (RaiseAlarm(Alarm.WITNESS_LOST, text),)


def will_told(model: Model, event: WillTold, _now: float) -> Step:
    """Remember how the leader's fencer is known (B31)."""
    if event.connection != model.session:
        return model, ()
    return attrs.evolve(model, will=event.will), ()
