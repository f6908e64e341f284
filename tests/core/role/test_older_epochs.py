"""B2: whatever names an older epoch changes nothing; the runtime refuses those of an update."""

from __future__ import annotations

import attrs
import pytest

from sbs.core import events as ev
from sbs.core.effects import Durable, Refuse, SendGrant, TakeUpdates
from sbs.core.epoch import Epoch
from sbs.core.history import DIGEST_BYTES, Generation, History
from sbs.core.messages import Code
from sbs.core.role import Model, Settings, State, transition

OLD, NOW = Epoch(3, 1), Epoch(5, 1)
TIP = Generation(NOW, 7, b"t" * DIGEST_BYTES)
DURABLE = Durable(slot=0, epoch=NOW, history=History((TIP,)), active=("app",))
FOLLOWS = Model(
    settings=Settings(node_id="a" * 32, name="alpha"),
    durable=DURABLE,
    state=State.SECONDARY,
    session=1,
    in_step=True,
    ticket=8,
)
ASKS = attrs.evolve(FOLLOWS, state=State.PROBING, session=None, asking=1)
HANDS_OVER = attrs.evolve(FOLLOWS, state=State.RELEASED, taken_until=9.0)


@pytest.mark.parametrize(
    ("model", "event"),
    [
        (ASKS, ev.Welcomed(connection=1, epoch=OLD, history=History())),
        (FOLLOWS, ev.RoleReleased(connection=1, epoch=OLD, generation=TIP)),
        (FOLLOWS, ev.LeaseAsked(connection=1, epoch=OLD, serial=1, hold_s=5.0)),
        (FOLLOWS, ev.PeerServing(1, OLD)),
        (HANDS_OVER, ev.RoleTaken(1, OLD)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_older_epoch_changes_nothing(model: Model, event: ev.Event) -> None:
    """B2, must show 8."""
    after, effects = transition(model, event, 1.0)
    assert after.state is model.state
    assert after.durable == model.durable
    assert after.votes == model.votes
    assert after.ticket == 8
    assert not any(isinstance(effect, SendGrant | TakeUpdates) for effect in effects)
    refused = [effect.code for effect in effects if isinstance(effect, Refuse)]
    wants = isinstance(event, ev.Welcomed | ev.RoleReleased)
    assert refused == ([Code.STALE] if wants else [])


@pytest.mark.parametrize(
    ("model", "event", "leads_to"),
    [
        (ASKS, ev.Welcomed(connection=1, epoch=NOW, history=DURABLE.history), State.SECONDARY),
        (FOLLOWS, ev.RoleReleased(connection=1, epoch=NOW, generation=TIP), State.CLAIMING),
        (HANDS_OVER, ev.RoleTaken(1, NOW.next(1)), State.SECONDARY),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_present_epoch_does(model: Model, event: ev.Event, leads_to: State) -> None:
    after, _ = transition(model, event, 1.0)
    assert after.state is leads_to
