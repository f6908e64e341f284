"""The state of the role machine: a value, replaced by every transition."""

from __future__ import annotations

import enum
import math

import attrs

from sbs.core.claim import Claim, Mode, Role
from sbs.core.effects import Durable, Via
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.history import Generation


class State(enum.Enum):
    """Where a node stands; :attr:`role` is what others see of it."""

    STOPPED = "stopped"
    """Not started yet, or ended."""
    PROBING = "probing"
    """Serves the port and looks for the peer; undecided."""
    WAITING = "waiting"
    """May not become primary by itself; looks for a primary."""
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

    @property
    def role(self) -> Role:
        """The role seen from outside."""
        return _ROLES[self]


_ROLES = {
    State.STOPPED: Role.STOPPED,
    State.PROBING: Role.PROBING,
    State.WAITING: Role.WAITING,
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
}

HOLDING = frozenset({State.CLAIMING, State.STARTING, State.PRIMARY, State.DRAINING, State.RENEWING})
"""States of a primacy."""

SERVING = frozenset({State.STARTING, State.PRIMARY, State.DRAINING, State.RENEWING, State.DEMOTING})
"""States in which a service may run."""

DIALLING = frozenset({State.PROBING, State.WAITING, State.SECONDARY, State.STARTING, State.PRIMARY})
"""States that look for the peer while there is no session."""


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

    @property
    def dial_timeout_s(self) -> float:
        """How long one attempt to reach the peer may take: four fit into a down interval."""
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
        )


def deadline(model: Model) -> float | None:
    """When the machine wants :class:`~sbs.core.events.TimePassed`, at the latest.

    Returns:
        a time on the clock that ``transition`` is given, or ``None`` for never.
    """
    candidates: list[float | None] = []
    state = model.state
    if state in DIALLING and model.session is None and model.asking is None and not model.dialling:
        candidates.append(model.dial_at)
    if model.asking is not None:
        candidates.append(model.asked_until)
    if state is State.SECONDARY or (model.session is not None and state is not State.RELEASED):
        candidates.append(model.heard_at + model.settings.down_interval_s)
    if state is State.PROBING:
        candidates.append(model.probe_until)
    if state is State.PRIMARY:
        candidates.append(model.failback_at)
    if state is State.RELEASED:
        candidates.append(model.taken_until)
    return min((at for at in candidates if at is not None), default=None)
