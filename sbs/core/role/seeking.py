"""Handlers of the states without a primacy: PROBING, WAITING, SECONDARY."""

from __future__ import annotations

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Policy
from sbs.core.effects import (
    ClearAlarm,
    Close,
    RaiseAlarm,
    Refuse,
    TakeUpdates,
    Via,
)
from sbs.core.election import came_first, elect, same_node
from sbs.core.events import (
    ConnectionLost,
    DialFailed,
    DialRejected,
    Event,
    FollowAsked,
    GenerationHeld,
    Heard,
    PeerMet,
    PeerServing,
    RoleReleased,
    Started,
    StopAsked,
    TimePassed,
    TurnedAway,
    Welcomed,
)
from sbs.core.history import Relation
from sbs.core.messages import Code
from sbs.core.role import candidacy, steps
from sbs.core.role.model import Model, State
from sbs.core.role.steps import Step

_OVER = (
    Alarm.NO_SECONDARY,
    Alarm.NO_PRIMARY,
    Alarm.NO_GENERATION,
    Alarm.DUAL_PRIMARY,
    Alarm.HANDOVER_FAILED,
    Alarm.PRIMARY_LOST,
    Alarm.NO_VOTE,
    Alarm.WITNESS_LOST,
    Alarm.FENCE_FAILED,
    Alarm.FLAPPING,
    Alarm.OLD_DATA,
)
"""What does not trouble a secondary that follows."""


def start(model: Model, _event: Started, now: float) -> Step:
    """Look for the peer (R1)."""
    # A generation may have become durable before the epoch that made it.
    model, saving = steps.save(model, epoch=max(model.durable.epoch, model.primacy))
    if model.quorum:  # it may have voted just before it was restarted, and forgotten
        votes = attrs.evolve(model.votes, hold_until=now + model.settings.hold_s)
        model = attrs.evolve(model, votes=votes)
    model, probing = steps.probe(model, now, "started; looking for the peer")
    return model, (*saving, *probing)


def probing_time(model: Model, _event: TimePassed, now: float) -> Step:
    """Dial again; at the end of the probe time the peer counts as absent (R1)."""
    if model.probe_until is not None and now >= model.probe_until:
        return candidacy.no_answer(model, now, on_silence=True)
    return steps.look_again(model, now)


def waiting_time(model: Model, _event: TimePassed, now: float) -> Step:
    """Dial again."""
    return steps.look_again(model, now)


def secondary_time(model: Model, _event: TimePassed, now: float) -> Step:
    """Take over after a down interval of silence (R7); else dial again."""
    if now >= model.heard_at + model.settings.down_interval_s:
        return candidacy.primary_lost(model, now, Via.SILENCE)
    return steps.look_again(model, now)


def probing_dial_failed(model: Model, event: DialFailed, now: float) -> Step:
    """Refused, and no sign of the peer: it does not run, so decide at once (R1)."""
    model = attrs.evolve(model, dialling=False)
    if event.refused and model.peer is None:
        return candidacy.no_answer(model, now, on_silence=False)
    return attrs.evolve(model, dial_at=now + _pause(model)), ()


def waiting_dial_failed(model: Model, _event: DialFailed, now: float) -> Step:
    """Nobody there: try again at the next heartbeat."""
    pause = model.settings.heartbeat_interval_s
    return attrs.evolve(model, dialling=False, dial_at=now + pause), ()


def secondary_dial_failed(model: Model, event: DialFailed, now: float) -> Step:
    """Refused by a host whose services die with SBS: the primary is gone, take over at once.

    Unless a forged refusal must not make two of them: then it is silence like any other.
    """
    model = attrs.evolve(model, dialling=False)
    if model.session is not None:  # of a dial from before
        return model, ()
    trusted = model.settings.policy is Policy.AVAILABILITY
    if trusted and event.refused and model.peer is not None and model.peer.services_die:
        return candidacy.primary_lost(model, now, Via.REFUSED)
    return attrs.evolve(model, dial_at=now + _pause(model)), ()


def rejected(model: Model, _event: DialRejected, now: float) -> Step:
    """The peer runs, and may serve: that is no silence (B1). Under quorum votes decide."""
    model = attrs.evolve(model, dialling=False)
    if model.session is not None:  # of a dial from before
        return model, ()
    if not model.quorum:  # else it may have lost the witness, and with it its services
        model = steps.answered(model, now)
    return attrs.evolve(model, dial_at=now + _pause(model)), ()


def _pause(model: Model) -> float:
    return min(model.settings.retry_s, model.settings.heartbeat_interval_s)


def undecided_met(model: Model, event: PeerMet, now: float) -> Step:
    """Compare claims: follow the peer, or wait for it to follow (B1)."""
    model = steps.met(model, event)
    if model.session is not None:
        return model, steps.close_dialled(event)
    mine, theirs = model.claim, event.claim
    if same_node(mine, theirs):
        return steps.leave(model, steps.identity_text(mine))
    if why := steps.clash(mine, theirs):
        return _clashing(model, event, why, now)
    paused = model.durable.pause.on
    model, noting = steps.note_peer(model, theirs)
    reason = ""
    if model.state is State.SECONDARY and not theirs.primary:
        reason = f"{theirs.name} runs again, but not as primary"
    if model.state is State.WAITING and paused and not model.durable.pause.on:
        reason = f"takeovers are allowed again, says {theirs.name}"
    if reason:  # so everything is undecided; yet what is held of a lost primary's data counts (R7)
        in_step = model.in_step
        model, probing = steps.undecide(model, now, reason)
        model = attrs.evolve(model, peer=theirs, in_step=in_step)
        noting = (*noting, *probing)
    model, deciding = _decide(model, event, now)
    return model, (*noting, *deciding)


def _decide(model: Model, event: PeerMet, now: float) -> Step:
    if event.claim.primary:  # however slowly it welcomes
        model = steps.answered(model, now)
    if elect(model.claim, event.claim).leads:
        pause = model.settings.heartbeat_interval_s
        return attrs.evolve(model, dial_at=now + pause), steps.close_dialled(event)
    if model.asking is not None:  # asked already; the answer is on its way
        return model, steps.close_dialled(event)
    if not event.dialled:
        return steps.dial(model)
    return steps.send_follow(model, event.connection, now)


def _clashing(model: Model, event: PeerMet | FollowAsked, why: steps.Clash, now: float) -> Step:
    """R6: of two nodes that make no pair, the later ends."""
    if not came_first(model.claim, event.claim):
        return steps.leave(model, why.text)
    model = attrs.evolve(model, dial_at=now + model.settings.heartbeat_interval_s)
    return model, steps.refuse_clash(event.connection, why)


def undecided_follow_asked(model: Model, event: FollowAsked, now: float) -> Step:
    """The peer has decided that this node leads: become primary."""
    mine, theirs = model.claim, event.claim
    if same_node(mine, theirs):
        return model, steps.refuse_identity(model, event.connection)
    # While the session stands, nothing that a third node says counts.
    if model.session is None and (why := steps.clash(mine, theirs)):
        return _clashing(model, event, why, now)
    if model.session is not None or not elect(mine, theirs).leads:
        text = f"{mine.name} is {mine.role.value}; decide anew"
        return model, (Refuse(event.connection, Code.NOT_PRIMARY, text),)
    if model.settings.policy is not Policy.AVAILABILITY and not _counts(model, event, now):
        text = f"{mine.name} has to wait before it may count this vote; ask again"
        return model, (Refuse(event.connection, Code.BUSY, text),)
    model, noting = steps.note_peer(model, theirs)
    via = Via.YIELDED if model.in_step else Via.FOLLOWED
    via = Via.RESUMED if model.durable.held else via
    until = event.opened_at + model.settings.vote_s
    votes = model.votes.new_term(now, peer_until=until)
    if model.state is State.CANDIDATE:  # what the witness has lent counts on
        votes = attrs.evolve(model.votes, peer_until=until)
    model, claiming = steps.claim(model, now, via, votes=votes, session=event.connection)
    return attrs.evolve(model, heard_at=now), (*noting, *claiming)


def _counts(model: Model, event: FollowAsked, now: float) -> bool:
    """Whether a vote is young enough, and this node has none of its own on the way (B3)."""
    return model.votes.pledged_until <= now < event.opened_at + model.settings.vote_s


def welcomed(model: Model, event: Welcomed, now: float) -> Step:
    """The peer leads: this node is its secondary (R1, R7)."""
    if event.connection != model.asking:
        return model, (Close(event.connection),)
    model = attrs.evolve(model, asking=None, asked_until=None)
    if event.epoch < model.durable.epoch:  # B2: its primacy is over, and it was told so
        model = attrs.evolve(model, dial_at=now + _pause(model))
        text = f"epoch {event.epoch} is over; {model.durable.epoch} was seen"
        return model, (Refuse(event.connection, Code.STALE, text),)
    model, saving = steps.save(model, epoch=event.epoch, held=False, released=False)
    model, ending = steps.end_term(model)
    relation = event.history.relation(model.durable.history)
    model = attrs.evolve(
        model,
        state=State.SECONDARY,
        session=event.connection,
        welcomed_at=now,
        heard_at=now,
        votes=model.votes.follow(),
        will=None,
        # An older generation of the same history is complete, too; another history is not.
        in_step=model.durable.history.tip is not None
        and relation in (Relation.SAME, Relation.AHEAD),
    )
    told = steps.tell(model, f"following {steps.peer_name(model)}")
    return model, (
        *saving,
        *ending,
        told,
        *map(ClearAlarm, _OVER),
        TakeUpdates(event.connection, event.epoch, event.history),
    )


def turned_away(model: Model, event: TurnedAway, now: float) -> Step:
    """Refused: look again at the next heartbeat."""
    if event.connection == model.session:
        return _session_lost(model, now)
    if event.connection != model.asking:
        return model, ()
    pause = model.settings.heartbeat_interval_s
    return attrs.evolve(model, asking=None, asked_until=None, dial_at=now + pause), ()


def connection_lost(model: Model, event: ConnectionLost, now: float) -> Step:
    """The session is gone: see at once whether its primary is (R7)."""
    if event.connection == model.session:
        return _session_lost(model, now)
    if event.connection == model.relieves:
        return attrs.evolve(model, relieves=None), ()
    if event.connection != model.asking:
        return model, ()
    return attrs.evolve(model, asking=None, asked_until=None, dial_at=now + _pause(model)), ()


def _session_lost(model: Model, now: float) -> Step:
    model = attrs.evolve(model, session=None)
    pause = model.settings.heartbeat_interval_s
    if now < model.welcomed_at + pause:  # one that fails at once must not become a busy loop
        return attrs.evolve(model, dial_at=now + pause), ()
    return steps.dial(model)


def heard(model: Model, _event: Heard, now: float) -> Step:
    """The peer lives."""
    return attrs.evolve(model, heard_at=max(model.heard_at, now)), ()


def probing_heard(model: Model, event: Heard, now: float) -> Step:
    """This node did not run for a while, and so did not listen: the probe time begins anew."""
    model, effects = heard(model, event, now)
    return attrs.evolve(model, probe_until=now + model.settings.probe_timeout_s), effects


def generation_held(model: Model, event: GenerationHeld, _now: float) -> Step:
    """A complete generation: from here a takeover loses nothing (B20)."""
    model = attrs.evolve(model, in_step=True)
    # The journal waits for the save; of a generation that was sent again it is the second.
    return steps.save(model, always=True, history=event.history, active=event.active)


def waiting_generation_held(model: Model, event: GenerationHeld, now: float) -> Step:
    """The first generation was being committed when its primary was lost: that is enough (B20)."""
    first = not model.in_step
    model, saving = generation_held(model, event, now)
    if not first or model.durable.pause.on:
        return model, saving
    reason = "a complete generation is held now; looking for the primary"
    model, probing = steps.reconsider(model, now, reason)
    return model, (*saving, *probing)


def role_released(model: Model, event: RoleReleased, now: float) -> Step:
    """The primary gave its role up: take it, if all its data is here (R8)."""
    if event.connection != model.session:
        return model, ()
    if event.epoch < model.durable.epoch:  # B2: it was not its to give any more
        text = f"epoch {event.epoch} is over; {model.durable.epoch} was seen"
        model = attrs.evolve(model, session=None, dial_at=now + _pause(model))
        return model, (Refuse(event.connection, Code.STALE, text),)
    tip = model.durable.history.tip
    if tip is None or event.generation != tip:
        text = (
            f"{steps.peer_name(model)} released its role after generation "
            f"{event.generation or 'none'}, but this node holds {tip or 'none'}; not taken"
        )
        model = attrs.evolve(model, session=None, dial_at=now + _pause(model))
        return model, (Close(event.connection), RaiseAlarm(Alarm.HANDOVER_FAILED, text))
    model = attrs.evolve(model, session=None, relieves=event.connection)
    until = model.votes.granted_at(event.granted) + model.settings.vote_s
    if model.quorum and (event.leaving or now >= until):
        # Its vote is old, or goes away with it: that of the witness has to be had first.
        return candidacy.stand(model, now, Via.RELEASED)
    holder = "" if model.will is None else model.will.holder
    votes = attrs.evolve(model.votes.new_term(now, peer_until=until), replaces=holder)
    return steps.claim(model, now, Via.RELEASED, votes=votes, relieves=event.connection)


def peer_serving(model: Model, event: PeerServing, _now: float) -> Step:
    """The services run on the other node: a switchover is complete (B6)."""
    if event.connection != model.session or event.epoch < model.durable.epoch:
        return model, ()
    return steps.answer(model)


def stop(model: Model, _event: StopAsked, _now: float) -> Step:
    """End."""
    return steps.leave(model)


def ignore(model: Model, _event: Event, _now: float) -> Step:
    """Nothing."""
    return model, ()
