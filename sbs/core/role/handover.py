"""Handlers of the ways out of a primacy: DRAINING, RELEASING, RELEASED, RENEWING, DEMOTING."""

from __future__ import annotations

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Pause
from sbs.core.effects import (
    Answer,
    Close,
    FinalUpdate,
    RaiseAlarm,
    Refuse,
    SendPause,
    SendReleased,
    Via,
)
from sbs.core.events import (
    ConnectionLost,
    DialFailed,
    DialRejected,
    FinalUpdateEnded,
    FollowAsked,
    PauseAsked,
    PauseTold,
    PeerFenced,
    PeerMet,
    RoleTaken,
    Saved,
    ServicesStopped,
    StopAsked,
    SwitchoverAsked,
    TimePassed,
    TurnedAway,
)
from sbs.core.messages import Code
from sbs.core.role import candidacy, steps
from sbs.core.role.model import HOLDING, Model, State
from sbs.core.role.steps import Step


def drained(model: Model, _event: ServicesStopped, now: float) -> Step:
    """Nothing writes any more: send the rest."""
    if model.session is None:
        return _not_relieved(model, now, "no secondary is connected")
    return model, (FinalUpdate(model.session),)


def final_update_ended(model: Model, event: FinalUpdateEnded, now: float) -> Step:
    """The follower has everything: give the role up, durably, unless a pause keeps it (B6)."""
    if model.stopping and model.durable.pause.on:
        return steps.leave(model, kept="automatic takeovers are paused")
    if model.session is None or not event.done:
        because = f" ({event.why})" if event.why else ""
        text = f"the last update did not reach the secondary{because}"
        return _not_relieved(model, now, text)
    model, saving = steps.save(model, held=False, released=True)
    return attrs.evolve(model, state=State.RELEASING), saving


def release_saved(model: Model, event: Saved, now: float) -> Step:
    """Tell the follower that the role is free."""
    if event.serial < model.serial:
        return model, ()
    if model.session is None:
        return _not_relieved(model, now, "the secondary was lost before it could take over")
    released = SendReleased(
        connection=model.session,
        epoch=model.primacy,
        generation=model.durable.history.tip,
        granted=model.votes.heard,
        leaving=model.stopping,
    )
    model, ending = steps.end_term(model)
    model = attrs.evolve(
        model,
        state=State.RELEASED,
        taken_until=now + model.settings.down_interval_s,
        votes=model.votes.pledge(now, model.settings.hold_s),
    )
    told = steps.tell(model, "released; waiting for the secondary to take over")
    return model, (told, released, *ending)


def role_taken(model: Model, event: RoleTaken, now: float) -> Step:
    """Relieved: end, or follow (R8)."""
    if event.connection != model.session or event.epoch <= model.primacy:
        return model, ()
    model, saving = steps.save(model, epoch=max(model.durable.epoch, event.epoch))
    model, relieved = _relieved(model, now)
    return model, (*saving, *relieved)


def released_peer_met(model: Model, event: PeerMet, now: float) -> Step:
    """A peer that calls as primary has taken the role, even if its word was lost."""
    model = steps.met(model, event)
    closing = steps.close_dialled(event)
    if not event.claim.primary:
        return model, closing
    model, noting = steps.note_peer(model, event.claim)
    model, relieved = _relieved(model, now)
    return model, (*noting, *closing, *relieved)


def _relieved(model: Model, now: float) -> Step:
    """The operator's request is answered when the services run there (B6)."""
    model = attrs.evolve(model, taken_until=None)
    if model.stopping:
        model, answering = steps.answer(model)
        model, leaving = steps.leave(model)
        return model, (*answering, *leaving)
    model, closing = steps.drop_connections(model)
    # Whoever took the role holds exactly this node's data.
    model = attrs.evolve(model, state=State.SECONDARY, heard_at=now, in_step=True, via=None)
    model, dialling = steps.dial(model)
    return model, (*closing, steps.tell(model, "handed over"), *dialling)


def _not_relieved(model: Model, now: float, why: str) -> Step:
    """Nobody took the role: end all the same, or decide anew with a new epoch."""
    model = attrs.evolve(model, taken_until=None)
    if model.stopping:
        return steps.leave(model, kept=why)
    model, answering = steps.answer(model, f"{why}; the nodes decide anew who is primary")
    model, saving = steps.save(model, held=True, released=False)
    model, probing = steps.probe(model, now, why)
    alarm = RaiseAlarm(
        Alarm.HANDOVER_FAILED, f"{why}; the services start again where it is decided"
    )
    return model, (*answering, *saving, alarm, *probing)


def released_time(model: Model, _event: TimePassed, now: float) -> Step:
    """The follower did not take the role in a down interval."""
    if model.taken_until is None or now < model.taken_until:
        return model, ()
    return _not_relieved(model, now, "the secondary did not take over within the down interval")


def released_lost(model: Model, event: ConnectionLost | TurnedAway, now: float) -> Step:
    """The follower is gone: it may have taken the role, or not."""
    if event.connection != model.session:
        return model, ()
    return _not_relieved(
        attrs.evolve(model, session=None), now, "the secondary was lost while it took over"
    )


def session_lost(model: Model, event: ConnectionLost | TurnedAway, _now: float) -> Step:
    """Remember it; what is under way ends first."""
    if event.connection != model.session:
        return model, ()
    return attrs.evolve(model, session=None, in_step=False), ()


def silent(model: Model, _event: TimePassed, now: float) -> Step:
    """Drop a silent follower; what is under way ends first."""
    if model.session is None or now < model.heard_at + model.settings.down_interval_s:
        return model, ()
    closing = Close(model.session)
    return attrs.evolve(model, session=None, in_step=False), (closing,)


def busy_peer_met(model: Model, event: PeerMet, _now: float) -> Step:
    """Not now: the peer calls again."""
    return steps.met(model, event), steps.close_dialled(event)


def busy_follow_asked(model: Model, event: FollowAsked, _now: float) -> Step:
    """Not now: the peer asks again."""
    text = f"{model.settings.name} is {model.state.value}; ask again"
    return model, (Refuse(event.connection, Code.BUSY, text),)


def dial_ended(model: Model, _event: DialFailed | DialRejected | PeerFenced, _now: float) -> Step:
    """A dial from before has ended."""
    return attrs.evolve(model, dialling=False), ()


def renewed(model: Model, _event: ServicesStopped, now: float) -> Step:
    """Begin the new primacy."""
    if model.stopping:
        return steps.leave(model, kept="the services were about to start anew, in a new epoch")
    return steps.claim(model, now, Via.RENEWED, votes=model.votes)


def demoted(model: Model, _event: ServicesStopped, now: float) -> Step:
    """Nothing runs here any more: look for the primary."""
    if model.stopping:
        return steps.leave(model)
    model, saving = steps.save(model, held=False)
    model, probing = steps.probe(model, now, "services stopped; looking for the primary")
    return model, (*saving, *probing)


def stop_later(model: Model, _event: StopAsked, _now: float) -> Step:
    """End when the way out is complete."""
    return attrs.evolve(model, stopping=True), ()


def pause(model: Model, event: PauseAsked, now: float) -> Step:
    """Suspend automatic takeovers, or allow them again, on both nodes (B6)."""
    mark = Pause(model.durable.pause.serial + 1, event.on)
    model, saving = steps.save(model, always=True, pause=mark)
    telling = model.session is not None and model.state in _TALKING
    told = (SendPause(model.session, mark),) if telling and model.session is not None else ()
    model, deciding = _resumed(model, now)
    return model, (*saving, *told, Answer(event.ticket), *deciding)


_TALKING = frozenset({State.SECONDARY, State.STARTING, State.PRIMARY, State.DRAINING})
"""States whose session is one for both sides: the rest meet again, and tell each other then."""


def pause_told(model: Model, event: PauseTold, now: float) -> Step:
    """The other node's operator did (B6)."""
    if event.connection != model.session or event.pause <= model.durable.pause:
        return model, ()
    model, saving = steps.save(model, pause=event.pause)
    model, deciding = _resumed(model, now)
    return model, (*saving, *deciding)


def _resumed(model: Model, now: float) -> Step:
    """What was left undone for the pause is done now; what it does not allow is not."""
    if model.state is State.CANDIDATE and model.durable.pause.on:
        return candidacy.heed_pause(model, now)
    if model.durable.pause.on or model.state is not State.WAITING:
        return model, ()
    return steps.reconsider(model, now, "takeovers are allowed again; looking for the primary")


def refuse_switchover(model: Model, event: SwitchoverAsked, _now: float) -> Step:
    """Only a primary that serves can hand over."""
    advice = "try again when it serves" if model.state in HOLDING else "run this on the primary"
    text = f"{model.settings.name} is {model.state.value}: {advice}"
    return model, (Answer(event.ticket, text),)
