"""Handlers of a primacy: CLAIMING, STARTING, PRIMARY."""

from __future__ import annotations

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Claim, Mode
from sbs.core.effects import (
    Answer,
    ClearAlarm,
    Close,
    Effect,
    RaiseAlarm,
    Refuse,
    SendPause,
    SendServing,
    SendTaken,
    SendWelcome,
    StartServices,
    StopServices,
    Via,
)
from sbs.core.election import came_first, elect, same_node
from sbs.core.events import (
    ActiveChanged,
    ConnectionLost,
    DialFailed,
    DialRejected,
    FollowAsked,
    GenerationAcknowledged,
    GenerationHeld,
    GenerationProposed,
    Heard,
    PeerFenced,
    PeerMet,
    Saved,
    ServicesStarted,
    StopAsked,
    SwitchoverAsked,
    TimePassed,
    TurnedAway,
)
from sbs.core.history import Generation
from sbs.core.messages import Code
from sbs.core.role import steps
from sbs.core.role.model import Model, State
from sbs.core.role.steps import Step

_OVER = (
    Alarm.NO_PRIMARY,
    Alarm.NO_GENERATION,
    Alarm.PRIMARY_LOST,
    Alarm.NO_VOTE,
    Alarm.FENCE_FAILED,
)
"""What does not trouble a primary."""

_OVER_WITH_SECONDARY = (
    Alarm.NO_SECONDARY,
    Alarm.DUAL_PRIMARY,
    Alarm.HANDOVER_FAILED,
    Alarm.OLD_DATA,
)
"""What does not trouble one that has a secondary."""


def claim_saved(model: Model, event: Saved, now: float) -> Step:
    """The epoch is durable: start the services and welcome the follower (B2)."""
    if event.serial < model.serial:
        return model, ()
    if model.outdated:
        return steps.claim(
            model,
            now,
            Via.RENEWED,
            votes=model.votes,
            session=model.session,
            relieves=model.relieves,
        )
    if now >= model.authority_until:
        return steps.probe(model, now, "the votes ran out before the primacy began")
    via = Via.DIRECT if model.via is None else model.via
    waiting = _greet(model)
    votes = attrs.evolve(model.votes, ask_at=now)
    model = attrs.evolve(
        model, state=State.STARTING, heard_at=now, dial_at=now, relieves=None, votes=votes
    )
    return model, (
        steps.tell(model, via.value),
        *map(ClearAlarm, _OVER),
        *waiting,
        StartServices(model.primacy, model.durable.active or ()),
    )


def _greet(model: Model) -> tuple[Effect, ...]:
    """Tell those who wait for this primacy that it has begun."""
    effects: tuple[Effect, ...] = ()
    if model.relieves is not None:
        effects = (SendTaken(model.relieves, model.primacy),)
    if model.session is not None:
        clearing = map(ClearAlarm, _OVER_WITH_SECONDARY)
        effects = (*effects, *clearing, *_welcome(model, model.session))
    return effects


def _welcome(model: Model, connection: int) -> tuple[Effect, ...]:
    """Begin a session as leader; what changed since the hellos is told again."""
    effects: tuple[Effect, ...] = (SendWelcome(connection, model.primacy, model.durable.history),)
    if model.peer is None or model.durable.pause != model.peer.pause:
        effects = (*effects, SendPause(connection, model.durable.pause))
    if model.state is State.PRIMARY:
        effects = (*effects, SendServing(connection, model.primacy))
    return effects


def claiming_generation_held(model: Model, event: GenerationHeld, _now: float) -> Step:
    """The last generation was committed in the instant of the takeover: it counts."""
    begun = Generation(model.primacy, event.history.number)
    return steps.save(model, history=event.history.append(begun), active=event.active)


def claiming_follow_asked(model: Model, event: FollowAsked, now: float) -> Step:
    """A follower comes early: welcome it when the epoch is durable."""
    refusal = _unfit(model, event)
    if refusal:
        return model, refusal
    model, noting = steps.note_peer(model, event.claim)
    model, closing = _replace_session(model, event.connection, now)
    return model, (*noting, *closing)


def follow_asked(model: Model, event: FollowAsked, now: float) -> Step:
    """Take the peer as secondary, or step down if it knows better (R1, B1)."""
    refusal = _unfit(model, event)
    if refusal:
        return model, refusal
    model, noting = steps.note_peer(model, event.claim)
    if model.outdated:
        text = f"epoch {model.primacy} is over; {model.durable.epoch} was seen"
        model, renewing = renew(model)
        return model, (*noting, Refuse(event.connection, Code.STALE, text), *renewing)
    if not elect(model.claim, event.claim).leads:
        text = f"{event.claim.name} holds newer data and must lead"
        model, demoting = demote(model, text)
        return model, (*noting, Refuse(event.connection, Code.NOT_PRIMARY, text), *demoting)
    model, recovering = _late_acknowledgement(model, event)
    model, closing = _replace_session(model, event.connection, now)
    return model, (
        *noting,
        *recovering,
        *closing,
        *map(ClearAlarm, _OVER_WITH_SECONDARY),
        *_welcome(model, event.connection),
    )


def _unfit(model: Model, event: FollowAsked) -> tuple[Effect, ...]:
    mine, theirs = model.claim, event.claim
    if same_node(mine, theirs):
        return steps.refuse_identity(model, event.connection)
    if why := steps.clash(mine, theirs):
        return steps.refuse_clash(event.connection, why)
    return _intruding(model, event.connection, theirs)


def _intruding(model: Model, connection: int, theirs: Claim) -> tuple[Effect, ...]:
    """A third node: while the session stands, nothing that it says counts."""
    if model.session is None or model.peer is None or model.peer.node_id == theirs.node_id:
        return ()
    text = f"{model.settings.name} has a secondary already: {model.peer.name}"
    return (Refuse(connection, Code.BUSY, text),)


def _replace_session(model: Model, connection: int, now: float) -> Step:
    closing = () if model.session is None else (Close(model.session),)
    model = attrs.evolve(
        model,
        session=connection,
        heard_at=now,
        in_step=False,
        failback_at=None,
        votes=attrs.evolve(model.votes, asked=(), ask_at=now, heard=0),
    )
    return model, closing


def _late_acknowledgement(model: Model, event: FollowAsked) -> Step:
    """The follower holds what was proposed; only its answer was lost with the connection."""
    tip = event.claim.history.tip
    if model.proposed is None or tip != model.proposed:
        return model, ()
    model, saving = steps.save(model, history=model.durable.history.append(model.proposed))
    return attrs.evolve(model, proposed=None), saving


def peer_met(model: Model, event: PeerMet, now: float) -> Step:
    """Two primaries are one too many: the rule decides which stays (B1, B4)."""
    model = steps.met(model, event)
    model = attrs.evolve(model, dial_at=now + model.settings.heartbeat_interval_s)
    mine, theirs = model.claim, event.claim
    if same_node(mine, theirs):
        return model, steps.refuse_identity(model, event.connection)
    if intruding := _intruding(model, event.connection, theirs):
        return model, intruding
    why = steps.clash(mine, theirs)
    if why and came_first(mine, theirs):
        return model, steps.refuse_clash(event.connection, why)
    model, noting = steps.note_peer(model, theirs)
    closing = steps.close_dialled(event)
    decision = elect(model.claim, theirs)
    alarm: tuple[Effect, ...] = ()
    if theirs.primary:
        winner, loser = (mine, theirs) if decision.leads else (theirs, mine)
        text = (
            f"{mine.name} (epoch {model.primacy}) and {theirs.name} (epoch {theirs.epoch}) were "
            f"both primary; {winner.name} stays by {decision.reason.value}, {loser.name} stops"
        )
        alarm = (RaiseAlarm(Alarm.DUAL_PRIMARY, text),)
    if not decision.leads:
        model, demoting = demote(model, f"{theirs.name} leads by {decision.reason.value}")
        return model, (*noting, *closing, *alarm, *demoting)
    if model.outdated and model.state is not State.CLAIMING:
        model, renewing = renew(model)
        return model, (*noting, *closing, *alarm, *renewing)
    return model, (*noting, *closing, *alarm)


def demote(model: Model, reason: str) -> Step:
    """Give way to another primary: stop the services, then follow it."""
    model, closing = steps.drop_connections(model)
    model = attrs.evolve(model, state=State.DEMOTING)
    return model, (*closing, steps.tell(model, reason), StopServices())


def renew(model: Model) -> Step:
    """Start the services anew under an epoch above every one that was seen (B2)."""
    model, closing = steps.drop_connections(model)
    return attrs.evolve(model, state=State.RENEWING), (*closing, StopServices())


def time_passed(model: Model, _event: TimePassed, now: float) -> Step:
    """Drop a silent follower, look for a missing one."""
    if model.session is not None:
        if now < model.heard_at + model.settings.down_interval_s:
            return model, ()
        closing = Close(model.session)
        model, losing = _follower_lost(model, now, "was silent for the down interval")
        return model, (closing, *losing)
    if model.dial_at is not None and now >= model.dial_at:
        return steps.dial(model)
    return model, ()


def primary_time(model: Model, event: TimePassed, now: float) -> Step:
    """Give the role back when it is time (B5); else look after the follower."""
    if model.failback_at is not None and now >= model.failback_at:
        if model.durable.pause.on:
            later = now + model.settings.heartbeat_interval_s
            return time_passed(attrs.evolve(model, failback_at=later), event, now)
        return drain(attrs.evolve(model, failback_at=None))
    return time_passed(model, event, now)


def dial_failed(model: Model, _event: DialFailed | DialRejected | PeerFenced, now: float) -> Step:
    """No secondary there: look again at the next heartbeat, so that two primaries meet."""
    pause = model.settings.heartbeat_interval_s
    model = attrs.evolve(model, dialling=False, dial_at=now + pause)
    if model.session is not None:
        return model, ()
    text = "no secondary: nothing is replicated, and nothing can take over"
    return model, (RaiseAlarm(Alarm.NO_SECONDARY, text),)


def connection_lost(model: Model, event: ConnectionLost, now: float) -> Step:
    """The follower is gone: serve on, and look for it."""
    if event.connection == model.relieves:
        return attrs.evolve(model, relieves=None), ()
    if event.connection != model.session:
        return model, ()
    return _follower_lost(model, now, "closed the connection")


def turned_away(model: Model, event: TurnedAway, now: float) -> Step:
    """The follower refused to go on."""
    if event.connection != model.session:
        return model, ()
    return _follower_lost(model, now, f"refused: {event.text}")


def _follower_lost(model: Model, now: float, how: str) -> Step:
    name = "the secondary" if model.peer is None else model.peer.name
    model = attrs.evolve(model, session=None, in_step=False, failback_at=None, dial_at=now)
    return model, (RaiseAlarm(Alarm.NO_SECONDARY, f"{name} {how}; nothing can take over"),)


def heard(model: Model, _event: Heard, now: float) -> Step:
    """The follower lives."""
    return attrs.evolve(model, heard_at=max(model.heard_at, now)), ()


def services_started(model: Model, event: ServicesStarted, _now: float) -> Step:
    """Serve."""
    model, saving = steps.save(attrs.evolve(model, state=State.PRIMARY), active=event.active)
    model, answering = steps.answer(model)
    told = () if model.session is None else (SendServing(model.session, model.primacy),)
    return model, (*saving, *answering, *told)


def active_changed(model: Model, event: ActiveChanged, _now: float) -> Step:
    """Remember what a takeover starts (R32); whoever stops the last ends the grant (R43)."""
    granted = model.durable.granted and bool(event.active)
    return steps.save(model, active=event.active, granted=granted)


def generation_proposed(model: Model, event: GenerationProposed, _now: float) -> Step:
    """Remember it, in case its acknowledgement is lost."""
    return attrs.evolve(model, proposed=event.generation), ()


def generation_acknowledged(model: Model, event: GenerationAcknowledged, now: float) -> Step:
    """The follower is in step; a ``primary-only`` one gets the role back in time (R4, B5)."""
    if event.generation != model.proposed:
        return model, ()
    model, saving = steps.save(model, history=model.durable.history.append(event.generation))
    first = not model.in_step
    model = attrs.evolve(model, in_step=True, proposed=None)
    theirs, mine = model.peer, model.settings
    if not first or theirs is None or not mine.failback or theirs.mode is not Mode.PRIMARY_ONLY:
        return model, saving
    recent = [at for at in model.takeovers if now - at < steps.TAKEOVER_WINDOW_S]
    if len(recent) >= steps.MAX_TAKEOVERS:
        text = (
            f"{theirs.name} was replaced {len(recent)} times within an hour: the role does not go "
            "back by itself. Find out why it fails; then: sbs switchover"
        )
        return model, (*saving, RaiseAlarm(Alarm.FLAPPING, text))
    return attrs.evolve(model, failback_at=now + mine.failback_delay_s), saving


def stop_while_claiming(model: Model, _event: StopAsked, _now: float) -> Step:
    """End: nothing runs yet."""
    return steps.leave(model)


def stop(model: Model, _event: StopAsked, _now: float) -> Step:
    """Hand over, then end (R8)."""
    return drain(attrs.evolve(model, stopping=True))


def switchover(model: Model, event: SwitchoverAsked, _now: float) -> Step:
    """Hand over, then follow (B6)."""
    if model.session is None or not model.in_step:
        text = "there is no secondary that holds a complete generation; see sbs status"
        return model, (Answer(event.ticket, text),)
    return drain(attrs.evolve(model, ticket=event.ticket))


def drain(model: Model) -> Step:
    """Stop the services; what they leave behind goes with the last update (R8)."""
    return attrs.evolve(model, state=State.DRAINING), (StopServices(),)
