"""Role machines that break a promise on purpose: what simulation and exploration must notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest

from sbs.core.claim import Claim, Pause
from sbs.core.effects import Via
from sbs.core.election import Decision, Reason
from sbs.core.events import (
    DialFailed,
    Event,
    LeaseGranted,
    Saved,
    ServicesStopped,
    Started,
    StopAsked,
    TimePassed,
    Welcomed,
)
from sbs.core.role import TABLE, Model, Rule, State, candidacy, holding, seeking, steps, voting
from sbs.core.role.votes import Votes

Patch = Callable[[pytest.MonkeyPatch], None]


def serve_before_saved(patch: pytest.MonkeyPatch) -> None:
    """B2: services start while their epoch is not yet on disk."""
    claim = steps.claim

    def hasty(model: Model, *args: Any, **kwargs: Any) -> steps.Step:
        model, effects = claim(model, *args, **kwargs)
        model, more = holding.claim_saved(model, Saved(model.serial), model.heard_at)
        return model, (*effects, *more)

    patch.setattr(steps, "claim", hasty)


def keep_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """B2: a primary that heard of a newer epoch serves on under its own."""
    patch.setattr(Model, "outdated", False)


def both_lead(patch: pytest.MonkeyPatch) -> None:
    """B1: each node decides for itself."""

    def me(_mine: Claim, _theirs: Claim) -> Decision:
        return Decision(True, Reason.NODE_ID)

    patch.setattr("sbs.core.role.seeking.elect", me)
    patch.setattr("sbs.core.role.holding.elect", me)


def none_leads(patch: pytest.MonkeyPatch) -> None:
    """B1: each node defers to the other."""

    def you(_mine: Claim, _theirs: Claim) -> Decision:
        return Decision(False, Reason.NODE_ID)

    patch.setattr("sbs.core.role.seeking.elect", you)
    patch.setattr("sbs.core.role.holding.elect", you)


def skip_the_last_update(patch: pytest.MonkeyPatch) -> None:
    """R8: the role is released although the last update was not even asked for."""

    def hasty(model: Model, _event: Event, _now: float) -> steps.Step:
        model, saving = steps.save(model, held=False)
        return attrs.evolve(model, state=State.RELEASING), saving

    _replace(patch, State.DRAINING, ServicesStopped, hasty, State.RELEASING)


def release_while_serving(patch: pytest.MonkeyPatch) -> None:
    """R8: the services are not stopped before the role is given up."""

    def hasty(model: Model) -> steps.Step:
        model, saving = steps.save(model, held=False)
        return attrs.evolve(model, state=State.RELEASING), saving

    patch.setattr("sbs.core.role.holding.drain", hasty)
    for state in (State.STARTING, State.PRIMARY):
        for event, rule in TABLE[state].items():
            _replace(patch, state, event, rule.handler, *rule.leads_to, State.RELEASING)


def take_any_refusal(patch: pytest.MonkeyPatch) -> None:
    """R7: a slow answer counts as a refused connection."""
    failed = seeking.secondary_dial_failed

    def hasty(model: Model, event: DialFailed, now: float) -> steps.Step:
        return failed(model, attrs.evolve(event, refused=True), now)

    _replace(patch, State.SECONDARY, DialFailed, hasty, State.CLAIMING, State.WAITING)


def never_give_back(patch: pytest.MonkeyPatch) -> None:
    """R4: a ``primary-only`` node that returned stays secondary."""

    def forgetful(model: Model, event: TimePassed, now: float) -> steps.Step:
        return holding.time_passed(attrs.evolve(model, failback_at=None), event, now)

    _replace(patch, State.PRIMARY, TimePassed, voting.timed(forgetful), State.YIELDING)


def count_from_the_receipt(patch: pytest.MonkeyPatch) -> None:
    """B3: a vote counts from when it came, not from when it was asked for."""

    def late(model: Model, event: LeaseGranted, now: float) -> steps.Step:
        until = now + model.settings.lease_s
        return attrs.evolve(model, votes=attrs.evolve(model.votes, peer_until=until)), ()

    for state in (State.STARTING, State.PRIMARY):
        _replace(patch, state, LeaseGranted, late)


def keep_no_promise(patch: pytest.MonkeyPatch) -> None:
    """B3: a candidate does not wait for the end of what it promised to the primary."""
    patch.setattr(Votes, "free_at", -math.inf)


def serve_without_votes(patch: pytest.MonkeyPatch) -> None:
    """B3: a primary stays whatever becomes of its votes."""
    patch.setattr(Model, "authority_until", math.inf)


def forget_promises_at_a_restart(patch: pytest.MonkeyPatch) -> None:
    """B3: a node that was restarted may have voted before."""
    start = seeking.start

    def hasty(model: Model, event: Event, now: float) -> steps.Step:
        model, effects = start(model, cast("Started", event), now)
        return attrs.evolve(model, votes=Votes()), effects

    _replace(patch, State.STOPPED, Started, hasty, State.PROBING)


def believe_a_refusal(patch: pytest.MonkeyPatch) -> None:
    """B3: under every policy a refused connection, or a failed one, is proof."""

    def hasty(model: Model, event: DialFailed, now: float) -> steps.Step:
        model = attrs.evolve(model, dialling=False)
        if model.session is None and model.in_step and not model.durable.pause.on:
            return steps.claim(model, now, Via.REFUSED)
        return seeking.secondary_dial_failed(model, event, now)

    _replace(patch, State.SECONDARY, DialFailed, hasty, State.CLAIMING, State.WAITING)


def replace_without_proof(patch: pytest.MonkeyPatch) -> None:
    """B3: a candidate takes the witness's vote from a primary that may serve."""
    stand = candidacy._candidate

    def hasty(model: Model, now: float, via: Via, *, proven: bool) -> steps.Step:
        return stand(model, now, via, proven=True)

    patch.setattr(candidacy, "_candidate", hasty)


def ignore_the_pause(patch: pytest.MonkeyPatch) -> None:
    """B6: a lost primary is replaced although takeovers are paused."""
    stand = candidacy.stand

    def hasty(model: Model, now: float, via: Via, *, on_silence: bool = False) -> steps.Step:
        going_on = attrs.evolve(model.durable, pause=Pause())
        return stand(attrs.evolve(model, durable=going_on), now, via, on_silence=on_silence)

    patch.setattr(candidacy, "stand", hasty)


def serve_before_the_votes(patch: pytest.MonkeyPatch) -> None:
    """B3: votes that ran out while the epoch was saved are not missed."""

    def hasty(model: Model, event: Saved, now: float) -> steps.Step:
        model, effects = holding.claim_saved(attrs.evolve(model, forced=True), event, now)
        return attrs.evolve(model, forced=False), effects

    _replace(patch, State.CLAIMING, Saved, hasty, State.STARTING, State.PROBING)


def outstay_the_votes(patch: pytest.MonkeyPatch) -> None:
    """B3: the votes run out, the fencer would stop the services, and the machine stays primary."""
    for state, rule in (
        (State.STARTING, holding.time_passed),
        (State.PRIMARY, holding.primary_time),
    ):
        _replace(patch, state, TimePassed, rule, State.DRAINING)


def follow_the_outdated(patch: pytest.MonkeyPatch) -> None:
    """B2: a primary leads on under an epoch that is over, and its welcome is believed."""
    keep_the_epoch(patch)
    welcomed = seeking.welcomed

    def credulous(model: Model, event: Welcomed, now: float) -> steps.Step:
        epoch = max(event.epoch, model.durable.epoch)
        return welcomed(model, attrs.evolve(event, epoch=epoch), now)

    for state in (State.PROBING, State.WAITING, State.CANDIDATE, State.SECONDARY):
        _replace(patch, state, Welcomed, credulous, State.SECONDARY)


def end_while_serving(patch: pytest.MonkeyPatch) -> None:
    """R31: asked to stop, a primary ends without stopping its services."""

    def hasty(model: Model, _event: StopAsked, _now: float) -> steps.Step:
        return steps.leave(model)

    for state in (State.STARTING, State.PRIMARY):
        _replace(patch, state, StopAsked, hasty, State.STOPPED)


def demote_at_once(patch: pytest.MonkeyPatch) -> None:
    """R31: of two primaries the loser looks for the winner while its services still stop."""
    demote = holding.demote

    def hasty(model: Model, reason: str) -> steps.Step:
        model, effects = demote(model, reason)
        model, probing = steps.probe(model, model.heard_at, reason)
        return model, (*effects, *probing)

    patch.setattr(holding, "demote", hasty)


def _replace(
    patch: pytest.MonkeyPatch,
    state: State,
    event: type[Event],
    handler: Callable[[Model, Any, float], steps.Step],
    *leads_to: State,
) -> None:
    rules = cast("dict[type[Event], Rule]", TABLE[state])
    patch.setitem(rules, event, Rule(handler, frozenset(leads_to)))
