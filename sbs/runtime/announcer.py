"""Tells the outside which role the node has: log, status, transition hooks."""

from __future__ import annotations

import logging
from typing import Final

import trio

from sbs.config import HookSettings
from sbs.core.alarm import Alarm
from sbs.core.claim import Role
from sbs.core.effects import TellRole
from sbs.runtime.alarms import Alarms
from sbs.runtime.hooks import HookError, log_lines, run_hook

MAX_UNTOLD: Final = 64
"""Role changes whose hooks have not run yet; more at a time are a loop, and are dropped."""

_log = logging.getLogger(__name__)


class Announcer:
    """Announces the role changes of one node, in order.

    Args:
        settings: of the hooks; each learns ``SBS_ROLE``, ``SBS_EPOCH`` and ``SBS_REASON``.
        node: its name.
        alarms: told when one fails.
    """

    def __init__(self, settings: HookSettings, node: str, alarms: Alarms) -> None:
        self.role: Role = Role.STOPPED
        self._changed = trio.Event()
        self._settings = settings
        self._node = node
        self._alarms = alarms
        self._send, self._untold = trio.open_memory_channel[TellRole](MAX_UNTOLD)

    def tell(self, change: TellRole) -> None:
        """The role is this now; its hooks run soon."""
        self._show(change.role)
        _log.info("role %s, epoch %s: %s", change.role.value, change.epoch, change.reason)
        try:
            self._send.send_nowait(change)
        except trio.WouldBlock:
            _log.error("transition hooks are %d role changes late; one is left out", MAX_UNTOLD)

    def end(self) -> None:
        """No change comes any more; :meth:`run` returns after the hooks of the last."""
        self._show(Role.STOPPED)
        self._send.close()

    async def wait_change(self, role: Role) -> Role:
        """Wait until the role is another than ``role``; return it."""
        while self.role is role:
            await self._changed.wait()
        return self.role

    def _show(self, role: Role) -> None:
        self.role = role
        self._changed.set()
        self._changed = trio.Event()

    async def run(self) -> None:
        """Run the hooks."""
        async for change in self._untold:
            environment = {
                "SBS_HOOK": "transition",
                "SBS_NODE": self._node,
                "SBS_ROLE": change.role.value,
                "SBS_EPOCH": str(change.epoch.number),
                "SBS_REASON": change.reason,
            }
            failures: list[str] = []
            for argv in self._settings.transition:
                try:
                    lines = await run_hook(argv, environment, self._settings.timeout_s)
                    log_lines(argv, lines)
                except HookError as error:
                    failures.append(str(error))
            self._alarms.tell(Alarm.TRANSITION_HOOK_FAILED, failures)
