"""What must hold in every step of a machine.

The numbers are those of the explorer's report, for steps and for pairs (``promises.py``):

- I1: services run on one node at most (B1, B3). Under ``availability`` two may run where silence
  explains it, and everywhere after ``sbs takeover --force``.
- I2: epochs never go back, are durable before services run in them, and none is used twice (B2).
- I3: services start, and run on, only with the right to (B2, B3); no role is taken in a pause (B6).
- I4: whatever acts for an older epoch has no effect (B2).
- I5: after the last fault one primary serves, and the other node follows it (R1, R4).
- I6: what is started was stopped before, and is stopped when the role is left (R31).
"""

from __future__ import annotations

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.epoch import Epoch
from sbs.core.role import Model, State
from sbs.core.role.model import VOTED

INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6")
"""All that is checked."""

_ACTS = (
    ef.SendGrant,
    ef.SendFollow,
    ef.SendTaken,
    ef.TakeUpdates,
    ef.Save,
    ef.AskWitness,
    ef.StartServices,
    ef.StopServices,
    ef.Answer,
)
"""Effects that no message of an older epoch may have."""


class PromiseError(AssertionError):
    """A promise was broken; the text begins with its number."""


def check_step(
    before: Model, event: ev.Event, after: Model, effects: tuple[ef.Effect, ...]
) -> None:
    """Check one step of one machine, taken at time 0.

    Raises:
        PromiseError: it breaks I2, I3 or I4.
    """
    name = before.settings.name
    if after.durable.epoch < before.durable.epoch:
        raise PromiseError(f"I2: the epoch of {name} went back to {after.durable.epoch}")
    for effect in effects:
        if isinstance(effect, ef.StartServices):
            _check_start(after, effect.epoch)
    begins = after.state is State.CLAIMING and before.state is not State.CLAIMING
    if begins and before.durable.pause.on and after.via is not None and after.via.unasked:
        raise PromiseError(f"I3: {name} takes over although takeovers are paused")
    if isinstance(event, ev.TimePassed) and after.state in VOTED and after.authority_until <= 0:
        raise PromiseError(f"I3: {name} is {after.state.name} although its votes have run out")
    if _is_older(before, event):
        acted = [effect for effect in effects if isinstance(effect, _ACTS)]
        if acted or after.state is not before.state or after.durable != before.durable:
            raise PromiseError(f"I4: {name} acted on {event}")


def _check_start(model: Model, epoch: Epoch) -> None:
    name, durable = model.settings.name, model.durable
    own = epoch == model.primacy == durable.epoch and durable.held
    if model.state is not State.STARTING or not own:
        raise PromiseError(f"I3: {name} starts services of {epoch} in {model.state.name}")
    if model.authority_until <= 0:
        raise PromiseError(f"I3: {name} starts services of {epoch} without votes")


def _is_older(model: Model, event: ev.Event) -> bool:
    match event:
        case ev.Welcomed(epoch=epoch) | ev.RoleReleased(epoch=epoch):
            return epoch < model.durable.epoch
        case ev.LeaseAsked(epoch=epoch) | ev.PeerServing(epoch=epoch):
            return epoch < model.durable.epoch
        case ev.RoleTaken(epoch=epoch):
            return epoch <= model.primacy
        case _:
            return False
