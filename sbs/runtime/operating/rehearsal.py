"""What has to be in order before a handover: looked at first, and alone by a dry run (B6)."""

from __future__ import annotations

from sbs.core.alarm import Alarm
from sbs.core.role import Model, State
from sbs.errors import RefusedError
from sbs.runtime import clock
from sbs.runtime.alarms import Alarms
from sbs.runtime.operating.status import Switchover
from sbs.runtime.updating.updates import Updates


def hindrance(updates: Updates, alarms: Alarms) -> str:
    """Why the last update of a handover would not reach the secondary, as far as is known.

    Args:
        updates: of this node: the guard (B22) or the update scripts (R25) hold them back.
        alarms: that stand. If the last update failed, that of the handover would, too, and the
            services would have stopped for nothing.

    Returns:
        the cause, and what to do; empty: nothing is in its way.
    """
    if updates.held_update is not None:
        return updates.held_update.text
    if updates.scripts.holds:
        return f"{updates.scripts.holds}; when that is mended: sbs sync"
    if failed := alarms.text(Alarm.UPDATE_FAILED):
        return f"the last update failed: {failed}; when that is mended: sbs sync"
    return ""


def check_stop(model: Model, hindered: str) -> None:
    """Refuse to stop a primary that has a secondary, and could not hand its role over (R8).

    Args:
        model: of this node.
        hindered: see :func:`hindrance`.

    Raises:
        RefusedError: it is one; the text says why, and how it ends all the same.
    """
    relieved = model.state in (State.STARTING, State.PRIMARY) and model.session is not None
    if relieved and hindered and not model.durable.pause.on:
        raise RefusedError(
            f"{hindered}. Until then the role cannot be handed over; to stop without that: sbs "
            "stop --force"
        )


def rehearse(model: Model, hindered: str) -> Switchover:
    """Look whether the roles could be exchanged now.

    Args:
        model: of this node.
        hindered: see :func:`hindrance`.

    Returns:
        to whom, and what was found, one line each.

    Raises:
        RefusedError: they could not; the text says why.
    """
    name = model.settings.name
    if model.state is State.STOPPED:
        raise RefusedError(f"{name} has ended: start it again with sbs run")
    if model.state is not State.PRIMARY:
        raise RefusedError(
            f"{name} is {model.state.value}: run this on the primary, when it serves"
        )
    peer = model.peer
    if model.session is None or peer is None:
        raise RefusedError(f"{name} has no secondary: start the other node, see sbs probe")
    if hindered:
        raise RefusedError(hindered)
    if not model.in_step:
        raise RefusedError(f"{peer.name} does not hold a complete generation yet: see sbs status")
    services = ", ".join(model.durable.active or ()) or "no services"
    checks = [
        f"{peer.name} follows, and holds generation {model.durable.history.number}",
        f"it would start: {services}",
    ]
    if model.quorum:
        votes = model.votes.witness_until > clock.now()
        answer = "acknowledges" if votes else "does not answer, which the two can do without"
        checks.append(f"the witness {answer}")
    if model.durable.pause.on:
        checks.append("automatic takeovers are paused, which does not hinder a switchover")
    return Switchover(to=peer.name, checks=tuple(checks))
