"""Becoming primary on other evidence than the peer's word: policies, votes, fence (B3, B7)."""

from __future__ import annotations

import math
from typing import assert_never

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Mode, Policy
from sbs.core.effects import Answer, ClearAlarm, Fence, RaiseAlarm, Via
from sbs.core.events import (
    DialFailed,
    DialRejected,
    FenceEnded,
    PeerFenced,
    TakeoverAsked,
    TimePassed,
    WitnessAnswered,
)
from sbs.core.role import steps, voting
from sbs.core.role.model import Model, State
from sbs.core.role.steps import Step


def stand(model: Model, now: float, via: Via, *, on_silence: bool = False) -> Step:
    """Become primary, as far as the policy allows it on this evidence."""
    settings = model.settings
    model = attrs.evolve(model, via=via, silent=on_silence)
    if _is_paused(model):
        return _pause(model, now)
    proven = via in (Via.FENCED, Via.RELEASED)
    match settings.policy:
        case Policy.AVAILABILITY if not _fence_needed(model):
            return steps.claim(model, now, via, on_silence=on_silence)
        case Policy.PROTECT if proven:
            return steps.claim(model, now, via)
        case Policy.PROTECT if not _fence_needed(model):
            return _stay_out(
                model,
                now,
                f"{steps.peer_name(model)} does not answer, and under the policy protect that is "
                "no proof that it does not serve; not taking over. If it is certainly off: "
                "sbs takeover --force",
            )
        case Policy.AVAILABILITY | Policy.PROTECT | Policy.QUORUM:
            return _candidate(model, now, via, proven=proven)
        case _:
            assert_never(settings.policy)


def _is_paused(model: Model) -> bool:
    """B6: a role that was held, or is handed over, is none that is taken."""
    via = model.via
    return model.durable.pause.on and via is not None and (via.unasked or via is Via.DIRECT)


def _pause(model: Model, now: float) -> Step:
    name = steps.peer_name(model)
    text = f"{name} is lost, and takeovers are paused; not taking over before sbs resume"
    return _stay_out(model, now, text)


def _stay_out(model: Model, now: float, text: str) -> Step:
    return steps.wait(model, now, Alarm.PRIMARY_LOST, text)


def _fence_needed(model: Model) -> bool:
    return model.settings.fence and model.via in (Via.SILENCE, Via.REFUSED)


def _candidate(model: Model, now: float, via: Via, *, proven: bool) -> Step:
    relieves = model.relieves
    model, closing = steps.drop_connections(model, but=(relieves,))
    votes = model.votes.new_term(now)
    if proven:
        votes = votes.absolve("" if model.will is None else model.will.holder)
    # Who gave the role up waits for so long to be relieved: to ask it would be a vote for it.
    settings = model.settings
    pause = settings.heartbeat_interval_s if relieves is None else settings.down_interval_s
    model = attrs.evolve(
        model,
        state=State.CANDIDATE,
        relieves=relieves,
        votes=votes,
        dial_at=now + pause,
        fencing=False,
        fence_at=None,
        fenced=False,
    )
    told = steps.tell(model, f"{via.value}; making sure that nobody else leads")
    model, asking = voting.ask(model, now)
    model, advancing = advance(model, now)
    return model, (*closing, told, *asking, *advancing)


def advance(model: Model, now: float) -> Step:
    """Take a candidate's next step: the witness's vote, then the fence, then the role."""
    votes, via = model.votes, model.via
    if _is_paused(model):
        return _pause(model, now)
    if model.asking is not None or via is None:  # the peer answers, and is asked to lead
        return model, ()
    if model.quorum and not votes.free_at <= now < votes.witness_until:
        return model, ()
    if _fence_needed(model) and not model.fenced:
        if model.fencing or (model.fence_at is not None and now < model.fence_at):
            return model, ()
        return attrs.evolve(model, fencing=True, fence_at=None), (Fence(),)
    return steps.claim(
        model,
        now,
        via,
        votes=votes if model.quorum else None,
        on_silence=model.silent and not model.quorum and not model.fenced,
        relieves=model.relieves,
    )


def heed_pause(model: Model, now: float) -> Step:
    """End a candidacy that a pause does not allow; a pause never makes one succeed (B6)."""
    return _pause(model, now) if _is_paused(model) else (model, ())


def time_passed(model: Model, _event: TimePassed, now: float) -> Step:
    """Look for the peer again; lead once every vote is there (B3)."""
    if model.votes.witness_until <= now:
        votes = attrs.evolve(model.votes, witness_until=-math.inf)
        model = attrs.evolve(model, votes=votes)
    model, looking = steps.look_again(model, now)
    model, advancing = advance(model, now)
    return model, (*looking, *advancing)


def dial_failed(model: Model, _event: DialFailed | DialRejected, now: float) -> Step:
    """Still nobody there to follow: try again at the next heartbeat."""
    pause = model.settings.heartbeat_interval_s
    return attrs.evolve(model, dialling=False, dial_at=now + pause), ()


def witness_answered(model: Model, event: WitnessAnswered, now: float) -> Step:
    """With the witness's vote, lead (B3); without it, stay out and say why."""
    before = model
    model = voting.count(model, event, now)
    if model is before:
        return model, ()
    if event.granted:
        model, advancing = advance(model, now)
        return model, (ClearAlarm(Alarm.NO_VOTE), *advancing)
    name = steps.peer_name(model)
    if event.error:
        text = (
            f"{name} does not answer, nor does the witness ({event.error}): {name} may serve, so "
            f"not taking over. Mend the witness; or, if {name} is certainly off: "
            "sbs takeover --force"
        )
    else:
        text = (
            f"{name} does not answer, but the witness's vote is with {event.holder or 'another'}: "
            "not taking over while it is renewed there"
        )
    return model, (RaiseAlarm(Alarm.NO_VOTE, text),)


def fence_ended(model: Model, event: FenceEnded, now: float) -> Step:
    """The peer is off, provably: lead. Else try again, for as long as it is not seen (B7)."""
    if not model.fencing:
        return model, ()
    if not event.error:
        model = attrs.evolve(model, fencing=False, fenced=True)
        model, advancing = advance(model, now)
        return model, (ClearAlarm(Alarm.FENCE_FAILED), *advancing)
    model = attrs.evolve(model, fencing=False, fence_at=now + model.settings.down_interval_s)
    text = f"the fence hook failed ({event.error}): not taking over before it succeeds"
    return model, (RaiseAlarm(Alarm.FENCE_FAILED, text),)


def peer_fenced(model: Model, event: PeerFenced, now: float) -> Step:
    """The primary's fencer says that nothing runs there: take over at once (B31)."""
    model = attrs.evolve(model, dialling=False)
    if model.session is not None:  # of a dial from before
        return model, ()
    if model.will is None or not model.will.fulfilled_by(event.secret):
        pause = model.settings.heartbeat_interval_s
        return attrs.evolve(model, dial_at=now + pause), ()
    if model.state is State.CANDIDATE and model.in_step:
        return _proven(model, model.will.holder, now)
    return primary_lost(model, now, Via.FENCED)


def _proven(model: Model, holder: str, now: float) -> Step:
    """A candidate hears the fencer, or hears it again: the candidacy is the same.

    What the witness has granted, or may be granting now, was asked for in its name: in a new one
    this node would wait for its own vote to run out.
    """
    model, closing = steps.drop_connections(model, but=(model.relieves,))
    model = attrs.evolve(model, dial_at=now + model.settings.heartbeat_interval_s)
    if model.via is Via.FENCED:
        return model, closing
    votes = model.votes.absolve(holder)
    if model.quorum and now >= votes.witness_until:  # it may replace the dead one now
        votes = attrs.evolve(votes, ballot=None, ballot_at=now)
    model = attrs.evolve(model, via=Via.FENCED, silent=False, votes=votes)
    told = steps.tell(model, f"{Via.FENCED.value}; making sure that nobody else leads")
    model, asking = voting.ask(model, now)
    model, advancing = advance(model, now)
    return model, (*closing, told, *asking, *advancing)


def primary_lost(model: Model, now: float, via: Via) -> Step:
    """Replace the primary that this node followed, if it holds a complete generation (R7)."""
    if model.in_step:
        return stand(model, now, via, on_silence=via is Via.SILENCE)
    return steps.wait(
        model,
        now,
        Alarm.NO_GENERATION,
        "the primary was lost before this node held a complete generation of its data; "
        "not taking over: start the primary again, or restart this node to begin without it",
    )


def no_answer(model: Model, now: float, *, on_silence: bool) -> Step:
    """Nobody there at a start: resume, wait, or lead alone (R1, R5)."""
    if model.durable.held:
        return _alone(model, now, Via.RESUMED, on_silence=on_silence)
    if model.in_step:
        return primary_lost(model, now, Via.SILENCE)
    if model.settings.mode is Mode.BACKUP_ONLY:
        return steps.wait(model, now, Alarm.NO_PRIMARY, "backup-only: waiting for a primary")
    if not model.settings.start_alone and not model.last_primary:
        text = (
            "the other node may have led since this one did (failover.start_alone is "
            "only-if-last-primary): waiting for it. If it is gone for good: sbs takeover --force"
        )
        return steps.wait(model, now, Alarm.NO_PRIMARY, text)
    return _alone(model, now, Via.DIRECT, on_silence=on_silence)


def _alone(model: Model, now: float, via: Via, *, on_silence: bool) -> Step:
    """Lead without the peer; if it is known to have led since, say so."""
    older = model.durable.epoch > model.primacy or model.durable.released
    since = f", of {model.data_from}," if model.data_from else ""
    text = (
        f"led alone with generation {model.durable.history.number}{since} although the other node "
        f"has led since (epoch {model.durable.epoch}): what it wrote is not here"
    )
    model, standing = stand(model, now, via, on_silence=on_silence)
    if older and model.state in (State.CLAIMING, State.CANDIDATE):
        return model, (RaiseAlarm(Alarm.OLD_DATA, text), *standing)
    return model, standing


def takeover(model: Model, event: TakeoverAsked, now: float) -> Step:
    """An operator vouches that nobody else leads: lead (B3)."""
    name = steps.peer_name(model)
    if model.session is not None:
        text = f"{name} is primary, and answers: run sbs switchover on it"
        return model, (Answer(event.ticket, text),)
    if not event.force:
        text = (
            f"whether {name} still serves is not known here; make sure that it is off, or cannot "
            "be reached by anybody, then: sbs takeover --force"
        )
        return model, (Answer(event.ticket, text),)
    model, claiming = steps.claim(model, now, Via.FORCED)
    return attrs.evolve(model, ticket=event.ticket), claiming


def refuse_takeover(model: Model, event: TakeoverAsked, _now: float) -> Step:
    """Only a node that does not lead can take over."""
    text = f"{model.settings.name} is {model.state.value}; there is nothing to take over"
    return model, (Answer(event.ticket, text),)
