"""What has happened since the node's start, as far as the page shows it: primacies and updates."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs
import trio

from sbs.core.claim import Role
from sbs.runtime.lasting.role_history import RoleChange
from sbs.runtime.showing.snapshots import Shown
from sbs.runtime.updating.last_update import LastUpdate

MAX_STAGES: Final = 50
"""Changes of the role that are remembered: more do not fit on a screen."""

MAX_UPDATES: Final = 60
"""Updates that are remembered: as many bars as a telephone shows side by side."""

LOOK_S: Final = 1.0
"""Between two looks for a new update; changes of the role are noticed at once."""


@attrs.frozen(kw_only=True)
class Stage:
    """The node had this role from then on.

    Args:
        at: seconds since 1970.
        role: of the node.
        epoch: counter of the newest primacy known then.
    """

    at: float
    role: Role
    epoch: int


class Chronicle:
    """Watches one node.

    Args:
        node: is watched.
        clock: seconds since 1970.
    """

    def __init__(self, node: Shown, clock: Callable[[], float] = time.time) -> None:
        self._node = node
        self._clock = clock
        self._stages: deque[Stage] = deque(maxlen=MAX_STAGES)
        self._updates: deque[LastUpdate] = deque(maxlen=MAX_UPDATES)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Oldest first."""
        return tuple(self._stages)

    @property
    def changes(self) -> tuple[RoleChange, ...]:
        """Of the role, over restarts; oldest first."""
        return self._node.role_history.changes

    @property
    def updates(self) -> tuple[LastUpdate, ...]:
        """Oldest first."""
        return tuple(self._updates)

    def look(self) -> None:
        """Remember what is new."""
        role, epoch = self._node.role, self._node.model.durable.epoch.counter
        last = self._stages[-1] if self._stages else None
        if last is None or (last.role, last.epoch) != (role, epoch):
            self._stages.append(Stage(at=self._clock(), role=role, epoch=epoch))
        update = self._node.updates.last_update
        if update is not None and (not self._updates or self._updates[-1] != update):
            self._updates.append(update)

    async def run_forever(self) -> None:
        """Look again and again."""
        while True:
            self.look()
            with trio.move_on_after(LOOK_S):
                await self._node.wait_role_change(self._node.role)
