"""The state of the role machine: a value, replaced by every transition."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator

import attrs

from sbs.core.claim import Claim, Mode, Policy, Role
from sbs.core.effects import Durable, Via
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import Generation
from sbs.core.lease import RENEWALS, hold_s
from sbs.core.role.votes import Votes
from sbs.core.testament import Will


class State(enum.Enum):
    """Where a node stands; :attr:`role` is what others see of it."""

    STOPPED = "stopped"
    """Not started yet, or ended."""
    PROBING = "probing"
    """Serves the port and looks for the peer; undecided."""
    WAITING = "waiting"
    """May not become primary by itself; looks for a primary."""
    CANDIDATE = "candidate"
    """Would lead; asks the witness for its vote, or has the peer fenced."""
    SECONDARY = "secondary"
    """Follows the primary, or tries to reach it again."""
    CLAIMING = "claiming"
    """Makes the number of its new primacy durable."""
    STARTING = "starting"
    """Holds the primacy and starts the services."""
    PRIMARY = "primary"
    """Serves."""
    DRAINING = "draining"
    """Hands over: stops the services, then runs the last update."""
    RELEASING = "releasing"
    """Makes durable that the role is given up."""
    RELEASED = "released"
    """Waits for the follower to take the role."""
    RENEWING = "renewing"
    """Stops the services, to start them under a newer epoch."""
    DEMOTING = "demoting"
    """Lost against another primary: stops the services."""
    YIELDING = "yielding"
    """Has no majority of votes any more: stops the services."""

    @property
    def role(self) -> Role:
        """The role seen from outside."""
        return _ROLES[self]


_ROLES = {
    State.STOPPED: Role.STOPPED,
    State.PROBING: Role.PROBING,
    State.WAITING: Role.WAITING,
    State.CANDIDATE: Role.WAITING,
    State.SECONDARY: Role.SECONDARY,
    # The decision is made: a peer that asks now is a follower.
    State.CLAIMING: Role.PRIMARY,
    State.STARTING: Role.PRIMARY,
    State.PRIMARY: Role.PRIMARY,
    State.DRAINING: Role.PRIMARY,
    # Given up on disk at any moment now: others must not rely on it.
    State.RELEASING: Role.FENCED,
    State.RELEASED: Role.FENCED,
    State.RENEWING: Role.PRIMARY,
    State.DEMOTING: Role.FENCED,
    State.YIELDING: Role.FENCED,
}

HOLDING = frozenset({State.CLAIMING, State.STARTING, State.PRIMARY, State.DRAINING, State.RENEWING})
"""States of a primacy."""

SERVING = frozenset(
    {
        State.STARTING,
        State.PRIMARY,
        State.DRAINING,
        State.RENEWING,
        State.DEMOTING,
        State.YIELDING,
    }
)
"""States in which a service may run."""

VOTED = frozenset({State.STARTING, State.PRIMARY})
"""States that last only as long as a majority of votes (policy ``quorum``)."""

BALLOTING = frozenset(
    {State.CANDIDATE, State.CLAIMING, State.STARTING, State.PRIMARY, State.RENEWING}
)
"""States that ask the witness for its vote, or renew it."""

DIALLING = frozenset(
    {
        State.PROBING,
        State.WAITING,
        State.CANDIDATE,
        State.SECONDARY,
        State.STARTING,
        State.PRIMARY,
    }
)
"""States that look for the peer while there is no session."""


RETRY_S = 0.02
"""Pause before dialling again a peer that was there a moment ago: a takeover waits for it."""


@attrs.frozen(kw_only=True)
class Settings:
    """What the configuration tells the role machine; seconds are greater than 0.

    Args:
        node_id: see :class:`~sbs.core.claim.Claim`.
        name: of this node.
        mode: which roles it is meant for.
        priority: greater is preferred.
        services_die: the services cannot outlive SBS (B31).
        enabled: services that start when the node becomes primary without a takeover.
        heartbeat_interval_s: how often to look for a missing peer, at most.
        down_interval_s: silence that means the peer is gone.
        probe_timeout_s: how long a start waits for the peer's answer.
        failback: give the role back to a ``primary-only`` node without being asked.
        failback_delay_s: how long that node must have been in step before (0 or more).
        policy: what silence means (B3).
        witness: see :class:`~sbs.core.claim.Claim`.
        lease_s: how long a vote counts (policy ``quorum``).
        stop_bound_s: how long services may take to be gone.
        max_clock_drift: by how much the clocks of two nodes may differ in speed, 0 to below 1.
        fence: there is a fence hook, which has to succeed before a lost primary is replaced (B7).
        start_alone: become primary at a start without the peer, even if it may have led since.
        retry_s: pause before dialling again a peer that was there a moment ago.
    """

    node_id: str
    name: str
    mode: Mode = Mode.SYMMETRIC
    priority: int = 100
    services_die: bool = True
    enabled: tuple[str, ...] = ()
    heartbeat_interval_s: float = 0.5
    down_interval_s: float = 2.0
    probe_timeout_s: float = 2.0
    failback: bool = True
    failback_delay_s: float = 10.0
    policy: Policy = Policy.AVAILABILITY
    witness: str = ""
    lease_s: float = 5.0
    stop_bound_s: float = 5.0
    max_clock_drift: float = 0.01
    fence: bool = False
    start_alone: bool = True
    retry_s: float = RETRY_S

    @property
    def vote_s(self) -> float:
        """How long a vote counts from when it was asked for."""
        return self.lease_s if self.policy is Policy.QUORUM else self.down_interval_s

    @property
    def hold_s(self) -> float:
        """How long a voter keeps still from when it gave its vote."""
        return hold_s(self.vote_s, self.stop_bound_s, self.max_clock_drift)

    @property
    def renewal_s(self) -> float:
        """How often a primary asks for each vote."""
        return self.lease_s / RENEWALS

    @property
    def dial_timeout_s(self) -> float:
        """How long one attempt to connect to the peer may take: four fit into a down interval."""
        return self.down_interval_s / 4


@attrs.frozen(kw_only=True)
class Model:
    """Everything the machine knows. Times are those passed to ``transition``.

    Args:
        settings: constant.
        state: where the node stands.
        durable: what is, or is being made, durable.
        serial: of the newest save asked for.
        peer: its latest claim.
        session: the connection to the leader or the follower, once welcomed.
        welcomed_at: when the session as follower began.
        asking: the dialled connection on which Follow was sent.
        asked_until: until when its answer is waited for.
        dialling: a dial is under way.
        dial_at: when to dial next, unless a session or a dial stands in the way.
        heard_at: when the peer was last heard (SECONDARY, or with a session).
        probe_until: until when a start waits for its peer (PROBING).
        in_step: the follower, or this node as follower, holds a complete generation of
            the leader's history; in PROBING, of a leader that was lost and came back undecided.
        proposed: the generation whose commit was sent last (B20).
        failback_at: when the role goes back to a ``primary-only`` peer.
        taken_until: until when a releaser waits to be relieved.
        via: how the present primacy came about.
        relieves: the connection on which the former primary waits for Taken.
        stopping: the node ends when the way it is on is complete (R8).
        ticket: the operator's request that the handover answers.
        votes: had and given (policy ``quorum``, and partly ``protect``).
        forced: the primacy rests on an operator's word instead of votes.
        will: how the fencer of the leader, present or lost, is known.
        silent: the candidacy rests on silence (CANDIDATE).
        fencing: the fence hook runs (CANDIDATE).
        fence_at: when to run it again (CANDIDATE).
        fenced: it has succeeded (CANDIDATE).
        takeovers: when lost primaries were replaced lately, oldest first.
        data_from: for people: when the data held at the start was made; empty for unknown.
    """

    settings: Settings
    durable: Durable
    state: State = State.STOPPED
    serial: int = 0
    peer: Claim | None = None
    session: int | None = None
    welcomed_at: float = -math.inf
    asking: int | None = None
    asked_until: float | None = None
    dialling: bool = False
    dial_at: float | None = None
    heard_at: float = 0.0
    probe_until: float | None = None
    in_step: bool = False
    proposed: Generation | None = None
    failback_at: float | None = None
    taken_until: float | None = None
    via: Via | None = None
    relieves: int | None = None
    stopping: bool = False
    ticket: int | None = None
    votes: Votes = attrs.field(factory=Votes)
    forced: bool = False
    will: Will | None = None
    silent: bool = False
    fencing: bool = False
    fence_at: float | None = None
    fenced: bool = False
    takeovers: tuple[float, ...] = ()
    data_from: str = ""

    @property
    def quorum(self) -> bool:
        """Whether votes decide."""
        return self.settings.policy is Policy.QUORUM

    @property
    def authority_until(self) -> float:
        """Until when services may run here, unless more votes come; infinite without votes."""
        return self.votes.until if self.quorum and not self.forced else math.inf

    @property
    def last_primary(self) -> bool:
        """Whether, as far as this node knows, nobody has led since it did."""
        tip, durable = self.durable.history.tip, self.durable
        if tip is None or durable.released:
            return False
        return durable.held or (tip.epoch == durable.epoch and tip.epoch.slot == durable.slot)

    @property
    def primacy(self) -> Epoch:
        """The epoch of the present primacy, or of the last one this node's data knows."""
        tip = self.durable.history.tip
        return NO_EPOCH if tip is None else tip.epoch

    @property
    def outdated(self) -> bool:
        """Whether an epoch newer than its own primacy was heard of (B2)."""
        return self.durable.epoch > self.primacy

    @property
    def claim(self) -> Claim:
        """What this node says of itself now."""
        return Claim(
            node_id=self.settings.node_id,
            name=self.settings.name,
            mode=self.settings.mode,
            priority=self.settings.priority,
            slot=self.durable.slot,
            role=self.state.role,
            epoch=self.durable.epoch,
            history=self.durable.history,
            held=self.durable.held,
            on_silence=self.durable.on_silence and self.state in HOLDING,
            services_die=self.settings.services_die,
            policy=self.settings.policy,
            witness=self.settings.witness,
            pause=self.durable.pause,
        )


def deadline(model: Model) -> float | None:
    """When the machine wants :class:`~sbs.core.events.TimePassed`, at the latest.

    Returns:
        a time on the clock that ``transition`` is given, or ``None`` for never.
    """
    return min(
        (at for at in (*_own_times(model), *_vote_times(model)) if at is not None), default=None
    )


def _own_times(model: Model) -> Iterator[float | None]:
    state = model.state
    if state in DIALLING and model.session is None and model.asking is None and not model.dialling:
        yield model.dial_at
    if model.asking is not None:
        yield model.asked_until
    if state is State.SECONDARY or (model.session is not None and state is not State.RELEASED):
        yield model.heard_at + model.settings.down_interval_s
    if state is State.PROBING:
        yield model.probe_until
    if state is State.PRIMARY:
        yield model.failback_at
    if state is State.RELEASED:
        yield model.taken_until
    if state is State.CANDIDATE and model.asking is None and not model.fencing:
        yield _candidate_at(model)


def _vote_times(model: Model) -> Iterator[float | None]:
    state, votes = model.state, model.votes
    if not model.quorum:
        return
    if state in VOTED and model.authority_until < math.inf:
        yield model.authority_until
    if state in VOTED and model.session is not None:
        yield votes.ask_at
    if state in BALLOTING and votes.ballot is None:
        yield votes.ballot_at


def _candidate_at(model: Model) -> float | None:
    """When a candidate may take its next step, if nothing new comes."""
    if not model.quorum:
        return model.fence_at
    at = max(model.votes.free_at, -math.inf if model.fence_at is None else model.fence_at)
    return at if at < model.votes.witness_until else None
