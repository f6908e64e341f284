"""Steps that the handlers of several states share; each takes a model and returns a step."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Claim
from sbs.core.effects import (
    Answer,
    ClearAlarm,
    Close,
    Dial,
    Effect,
    Exit,
    LeaveWitness,
    RaiseAlarm,
    Refuse,
    Save,
    SendFollow,
    TellRole,
    Via,
)
from sbs.core.election import agreed_slot, mode_alone, modes_clash, policies_clash
from sbs.core.epoch import NO_EPOCH
from sbs.core.events import PeerMet
from sbs.core.history import Generation
from sbs.core.licence import is_granted
from sbs.core.messages import Code
from sbs.core.role.model import Model, State
from sbs.core.role.votes import Votes

Step: TypeAlias = tuple[Model, tuple[Effect, ...]]

MAX_TAKEOVERS = 3
"""Takeovers within :data:`TAKEOVER_WINDOW_S` after which a role no longer goes back by itself: a
main server that fails so often would only take the services down again."""

TAKEOVER_WINDOW_S = 3600.0
"""For how long takeovers count as recent."""


def save(model: Model, *, always: bool = False, **changes: Any) -> Step:
    """Change the durable state and have it saved; nothing if it does not differ.

    Args:
        model: before.
        always: save it all the same: somebody waits to hear that it is durable.
        changes: fields of the durable state.
    """
    durable = attrs.evolve(model.durable, **changes)
    if durable == model.durable and not always:
        return model, ()
    serial = model.serial + 1
    return attrs.evolve(model, durable=durable, serial=serial), (Save(serial, durable),)


def dial(model: Model) -> Step:
    """Dial now, unless a dial is under way."""
    if model.dialling:
        return model, ()
    model = attrs.evolve(model, dialling=True, dial_at=None)
    return model, (Dial(model.settings.dial_timeout_s),)


def look_again(model: Model, now: float) -> Step:
    """Give up a question that was not answered; dial if it is time."""
    if model.asking is not None and model.asked_until is not None and now >= model.asked_until:
        asked = model.asking
        model = attrs.evolve(model, asking=None, asked_until=None)
        model, dialling = dial(model)
        return model, (Close(asked), *dialling)
    due = model.dial_at is not None and now >= model.dial_at
    if due and model.session is None and model.asking is None:
        return dial(model)
    return model, ()


def probe(model: Model, now: float, reason: str) -> Step:
    """Look for the peer as at a start, and decide by what it answers (R1)."""
    model, probing = undecide(model, now, reason)
    model, dialling = dial(model)
    return model, (*probing, *dialling)


def undecide(model: Model, now: float, reason: str) -> Step:
    """Forget what was decided; a new probe time begins."""
    model, closing = drop_connections(model)
    model, ending = end_term(model)
    model, answering = answer(model, reason)
    model = attrs.evolve(
        model,
        state=State.PROBING,
        peer=None,
        probe_until=now + model.settings.probe_timeout_s,
        in_step=False,
        via=None,
    )
    return model, (*closing, *ending, *answering, tell(model, reason))


def answered(model: Model, now: float) -> Model:
    """The peer answers: that is no absence, whatever becomes of the connection."""
    return attrs.evolve(model, heard_at=now, probe_until=now + model.settings.probe_timeout_s)


def reconsider(model: Model, now: float, reason: str) -> Step:
    """Look for the peer anew; what is held of a lost primary's data still counts."""
    in_step = model.in_step
    model, probing = probe(model, now, reason)
    return attrs.evolve(model, in_step=in_step), probing


def wait(model: Model, now: float, alarm: Alarm, reason: str) -> Step:
    """Wait for a primary (R5)."""
    model, closing = drop_connections(model)
    model, ending = end_term(model)
    model, answering = answer(model, reason)
    model = attrs.evolve(
        model, state=State.WAITING, dial_at=now + model.settings.heartbeat_interval_s
    )
    return model, (*closing, *ending, *answering, tell(model, reason), RaiseAlarm(alarm, reason))


def end_term(model: Model) -> Step:
    """A candidacy or a primacy is over: no vote counts any more, and the witness is told."""
    votes = model.votes
    asked = votes.ballot is not None or votes.witness_until > -math.inf
    leaving = (LeaveWitness(votes.term),) if asked else ()
    model = attrs.evolve(
        model, votes=votes.end_term(), forced=False, fencing=False, fenced=False, fence_at=None
    )
    return model, leaving


def claim(
    model: Model,
    now: float,
    via: Via,
    *,
    votes: Votes | None = None,
    on_silence: bool = False,
    session: int | None = None,
    relieves: int | None = None,
) -> Step:
    """Begin a primacy: its number must be durable before anything else happens (B2).

    After a takeover the services that were active before start, else those enabled (R7, R32).

    Args:
        model: before.
        now: seconds.
        via: how it came about.
        votes: with which it begins; none if left out.
        on_silence: the other node was not heard, and may lead as well.
        session: the connection of a follower that waits to be welcomed.
        relieves: the connection on which the former primary waits for Taken.
    """
    model, closing = drop_connections(model, but=(session, relieves))
    model, answering = answer(model, "the other node was lost; this one leads again")
    active = model.durable.active
    if active is None or not via.takeover:
        active = model.settings.enabled
    granted = is_granted(
        via,
        before=model.durable.held and model.durable.granted,
        # The epoch tells of a primary also while none of its generations is held yet.
        other_led=model.durable.epoch > NO_EPOCH and not model.last_primary,
    )
    epoch = model.durable.epoch.next(model.durable.slot)
    history = model.durable.history.append(Generation(epoch, model.durable.history.number))
    model, saving = save(
        model,
        epoch=epoch,
        history=history,
        held=True,
        on_silence=on_silence,
        active=active,
        released=False,
        granted=granted,
    )
    takeovers = (*model.takeovers, now)[-MAX_TAKEOVERS:] if via.unasked else model.takeovers
    model = attrs.evolve(
        model,
        state=State.CLAIMING,
        via=via,
        votes=votes or model.votes.new_term(now),
        forced=via is Via.FORCED or (via is Via.RENEWED and model.forced),
        fencing=False,
        fenced=False,
        fence_at=None,
        takeovers=takeovers,
        session=session,
        relieves=relieves,
        in_step=False,
        proposed=None,
        failback_at=None,
    )
    return model, (*closing, *answering, *saving)


def drop_connections(model: Model, but: tuple[int | None, ...] = ()) -> Step:
    """Close the session and what is asked on, except those named."""
    closing = tuple(
        Close(connection)
        for connection in (model.session, model.asking, model.relieves)
        if connection is not None and connection not in but
    )
    return attrs.evolve(model, session=None, asking=None, asked_until=None, relieves=None), closing


def leave(model: Model, refusal: str = "", kept: str = "") -> Step:
    """End the node: a primacy it held is given back (R43), unless a pause keeps it here (B6).

    Args:
        model: where the machine stands.
        refusal: why it may not run; empty: it ends as asked.
        kept: see :class:`~sbs.core.effects.Exit`.
    """
    held = model.durable.held and model.durable.pause.on
    active = None if model.durable.held and not held else model.durable.active
    model, saving = save(model, held=held, active=active)
    model, closing = drop_connections(model)
    model, ending = end_term(model)
    model, answering = answer(model, "the node was stopped meanwhile")
    model = attrs.evolve(model, state=State.STOPPED)
    reason = refusal or ("stopped as asked" + (f"; not handed over: {kept}" if kept else ""))
    told = tell(model, reason)
    return model, (*closing, *ending, *saving, *answering, told, Exit(refusal, kept))


def send_follow(model: Model, connection: int, now: float) -> Step:
    """Ask the peer to lead: a vote for it, after which this node keeps still for a while (B3)."""
    votes = model.votes.pledge(now, model.settings.hold_s)
    until = now + model.settings.down_interval_s
    model = attrs.evolve(model, asking=connection, asked_until=until, votes=votes)
    return model, (SendFollow(connection, model.durable.epoch),)


def tell(model: Model, reason: str) -> TellRole:
    """The role to show now; a primacy shows only once it is durable."""
    return TellRole(model.state.role, model.durable.epoch, reason)


def answer(model: Model, error: str = "") -> Step:
    """Answer the operator's request that is open, if any."""
    if model.ticket is None:
        return model, ()
    return attrs.evolve(model, ticket=None), (Answer(model.ticket, error),)


def note_peer(model: Model, peer: Claim) -> Step:
    """Remember what a peer that may run beside this node says of itself.

    Slots are agreed on; the newer pause counts for both (B6). An "only" mode that stands alone is
    warned of (R6); a clash of before is over.
    """
    mine = model.claim
    model, saving = save(
        model,
        slot=agreed_slot(mine, peer),
        epoch=max(model.durable.epoch, peer.epoch),
        pause=max(model.durable.pause, peer.pause),
    )
    warning: Effect = ClearAlarm(Alarm.MODE_ALONE)
    if mode_alone(mine, peer):
        text = (
            f"{mine.name} is {mine.mode.value} and {peer.name} is {peer.mode.value}: "
            "primary-only and backup-only belong together, one on each node"
        )
        warning = RaiseAlarm(Alarm.MODE_ALONE, text)
    fits = clash(mine, peer) is None
    over = map(ClearAlarm, (Alarm.MODE_CLASH, Alarm.POLICY_CLASH) if fits else ())
    effects = (*saving, warning, *over, ClearAlarm(Alarm.SAME_IDENTITY))
    return attrs.evolve(model, peer=peer), effects


def peer_name(model: Model) -> str:
    """The other node, as people know it."""
    return "the primary" if model.peer is None else model.peer.name


def met(model: Model, event: PeerMet) -> Model:
    """A dial, if this was one, has ended."""
    return attrs.evolve(model, dialling=False) if event.dialled else model


def close_dialled(event: PeerMet) -> tuple[Effect, ...]:
    """Close a connection that served its purpose; one that was accepted is the peer's to close."""
    return (Close(event.connection),) if event.dialled else ()


@attrs.frozen
class Clash:
    """Why two nodes may not run together."""

    code: Code
    alarm: Alarm
    text: str


def clash(mine: Claim, theirs: Claim) -> Clash | None:
    """What the administrator has to change before these two make a pair (R6, B3)."""
    if modes_clash(mine, theirs):
        text = (
            f"both nodes are {mine.mode.value}: {mine.name} and {theirs.name}; set node.mode to "
            "primary-only on one and backup-only on the other, or to symmetric on both"
        )
        return Clash(Code.MODE, Alarm.MODE_CLASH, text)
    if policies_clash(mine, theirs):
        text = (
            f"failover.partition_policy is {mine.policy.value} on {mine.name} (witness "
            f"{mine.witness or 'none'}), and {theirs.policy.value} on {theirs.name} (witness "
            f"{theirs.witness or 'none'}); set it, witness.adapter and witness.pair alike on both"
        )
        return Clash(Code.POLICY, Alarm.POLICY_CLASH, text)
    return None


def identity_text(mine: Claim) -> str:
    """Both nodes are one."""
    return (
        f"the peer has this node's identity {mine.node_id}: node.peer leads back to this node, or "
        "one node's state_dir was copied from the other; remove state_dir on the copy"
    )


def refuse_clash(connection: int, why: Clash) -> tuple[Effect, ...]:
    """Keep what runs, and say why the other may not (R6)."""
    return (Refuse(connection, why.code, why.text), RaiseAlarm(why.alarm, why.text))


def refuse_identity(model: Model, connection: int) -> tuple[Effect, ...]:
    """Keep what runs; the other is a copy of this node."""
    text = identity_text(model.claim)
    return (Refuse(connection, Code.IDENTITY, text), RaiseAlarm(Alarm.SAME_IDENTITY, text))
