"""How far the long work of a node is: told by whoever does it, looked at by ``sbs status``."""

from __future__ import annotations

import time
from collections.abc import Callable

from sbs.core.progress import STEP_S, Meter, Phase, Progress


class Tracker:
    """One piece of work at a time. A worker thread may tell of it, one at a time.

    Args:
        clock: seconds; never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meter: Meter | None = None
        self._files = self._bytes = 0
        self._step_at = 0.0

    def begin(
        self, phase: Phase, *, files_total: int | None = None, bytes_total: int | None = None
    ) -> None:
        """A phase begins; the one before it has ended.

        Args:
            phase: which.
            files_total: files or changes to be done at most; ``None`` if nobody knows.
            bytes_total: of their contents, likewise.
        """
        now = self._clock()
        self._files = self._bytes = 0
        self._step_at = now + STEP_S
        self._meter = Meter(phase=phase, at=now, files_total=files_total, bytes_total=bytes_total)

    def advance(self, files: int, size_bytes: int) -> None:
        """More of the phase is done; costs little, also for each of a million files."""
        self._files += files
        self._bytes += size_bytes
        now = self._clock()
        if now >= self._step_at and self._meter is not None:
            self._step_at = now + STEP_S
            self._meter = self._meter.advanced(self._files, self._bytes, now)

    def end(self) -> None:
        """The work is done, or was given up."""
        self._meter = None

    @property
    def progress(self) -> Progress | None:
        """How far it is; ``None`` if nothing is under way."""
        meter, files, size_bytes = self._meter, self._files, self._bytes
        if meter is None:
            return None
        # Nothing is kept of this look: the worker's thread writes at any time.
        return meter.advanced(files, size_bytes, self._clock()).shown(files, size_bytes)
