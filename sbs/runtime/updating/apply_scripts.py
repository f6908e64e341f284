"""When the apply scripts run: beside the session, one run at a time (R25)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from sbs.core.history import Generation


class ApplyScripts:
    """Runs the administrator's apply scripts for the newest generation applied.

    A script may take minutes, and meanwhile the session goes on and the primary is watched. What
    is applied during a run is followed by one more run, for the newest generation.

    Args:
        run: runs the scripts for a generation; their failures are its to report.
    """

    def __init__(self, run: Callable[[Generation], Awaitable[None]]) -> None:
        self._run = run
        self._due: Generation | None = None
        self._wake = trio.Event()
        self._idle = trio.Event()
        self._idle.set()

    def applied(self, generation: Generation) -> None:
        """A generation stands in the folders: its scripts are due."""
        self._due = generation
        self._wake.set()
        if self._idle.is_set():
            self._idle = trio.Event()

    async def run_forever(self) -> None:
        """Run what is due."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._due is not None:
                generation, self._due = self._due, None
                await self._run(generation)
            self._idle.set()

    async def wait_idle(self) -> None:
        """Return when the scripts of everything applied so far have run."""
        await self._idle.wait()
