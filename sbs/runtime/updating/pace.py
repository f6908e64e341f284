"""When a leader's next cycle begins (R20, B23)."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import trio

SETTLE_S: Final = 0.02
"""Wait after a change was noticed, for the rest of a burst, before a cycle."""

MAX_LOOK_SHARE: Final = 0.2
"""Share of the time in which cycles started by changes may look at folders: a large tree is not
looked at without pause because of one busy file."""


class Pace:
    """The times of one leader's cycles.

    Args:
        period_s: time from one cycle that runs the update scripts to the next.
        rescan_s: time from one full scan to the next.
    """

    def __init__(self, period_s: float, rescan_s: float) -> None:
        self._period_s = period_s
        self._rescan_s = rescan_s
        self._due_at = -math.inf
        self._rescan_at = -math.inf
        self._began_at = -math.inf
        self._looked_s = 0.0
        self._full = False
        self._changed = trio.Event()
        self._hurried = trio.Event()

    def begin(self) -> None:
        """A cycle begins: what comes from now on is for the next one."""
        self._began_at = trio.current_time()
        self._changed, self._hurried = trio.Event(), trio.Event()

    def is_due(self, *, asked: bool) -> bool:
        """Whether the cycle that has begun is one of the period's, or somebody asked for it."""
        due = asked or self._began_at >= self._due_at
        if due:
            self._due_at = self._began_at + self._period_s
        return due

    def is_full(self, *, asked: bool) -> bool:
        """Whether it looks at everything, because it is time, or somebody asked for that."""
        full = asked or self._began_at >= self._rescan_at
        self._full = full
        if full:
            self._rescan_at = self._began_at + self._rescan_s
        return full

    @contextmanager
    def looking(self) -> Generator[None]:
        """The cycle looks for as long as the block takes.

        That counts unless it was time for a full scan, or somebody asked for one: no change of a
        file brings the next one of these.
        """
        began_at = trio.current_time()
        try:
            yield
        finally:
            self._looked_s = 0.0 if self._full else trio.current_time() - began_at

    def nudge(self) -> None:
        """Something changed: do not wait for the period."""
        self._changed.set()

    def hurry(self) -> None:
        """Somebody waits for a cycle."""
        self._changed.set()
        self._hurried.set()

    async def wait_hurried(self) -> None:
        """Wait until somebody waits."""
        await self._hurried.wait()

    async def wait(self) -> None:
        """Wait for the period, or for a change; then so long that looking stays a small share."""
        with trio.move_on_at(self._due_at):
            await self._changed.wait()
        rest_s = max(SETTLE_S, self._looked_s * (1 / MAX_LOOK_SHARE - 1))
        with trio.move_on_after(rest_s if self._changed.is_set() else 0):
            await self._hurried.wait()
