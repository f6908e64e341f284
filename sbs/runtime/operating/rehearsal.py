"""What has to be in order before a switchover: looked at first, and alone by a dry run (B6)."""

from __future__ import annotations

from sbs.core.guard import Held
from sbs.core.role import Model, State
from sbs.errors import RefusedError
from sbs.runtime import clock
from sbs.runtime.operating.status import Switchover


def rehearse(model: Model, held: Held | None, waits: str, failed: str) -> Switchover:
    """Look whether the roles could be exchanged now.

    Args:
        model: of this node.
        held: by the guard: the last update would be held as well (B22).
        waits: why it would wait for the update scripts; empty: it would not (R25).
        failed: why the last update failed; empty: it did not. The one of the switchover would,
            too, and the services would have stopped for nothing.

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
    if held is not None:
        raise RefusedError(held.text)
    if waits:
        raise RefusedError(f"{waits}; when that is mended: sbs sync")
    if failed:
        raise RefusedError(f"the last update failed: {failed}; when that is mended: sbs sync")
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
