"""How far the secondary is behind: what a takeover at this moment would lose (B61)."""

from __future__ import annotations

import time
from collections.abc import Callable


class Lag:
    """Since when something may have been written here that the secondary does not hold.

    While a watcher looks at the folders and has seen nothing since the last update began, there
    is no such thing; else it is since that update began, if it sent all. Of what update scripts
    export nobody knows when it changes: where there are some, it is since the last update began
    that ran them. What no update could send (``problems``) does not count; nor does, until the
    next full scan, what no watcher is told of: writes through memory maps.

    Args:
        clock: seconds since 1970.
        exports: there are update scripts.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, exports: bool = False) -> None:
        self._clock = clock
        self._exports = exports
        self._since = self._began_at = clock()
        self._changed = True
        self._quiet = False

    @property
    def since(self) -> float | None:
        """Seconds since 1970; ``None``: the secondary holds all that is known of."""
        return None if self._quiet else self._since

    def restart(self) -> None:
        """Both nodes have the same now, or nothing is known: count from here."""
        self._since, self._quiet = self._clock(), False

    def begin(self) -> None:
        """An update begins to look at the folders."""
        self.doubt()
        self._began_at, self._changed = self._clock(), False

    def change(self) -> None:
        """Something may have been written just now."""
        self.doubt()
        self._changed = True

    def catch_up(self, *, watched: bool, exported: bool) -> None:
        """That update is done: the secondary holds all that stood there when it began.

        Args:
            watched: of what is written from its begin on :meth:`change` tells.
            exported: it ran the update scripts, if there are any.
        """
        if exported or not self._exports:
            self._since = self._began_at
            self._quiet = watched and not (self._changed or self._exports)

    def doubt(self) -> None:
        """From now on nobody knows, or somebody will soon."""
        if self._quiet:
            self.restart()
