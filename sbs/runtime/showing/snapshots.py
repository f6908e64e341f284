"""The node's status, taken once for all who ask within a moment."""

from __future__ import annotations

import json
import secrets
from typing import Final, Protocol

import attrs
import trio

from sbs.core.claim import Role
from sbs.core.role import Model
from sbs.errors import SbsError
from sbs.runtime.lasting.role_history import RoleHistory
from sbs.runtime.operating.status import Status
from sbs.runtime.serving.licensing import Licensing
from sbs.runtime.updating.updates import Updates

FRESH_S: Final = 0.25
"""A status is not taken again so soon: a service adapter may have to run a command for it."""

TAKING_S: Final = 5.0
"""How long it may take: an adapter that asks a stuck service manager must not hold callers."""


class Shown(Protocol):
    """What is shown of a node; see :class:`~sbs.runtime.node.Node`."""

    @property
    def model(self) -> Model:
        """Where the role machine stands."""
        ...

    @property
    def role(self) -> Role:
        """The role as last told to the outside."""
        ...

    @property
    def licensing(self) -> Licensing:
        """What the licence makes of the services."""
        ...

    @property
    def updates(self) -> Updates:
        """What is replicated."""
        ...

    @property
    def role_history(self) -> RoleHistory:
        """Which roles it has had."""
        ...

    async def status(self) -> Status:
        """The node at this moment."""
        ...

    async def settle(self) -> None:
        """Return when the role loop has gone round."""
        ...

    async def wait_role_change(self, role: Role) -> Role:
        """Wait until the role is another than ``role``."""
        ...


class NoStatusError(SbsError):
    """The status could not be had in time; the text says so."""

    remedy = "The log of the node says what it does; most often a disk does not answer."


@attrs.frozen(kw_only=True)
class Snapshot:
    """The node at one moment.

    Args:
        status: of the node.
        text: the same as one line of JSON, as ``sbs status --json`` prints it.
        id: another one wherever the text is another, over restarts of the node, too.
    """

    status: Status
    text: str
    id: str


class Snapshots:
    """The snapshots of one node.

    Args:
        node: is looked at.
    """

    def __init__(self, node: Shown) -> None:
        self._node = node
        self._lock = trio.Lock()
        self._life = secrets.token_hex(4)
        self._number = 0
        self._last: Snapshot | None = None
        self._fresh_until = 0.0

    async def take(self) -> Snapshot:
        """The node as it is, or was :data:`FRESH_S` ago in the same role.

        Raises:
            NoStatusError: that could not be found out within :data:`TAKING_S`.
        """
        with trio.move_on_after(TAKING_S):
            async with self._lock:
                last = self._last
                if last is not None and self._is_fresh(last):
                    return last
                self._last = await self._look()
                self._fresh_until = trio.current_time() + FRESH_S
                return self._last
        raise NoStatusError(f"the status of this node could not be had within {TAKING_S:g} s")

    def _is_fresh(self, snapshot: Snapshot) -> bool:
        in_time = trio.current_time() < self._fresh_until
        return in_time and snapshot.status.role == self._node.role.value

    async def _look(self) -> Snapshot:
        status = await self._node.status()
        text = json.dumps(status.to_json())
        if self._last is None or text != self._last.text:
            self._number += 1
        return Snapshot(status=status, text=text, id=f"{self._life}-{self._number}")
