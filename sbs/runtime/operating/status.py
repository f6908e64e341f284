"""What ``sbs status`` shows (B61): one value, with the form that ``--json`` promises."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import attrs

from sbs.core.claim import Role
from sbs.core.guard import Held
from sbs.core.history import History
from sbs.core.progress import Progress
from sbs.core.role import Model
from sbs.core.role.model import BALLOTING
from sbs.ports import ServiceState
from sbs.replication.files.problems import Problem
from sbs.runtime import clock
from sbs.runtime.alarms import StandingAlarm
from sbs.runtime.lasting.role_history import RoleChange
from sbs.runtime.operating.security import Security
from sbs.runtime.serving.licence_status import LicenceStatus
from sbs.runtime.updating.conflicts import Conflict
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.updates import Updates
from sbs.version import __version__

MAX_PROBLEMS_SHOWN: Final = 100
"""Problems in a status: more than anybody reads; the log has all."""

MAX_CONFLICTS_SHOWN: Final = 100
"""Kept versions in a status; ``list.jsonl`` in the quarantine has all."""

MAX_EPOCHS_SHOWN: Final = 16
"""Primacies in a status, the newest ones: months of takeovers."""

SCHEMA = 1
"""Of the JSON form; it changes when a field changes its meaning or goes."""


@attrs.frozen(kw_only=True)
class PeerStatus:
    """The other node, as it last said of itself."""

    name: str
    address: str
    role: str
    connected: bool


@attrs.frozen(kw_only=True)
class Primacy:
    """One primacy that the node's history remembers.

    Args:
        epoch: its number.
        token: what services saw as ``SBS_EPOCH``; even and odd ones are of different nodes.
        generation: the last complete one of it.
    """

    epoch: int
    token: int
    generation: int


@attrs.frozen(kw_only=True)
class ServiceStatus:
    """How the services stand, by name.

    Args:
        active: started here and not stopped, also one that crashed (R32).
        wanted: a takeover starts them.
        down: they should run here and do not; not all of them are active.
        restarts: how often each was started again (B32).
    """

    active: tuple[str, ...]
    wanted: tuple[str, ...]
    down: tuple[str, ...]
    restarts: Mapping[str, int]


@attrs.frozen(kw_only=True)
class Switchover:
    """An exchange of the roles, or a look whether it could be done.

    Args:
        to: the node that takes over.
        checks: what was found before, one line each.
        gap_s: how long no service ran; ``None`` if it was only a look.
    """

    to: str
    checks: tuple[str, ...] = ()
    gap_s: float | None = None


@attrs.frozen(kw_only=True)
class Status:
    """A node at one moment.

    Args:
        epoch: the counter of the newest primacy known.
        epoch_token: what services see as ``SBS_EPOCH`` in this node's last primacy known.
        generation: number of the last complete generation held.
        primacies: those of this history, the newest last, :data:`MAX_EPOCHS_SHOWN` at most.
        state: the finer word behind ``role`` (``docs/roles.md``).
        policy: what silence of the other node means.
        votes: whose vote this primary has now (policy ``quorum``), ``None`` where none are asked.
        security: how the connection to the peer is protected; ``None`` where the program that
            embeds the node carries the bytes.
        in_step: the secondary holds a complete generation of the primary's data.
        last_change: of the role; ``None`` before the first.
        behind_since: since when something may have been written on this primary that no secondary
            holds, seconds since 1970; ``None``: nothing that is known of, or no primary.
        licence: of this node; ``None`` if it needs none.
        held: what the guard holds of this primary, ``None`` if nothing (B22).
        progress: how far the update under way is, ``None`` between two.
        problems: what could not be replicated, one line each.
        notes: what is not on the secondary as it is on the primary, though no content is missing.
        conflicts: versions kept in quarantine on either node, the first
            :data:`MAX_CONFLICTS_SHOWN`.
        conflict_count: how many there are.
    """

    schema: int = SCHEMA
    name: str
    role: str
    state: str
    mode: str
    policy: str
    votes: Mapping[str, bool] | None
    epoch: int
    epoch_token: int
    generation: int
    primacies: tuple[Primacy, ...]
    peer: PeerStatus | None
    security: Security | None
    in_step: bool
    behind_since: float | None
    last_change: RoleChange | None
    services: ServiceStatus
    licence: LicenceStatus | None
    last_update: LastUpdate | None
    held: Held | None
    progress: Progress | None
    paused: bool
    alarms: tuple[StandingAlarm, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    conflicts: tuple[Conflict, ...]
    conflict_count: int
    listen: str
    node_id: str
    pid: int
    version: str

    def to_json(self) -> dict[str, Any]:
        """The form that ``sbs status --json`` prints."""
        return attrs.asdict(self)


def make_status(
    model: Model,
    *,
    role: Role,
    changes: Sequence[RoleChange],
    peer_address: str,
    listen: str,
    security: Security | None,
    states: Mapping[str, ServiceState],
    down: Sequence[str],
    restarts: Mapping[str, int],
    licence: LicenceStatus | None,
    alarms: tuple[StandingAlarm, ...],
    updates: Updates,
) -> Status:
    """Put a status together.

    Args:
        model: of the role machine.
        role: as last told to the outside.
        changes: of it, oldest first.
        peer_address: as configured.
        listen: where the node really listens.
        security: of the connection to the peer.
        states: of the services.
        down: those that should run and do not.
        restarts: of each, since the node's start.
        licence: of this node.
        alarms: that stand.
        updates: of the node; :data:`MAX_PROBLEMS_SHOWN` of their problems are shown, and as many
            notes.
    """
    settings, durable = model.settings, model.durable
    problems, conflicts = updates.problems, updates.conflicts
    return Status(
        name=settings.name,
        role=role.value,
        state=model.state.value,
        mode=settings.mode.value,
        policy=settings.policy.value,
        votes=_votes(model),
        epoch=durable.epoch.counter,
        epoch_token=model.primacy.number,
        generation=durable.history.number,
        primacies=_primacies(durable.history),
        peer=_peer_status(model, role, peer_address),
        security=security,
        in_step=model.in_step,
        last_change=changes[-1] if changes else None,
        behind_since=updates.lag.since if role is Role.PRIMARY else None,
        services=ServiceStatus(
            active=tuple(name for name, state in states.items() if state.active),
            wanted=durable.active or (),
            down=tuple(down),
            restarts={**restarts},
        ),
        licence=licence,
        last_update=updates.last_update,
        held=updates.held_update,
        progress=updates.progress,
        paused=durable.pause.on,
        alarms=alarms,
        problems=_lines(each for each in problems if not each.note),
        notes=_lines(each for each in problems if each.note),
        conflicts=tuple(conflicts[:MAX_CONFLICTS_SHOWN]),
        conflict_count=len(conflicts),
        listen=listen,
        node_id=settings.node_id,
        pid=os.getpid(),
        version=__version__,
    )


def _primacies(history: History) -> tuple[Primacy, ...]:
    last = {entry.epoch: entry.number for entry in history.entries}
    return tuple(
        Primacy(epoch=epoch.counter, token=epoch.number, generation=number)
        for epoch, number in [*last.items()][-MAX_EPOCHS_SHOWN:]
    )


def _lines(problems: Iterable[Problem]) -> tuple[str, ...]:
    shown = islice(problems, MAX_PROBLEMS_SHOWN)
    return tuple(f"{each.path}: {each.text}" for each in shown)


def _votes(model: Model) -> Mapping[str, bool] | None:
    """Votes are counted while a node leads or would lead."""
    if not model.quorum or model.state not in BALLOTING:
        return None
    now = clock.now()
    return {"peer": now < model.votes.peer_until, "witness": now < model.votes.witness_until}


def _peer_status(model: Model, role: Role, address: str) -> PeerStatus | None:
    peer = model.peer
    if peer is None:
        return None
    shown = peer.role
    if model.session is not None:  # the claim is from before the session began
        shown = Role.PRIMARY if role is Role.SECONDARY else Role.SECONDARY
    return PeerStatus(
        name=peer.name, address=address, role=shown.value, connected=model.session is not None
    )
