"""Steps that the handlers of several states share; each takes a model and returns a step."""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from sbs.core.claim import Claim
from sbs.core.effects import (
    Alarm,
    Answer,
    ClearAlarm,
    Close,
    Dial,
    Effect,
    Exit,
    RaiseAlarm,
    Refuse,
    Save,
    TellRole,
    Via,
)
from sbs.core.election import agreed_slot, mode_alone, modes_clash
from sbs.core.events import PeerMet
from sbs.core.history import Generation
from sbs.core.messages import Code
from sbs.core.role.model import Model, State

Step: TypeAlias = tuple[Model, tuple[Effect, ...]]

RETRY_S = 0.02
"""Pause before dialling again a peer that was there a moment ago: a takeover waits for it."""


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


def probe(model: Model, now: float, reason: str) -> Step:
    """Look for the peer as at a start, and decide by what it answers (R1)."""
    model, probing = undecide(model, now, reason)
    model, dialling = dial(model)
    return model, (*probing, *dialling)


def undecide(model: Model, now: float, reason: str) -> Step:
    """Forget what was decided; a new probe time begins."""
    model, closing = drop_connections(model)
    model = attrs.evolve(
        model,
        state=State.PROBING,
        peer=None,
        probe_until=now + model.settings.probe_timeout_s,
        in_step=False,
        via=None,
    )
    return model, (*closing, tell(model, reason))


def wait(model: Model, now: float, alarm: Alarm, reason: str) -> Step:
    """Wait for a primary (R5)."""
    model, closing = drop_connections(model)
    model = attrs.evolve(
        model, state=State.WAITING, dial_at=now + model.settings.heartbeat_interval_s
    )
    return model, (*closing, tell(model, reason), RaiseAlarm(alarm, reason))


def claim(
    model: Model,
    via: Via,
    *,
    on_silence: bool = False,
    session: int | None = None,
    relieves: int | None = None,
) -> Step:
    """Begin a primacy: its number must be durable before anything else happens (B2).

    After a takeover the services that were active before start, else those enabled (R7, R32).
    """
    model, closing = drop_connections(model, but=(session, relieves))
    active = model.durable.active
    if active is None or not via.takeover:
        active = model.settings.enabled
    epoch = model.durable.epoch.next(model.durable.slot)
    history = model.durable.history.append(Generation(epoch, model.durable.history.number))
    model, saving = save(
        model, epoch=epoch, history=history, held=True, on_silence=on_silence, active=active
    )
    model = attrs.evolve(
        model,
        state=State.CLAIMING,
        via=via,
        session=session,
        relieves=relieves,
        in_step=False,
        proposed=None,
        failback_at=None,
    )
    return model, (*closing, *saving)


def drop_connections(model: Model, but: tuple[int | None, ...] = ()) -> Step:
    """Close the session and what is asked on, except those named."""
    closing = tuple(
        Close(connection)
        for connection in (model.session, model.asking, model.relieves)
        if connection is not None and connection not in but
    )
    return attrs.evolve(model, session=None, asking=None, asked_until=None, relieves=None), closing


def leave(model: Model, refusal: str = "") -> Step:
    """End the node: a primacy it held is given back (R43)."""
    active = None if model.durable.held else model.durable.active
    model, saving = save(model, held=False, active=active)
    model, closing = drop_connections(model)
    model, answering = answer(model, "the node was stopped meanwhile")
    model = attrs.evolve(model, state=State.STOPPED)
    reason = refusal or "stopped as asked"
    return model, (*closing, *saving, *answering, tell(model, reason), Exit(refusal))


def tell(model: Model, reason: str) -> TellRole:
    """The role to show now; a primacy shows only once it is durable."""
    return TellRole(model.state.role, model.durable.epoch, reason)


def answer(model: Model, error: str = "") -> Step:
    """Answer the operator's request that is open, if any."""
    if model.ticket is None:
        return model, ()
    return attrs.evolve(model, ticket=None), (Answer(model.ticket, error),)


def note_peer(model: Model, peer: Claim) -> Step:
    """Remember what a peer that may run beside this node says of itself, and agree on slots.

    An "only" mode that stands alone is warned of (R6); a clash of before is over.
    """
    mine = model.claim
    model, saving = save(
        model,
        slot=agreed_slot(mine, peer),
        epoch=max(model.durable.epoch, peer.epoch),
    )
    warning: Effect = ClearAlarm(Alarm.MODE_ALONE)
    if mode_alone(mine, peer):
        text = (
            f"{mine.name} is {mine.mode.value} and {peer.name} is {peer.mode.value}: "
            "primary-only and backup-only belong together, one on each node"
        )
        warning = RaiseAlarm(Alarm.MODE_ALONE, text)
    over = () if modes_clash(mine, peer) else (ClearAlarm(Alarm.MODE_CLASH),)
    effects = (*saving, warning, *over, ClearAlarm(Alarm.SAME_IDENTITY))
    return attrs.evolve(model, peer=peer), effects


def met(model: Model, event: PeerMet) -> Model:
    """A dial, if this was one, has ended."""
    return attrs.evolve(model, dialling=False) if event.dialled else model


def close_dialled(event: PeerMet) -> tuple[Effect, ...]:
    """Close a connection that served its purpose; one that was accepted is the peer's to close."""
    return (Close(event.connection),) if event.dialled else ()


def clash_text(mine: Claim, theirs: Claim) -> str:
    """R6: what the administrator has to change."""
    return (
        f"both nodes are {mine.mode.value}: {mine.name} and {theirs.name}; set node.mode to "
        "primary-only on one and backup-only on the other, or to symmetric on both"
    )


def identity_text(mine: Claim) -> str:
    """Both nodes are one."""
    return (
        f"the peer has this node's identity {mine.node_id}: node.peer leads back to this node, or "
        "one node's state_dir was copied from the other; remove state_dir on the copy"
    )


def refuse_clash(model: Model, connection: int, theirs: Claim) -> tuple[Effect, ...]:
    """Keep what runs, and say why the other may not (R6)."""
    text = clash_text(model.claim, theirs)
    return (Refuse(connection, Code.MODE, text), RaiseAlarm(Alarm.MODE_CLASH, text))


def refuse_identity(model: Model, connection: int) -> tuple[Effect, ...]:
    """Keep what runs; the other is a copy of this node."""
    text = identity_text(model.claim)
    return (Refuse(connection, Code.IDENTITY, text), RaiseAlarm(Alarm.SAME_IDENTITY, text))
