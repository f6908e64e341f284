"""What ``sbs status`` shows (B61): one value, with the form that ``--json`` promises."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from sbs import __version__
from sbs.core.claim import Role
from sbs.runtime.alarms import StandingAlarm

if TYPE_CHECKING:
    from sbs.runtime.node import Node

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
class ServiceStatus:
    """Services that run, and those a takeover starts."""

    active: tuple[str, ...]
    wanted: tuple[str, ...]


@attrs.frozen(kw_only=True)
class LastUpdate:
    """The last complete update: when (seconds since 1970), how much, and how long it took."""

    at: float
    files: int
    bytes: int
    duration_s: float


@attrs.frozen(kw_only=True)
class Status:
    """A node at one moment.

    Args:
        epoch: the counter of the newest primacy known.
        epoch_token: what services see as ``SBS_EPOCH`` in this node's last primacy known.
        generation: number of the last complete generation held.
        state: the finer word behind ``role`` (``docs/roles.md``).
        in_step: the secondary holds a complete generation of the primary's data.
        problems: what could not be replicated, one line each.
    """

    schema: int = SCHEMA
    name: str
    role: str
    state: str
    mode: str
    epoch: int
    epoch_token: int
    generation: int
    peer: PeerStatus | None
    in_step: bool
    services: ServiceStatus
    last_update: LastUpdate | None
    paused: bool
    alarms: tuple[StandingAlarm, ...]
    problems: tuple[str, ...]
    listen: str
    node_id: str
    pid: int
    version: str

    def to_json(self) -> dict[str, Any]:
        """The form that ``sbs status --json`` prints."""
        return attrs.asdict(self)


async def status_of(node: Node) -> Status:
    """The status of a node at this moment."""
    model, durable = node.model, node.model.durable
    states = await node.services.states()
    peer = None
    if model.peer is not None:
        connected = model.session is not None
        role = model.peer.role
        if connected and role is not Role.PRIMARY:
            role = Role.PRIMARY if node.role is Role.SECONDARY else Role.SECONDARY
        peer = PeerStatus(
            name=model.peer.name,
            address=str(node.config.node.peer),
            role=role.value,
            connected=connected,
        )
    return Status(
        name=node.config.node.name,
        role=node.role.value,
        state=model.state.value,
        mode=model.settings.mode.value,
        epoch=durable.epoch.counter,
        epoch_token=model.primacy.number,
        generation=durable.history.number,
        peer=peer,
        in_step=model.in_step,
        services=ServiceStatus(
            active=tuple(name for name, state in states.items() if state.active),
            wanted=durable.active or (),
        ),
        last_update=node.updates.last_update,
        paused=False,
        alarms=node.alarms.standing,
        problems=tuple(f"{each.path}: {each.text}" for each in node.updates.problems[:100]),
        listen=node.listen,
        node_id=model.settings.node_id,
        pid=os.getpid(),
        version=__version__,
    )
