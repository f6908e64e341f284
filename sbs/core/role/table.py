"""The role machine: who handles which event in which state, and where that may lead.

Every pair of a state and an event stands in :data:`TABLE`. The page ``docs/roles.md`` and its
diagram are made from it (``python -m sbs.core.role``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, get_args

import attrs

from sbs.core import events as ev
from sbs.core.effects import Effect, Guard
from sbs.core.role import candidacy, handover, holding, seeking, voting
from sbs.core.role.model import Model, State
from sbs.core.role.steps import Step

# The table pairs each event type with a handler of that very type; Any, because a mapping
# cannot say so.
Handler: TypeAlias = Callable[[Model, Any, float], Step]


@attrs.frozen
class Rule:
    """What happens in one state on one event.

    Args:
        handler: makes the step.
        leads_to: the states it may lead to, besides staying.
    """

    handler: Handler
    leads_to: frozenset[State] = frozenset()


def _rule(handler: Handler, *leads_to: State) -> Rule:
    return Rule(handler, frozenset(leads_to))


EVENTS: tuple[type[ev.Event], ...] = get_args(ev.Event)
IGNORED = _rule(seeking.ignore)

S = State
_SEEKING: Mapping[type[ev.Event], Rule] = {
    ev.DialRejected: _rule(seeking.rejected),
    ev.FollowAsked: _rule(seeking.undecided_follow_asked, S.CLAIMING, S.STOPPED),
    ev.Welcomed: _rule(seeking.welcomed, S.SECONDARY),
    ev.TurnedAway: _rule(seeking.turned_away),
    ev.ConnectionLost: _rule(seeking.connection_lost),
    ev.Heard: _rule(seeking.heard),
    ev.GenerationHeld: _rule(seeking.generation_held),
    ev.StopAsked: _rule(seeking.stop, S.STOPPED),
    ev.SwitchoverAsked: _rule(handover.refuse_switchover),
    ev.TakeoverAsked: _rule(candidacy.takeover, S.CLAIMING),
    ev.PauseAsked: _rule(handover.pause),
    ev.PauseTold: _rule(handover.pause_told),
}
_HOLDING: Mapping[type[ev.Event], Rule] = {
    ev.TimePassed: _rule(holding.time_passed),
    ev.PeerMet: _rule(holding.peer_met, S.DEMOTING, S.RENEWING),
    ev.DialFailed: _rule(holding.dial_failed),
    ev.DialRejected: _rule(holding.dial_failed),
    ev.PeerFenced: _rule(holding.dial_failed),
    ev.FollowAsked: _rule(holding.follow_asked, S.DEMOTING, S.RENEWING),
    ev.TurnedAway: _rule(holding.turned_away),
    ev.ConnectionLost: _rule(holding.connection_lost),
    ev.Heard: _rule(holding.heard),
    ev.ActiveChanged: _rule(holding.active_changed),
    ev.StopAsked: _rule(holding.stop, S.DRAINING),
    ev.LeaseGranted: _rule(voting.lease_granted),
    ev.WitnessAnswered: _rule(voting.witness_answered),
    ev.TakeoverAsked: _rule(candidacy.refuse_takeover),
    ev.PauseAsked: _rule(handover.pause),
    ev.PauseTold: _rule(handover.pause_told),
}
_UPDATING: Mapping[type[ev.Event], Rule] = {
    ev.GenerationProposed: _rule(holding.generation_proposed),
    ev.GenerationAcknowledged: _rule(holding.generation_acknowledged),
}
_LEAVING: Mapping[type[ev.Event], Rule] = {
    ev.TimePassed: _rule(handover.silent),
    ev.PeerMet: _rule(handover.busy_peer_met),
    ev.DialFailed: _rule(handover.dial_ended),
    ev.DialRejected: _rule(handover.dial_ended),
    ev.PeerFenced: _rule(handover.dial_ended),
    ev.FollowAsked: _rule(handover.busy_follow_asked),
    ev.TurnedAway: _rule(handover.session_lost),
    ev.ConnectionLost: _rule(handover.session_lost),
    ev.Heard: _rule(holding.heard),
    ev.StopAsked: _rule(handover.stop_later),
    ev.SwitchoverAsked: _rule(handover.refuse_switchover),
    ev.TakeoverAsked: _rule(candidacy.refuse_takeover),
    ev.PauseAsked: _rule(handover.pause),
    ev.PauseTold: _rule(handover.pause_told),
}

_ROWS: Mapping[State, Mapping[type[ev.Event], Rule]] = {
    S.STOPPED: {
        ev.Started: _rule(seeking.start, S.PROBING),
        ev.PeerMet: _rule(handover.busy_peer_met),
        ev.FollowAsked: _rule(handover.busy_follow_asked),
        ev.StopAsked: _rule(seeking.stop),
        ev.SwitchoverAsked: _rule(handover.refuse_switchover),
    },
    S.PROBING: {
        **_SEEKING,
        ev.TimePassed: _rule(seeking.probing_time, S.CLAIMING, S.CANDIDATE, S.WAITING),
        ev.Heard: _rule(seeking.probing_heard),
        ev.PeerMet: _rule(seeking.undecided_met, S.STOPPED),
        ev.DialFailed: _rule(seeking.probing_dial_failed, S.CLAIMING, S.CANDIDATE, S.WAITING),
        ev.PeerFenced: _rule(candidacy.peer_fenced, S.CLAIMING, S.CANDIDATE, S.WAITING),
    },
    S.WAITING: {
        **_SEEKING,
        ev.PauseAsked: _rule(handover.pause, S.PROBING),
        ev.PeerFenced: _rule(candidacy.peer_fenced, S.CLAIMING),
        ev.TimePassed: _rule(seeking.waiting_time),
        ev.PeerMet: _rule(seeking.undecided_met, S.PROBING, S.STOPPED),
        ev.DialFailed: _rule(seeking.waiting_dial_failed),
        ev.GenerationHeld: _rule(seeking.waiting_generation_held, S.PROBING),
    },
    S.CANDIDATE: {
        **_SEEKING,
        ev.TimePassed: _rule(voting.timed(candidacy.time_passed), S.CLAIMING, S.WAITING),
        ev.PeerMet: _rule(seeking.undecided_met, S.STOPPED),
        ev.DialFailed: _rule(candidacy.dial_failed),
        ev.DialRejected: _rule(candidacy.dial_failed),
        ev.PeerFenced: _rule(candidacy.peer_fenced, S.CLAIMING, S.WAITING),
        ev.WitnessAnswered: _rule(candidacy.witness_answered, S.CLAIMING, S.WAITING),
        ev.FenceEnded: _rule(candidacy.fence_ended, S.CLAIMING, S.WAITING),
        ev.PauseAsked: _rule(handover.pause, S.WAITING),
    },
    S.SECONDARY: {
        **_SEEKING,
        ev.TimePassed: _rule(seeking.secondary_time, S.CLAIMING, S.CANDIDATE, S.WAITING),
        ev.PeerMet: _rule(seeking.undecided_met, S.PROBING, S.STOPPED),
        ev.DialFailed: _rule(seeking.secondary_dial_failed, S.CLAIMING, S.CANDIDATE, S.WAITING),
        ev.PeerFenced: _rule(candidacy.peer_fenced, S.CLAIMING, S.CANDIDATE, S.WAITING),
        ev.WillTold: _rule(voting.will_told),
        ev.LeaseAsked: _rule(voting.lease_asked),
        ev.RoleReleased: _rule(seeking.role_released, S.CLAIMING, S.CANDIDATE),
        ev.PeerServing: _rule(seeking.peer_serving),
    },
    S.CLAIMING: {
        **_HOLDING,
        ev.TimePassed: _rule(voting.timed(handover.silent)),
        ev.PeerMet: _rule(holding.peer_met, S.DEMOTING),
        ev.FollowAsked: _rule(holding.claiming_follow_asked),
        ev.Saved: _rule(holding.claim_saved, S.STARTING, S.PROBING),
        ev.GenerationHeld: _rule(holding.claiming_generation_held),
        ev.StopAsked: _rule(holding.stop_while_claiming, S.STOPPED),
        ev.SwitchoverAsked: _rule(handover.refuse_switchover),
    },
    S.STARTING: {
        **_HOLDING,
        **_UPDATING,
        ev.TimePassed: _rule(voting.timed(holding.time_passed), S.YIELDING),
        ev.ServicesStarted: _rule(holding.services_started, S.PRIMARY),
        ev.SwitchoverAsked: _rule(handover.refuse_switchover),
    },
    S.PRIMARY: {
        **_HOLDING,
        **_UPDATING,
        ev.TimePassed: _rule(voting.timed(holding.primary_time), S.DRAINING, S.YIELDING),
        ev.SwitchoverAsked: _rule(holding.switchover, S.DRAINING),
    },
    S.DRAINING: {
        **_LEAVING,
        **_UPDATING,
        ev.ServicesStopped: _rule(handover.drained, S.PROBING, S.STOPPED),
        ev.FinalUpdateEnded: _rule(handover.final_update_ended, S.RELEASING, S.PROBING, S.STOPPED),
    },
    S.RELEASING: {
        **_LEAVING,
        ev.Saved: _rule(handover.release_saved, S.RELEASED, S.PROBING, S.STOPPED),
    },
    S.RELEASED: {
        **_LEAVING,
        ev.TimePassed: _rule(handover.released_time, S.PROBING, S.STOPPED),
        ev.PeerMet: _rule(handover.released_peer_met, S.SECONDARY, S.STOPPED),
        ev.TurnedAway: _rule(handover.released_lost, S.PROBING, S.STOPPED),
        ev.ConnectionLost: _rule(handover.released_lost, S.PROBING, S.STOPPED),
        ev.RoleTaken: _rule(handover.role_taken, S.SECONDARY, S.STOPPED),
    },
    S.RENEWING: {
        **_LEAVING,
        ev.TimePassed: _rule(voting.timed(handover.silent)),
        ev.WitnessAnswered: _rule(voting.witness_answered),
        ev.ServicesStopped: _rule(handover.renewed, S.CLAIMING, S.STOPPED),
    },
    S.DEMOTING: {
        **_LEAVING,
        ev.GenerationHeld: _rule(holding.claiming_generation_held),
        ev.ServicesStopped: _rule(handover.demoted, S.PROBING, S.STOPPED),
    },
    S.YIELDING: {
        **_LEAVING,
        ev.ServicesStopped: _rule(voting.yielded, S.PROBING, S.STOPPED),
    },
}

TABLE: Mapping[State, Mapping[type[ev.Event], Rule]] = {
    state: {event: _ROWS[state].get(event, IGNORED) for event in EVENTS} for state in State
}
"""Every state and event; :data:`IGNORED` where an event comes late or means nothing."""


def transition(model: Model, event: ev.Event, now: float) -> tuple[Model, tuple[Effect, ...]]:
    """Take one step.

    Args:
        model: before.
        event: what happened. When :func:`~sbs.core.role.model.deadline` has passed, TimePassed
            comes before any other: so nobody acts on a vote that has run out.
        now: seconds on a clock that never goes back and goes on in suspend (on Linux
            CLOCK_BOOTTIME), the same for all calls.

    Returns:
        the model after, and the effects to perform in this order (``docs/roles.md``).
    """
    after, effects = TABLE[model.state][type(event)].handler(model, event, now)
    if after.authority_until != model.authority_until:
        effects = (Guard(after.authority_until), *effects)
    return after, effects
