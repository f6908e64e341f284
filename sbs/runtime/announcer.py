"""Tells the outside what becomes of the node: log, status, transition hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import trio

from sbs.config import HookSettings
from sbs.core.alarm import Alarm
from sbs.core.claim import Role
from sbs.core.effects import TellRole
from sbs.log import ERROR, INFO, WARNING, Log
from sbs.runtime.alarms import Alarms
from sbs.runtime.hooks import HookError, log_lines, run_hook

MAX_UNTOLD: Final = 64
"""Role changes whose hooks have not run yet; more at a time are a loop, and are dropped."""

_log = Log(__name__)
_WARNING = _log.event(
    "config-warning",
    WARNING,
    "{text}",
    "The configuration is right, but something in it is probably not meant; `sbs config "
    "check` says it, too.",
)
_SERVES = _log.event(
    "node-serving",
    INFO,
    "{node} serves {address}",
    "The node is up, and looks for the other one. Nothing to do.",
)
_EXCHANGED = _log.event(
    "roles-exchanged",
    INFO,
    "roles exchanged; no service ran for {gap_s:.3f} s",
    "The other node runs the services now. Nothing to do.",
)
_ROLE = _log.event(
    "role-changed",
    INFO,
    "role {role}, epoch {epoch}: {reason}",
    "This node is that from now on, and the reason says why. A takeover has a warning of its own, "
    "`taken-over`.",
)
_LATE = _log.event(
    "transition-hooks-late",
    ERROR,
    "transition hooks are {changes} role changes late; one is left out",
    "A hook of `hooks.transition` takes longer than roles last. Make it faster, and check "
    "by hand what it should have done.",
)


class Announcer:
    """Announces the life of one node, and its role changes in order.

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

    def warn(self, warnings: Iterable[str]) -> None:
        """The configuration is right, but for these."""
        for warning in warnings:
            _WARNING(text=warning)

    def serves(self, address: str) -> None:
        """The node serves its port."""
        _SERVES(node=self._node, address=address)

    def exchanged(self, gap_s: float) -> None:
        """A handover is done, in which no service ran for ``gap_s``."""
        _EXCHANGED(gap_s=gap_s)

    def tell(self, change: TellRole) -> None:
        """The role is this now; its hooks run soon."""
        self._show(change.role)
        _ROLE(role=change.role.value, epoch=change.epoch, reason=change.reason)
        try:
            self._send.send_nowait(change)
        except trio.WouldBlock:
            _LATE(changes=MAX_UNTOLD)

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
