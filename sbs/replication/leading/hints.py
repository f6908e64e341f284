"""Where a watcher has seen something, for the next cycle to look at (B23)."""

from __future__ import annotations

from collections.abc import Callable

from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING, NOTHING, Changes
from sbs.replication.leading.watch import Watcher


class Hints:
    """Gathers changes between two cycles; without a watcher that is everything, each time.

    Args:
        failed: told that the watcher cannot go on; it is not asked again.
    """

    def __init__(self, failed: Callable[[ReplicationError], object]) -> None:
        self._failed = failed
        self._watcher: Watcher | None = None
        self._pending = EVERYTHING

    def trust(self, watcher: Watcher | None) -> None:
        """Use another watcher, or none.

        What changed before it watched is not known to it, so that the next cycle looks at
        everything.
        """
        self._watcher = watcher
        self._pending = EVERYTHING

    def collect(self) -> bool:
        """Take what the watcher has seen; whether there is something to look at."""
        if self._watcher is None:
            return False
        try:
            self._pending |= self._watcher.drain()
        except ReplicationError as error:
            self.trust(None)
            self._failed(error)
        return bool(self._pending)

    @property
    def watching(self) -> bool:
        """Whether there is a watcher."""
        return self._watcher is not None

    def take(self) -> Changes:
        """What to look at now; from here on it counts as looked at."""
        self.collect()
        taken = self._pending
        self._pending = EVERYTHING if self._watcher is None else NOTHING
        return taken

    def doubt(self) -> None:
        """What was taken last was not looked at to the end, or does not reach the follower."""
        self._pending = EVERYTHING
