"""How far long work is, how fast it goes, and how long it still takes (B61)."""

from __future__ import annotations

import enum
import math
from typing import Final

import attrs

SMOOTH_S: Final = 5.0
"""What is further back than this counts little for the present speed: a person sees a stall in
time, and no jumping numbers."""

STEP_S: Final = 0.25
"""The speed is taken over no shorter times: within them it is that of one message or another."""

FILE_BYTES: Final = 32 * 1024
"""A file takes about as long as so many bytes, whatever is in it; for the remaining time alone."""


class Phase(enum.Enum):
    """What an update is at."""

    LISTING = "listing"
    """The secondary tells what it has: once a session, before the first update."""
    SCANNING = "scanning"
    """The primary looks at its folders."""
    SENDING = "sending"
    """The primary sends changes and contents."""
    CONFIRMING = "confirming"
    """The primary has sent all, and waits until the secondary holds it durably."""
    RECEIVING = "receiving"
    """The secondary stages what comes."""
    COMMITTING = "committing"
    """The secondary makes it durable."""
    APPLYING = "applying"
    """The secondary puts it in its places."""
    VERIFYING = "verifying"
    """The primary compares all contents with the secondary's (B26)."""


@attrs.frozen(kw_only=True)
class Progress:
    """How far one phase is, as ``sbs status --json`` shows it.

    Args:
        phase: the value of a :class:`Phase`.
        files: done: entries listed, changes sent, received or applied, files compared.
        files_total: of them, at most; ``None`` while that is not known.
        bytes: of contents, done likewise.
        bytes_total: of them, at most; ``None`` likewise.
        bytes_s: of contents in a second, smoothed; ``None`` in the first moments.
        remaining_s: until the end of the phase, by the present speed; ``None`` while unknown.
    """

    phase: str
    files: int = 0
    files_total: int | None = None
    bytes: int = 0
    bytes_total: int | None = None
    bytes_s: float | None = None
    remaining_s: float | None = None


@attrs.frozen(kw_only=True)
class Meter:
    """Measures one phase; time is an argument.

    Args:
        phase: which.
        at: when it began, or was looked at last, in seconds on the caller's clock.
        files_total: as in :class:`Progress`.
        bytes_total: likewise.
        files: done by then.
        bytes: likewise.
        bytes_s: smoothed, ``None`` before it was measured.
        work_s: likewise, of bytes and files together (:data:`FILE_BYTES`).
    """

    phase: Phase
    at: float
    files_total: int | None = None
    bytes_total: int | None = None
    files: int = 0
    bytes: int = 0
    bytes_s: float | None = None
    work_s: float | None = None

    def advanced(self, files: int, size_bytes: int, now: float) -> Meter:
        """The measure with what was done until ``now``.

        Args:
            files: in all, since the phase began.
            size_bytes: likewise.
            now: at least :data:`STEP_S` after the last look; else nothing is measured yet.
        """
        passed_s = now - self.at
        if passed_s < STEP_S:
            return self
        done_bytes, done_files = size_bytes - self.bytes, files - self.files
        return attrs.evolve(
            self,
            at=now,
            files=files,
            bytes=size_bytes,
            bytes_s=_smoothed(self.bytes_s, done_bytes / passed_s, passed_s),
            work_s=_smoothed(self.work_s, _work(done_files, done_bytes) / passed_s, passed_s),
        )

    def shown(self, files: int, size_bytes: int) -> Progress:
        """How far it is.

        Args:
            files: done in all, since the phase began.
            size_bytes: likewise.
        """
        return Progress(
            phase=self.phase.value,
            files=files,
            files_total=self.files_total,
            bytes=size_bytes,
            bytes_total=self.bytes_total,
            bytes_s=None if self.bytes_s is None else round(self.bytes_s, 1),
            remaining_s=self._remaining_s(files, size_bytes),
        )

    def _remaining_s(self, files: int, size_bytes: int) -> float | None:
        if self.files_total is None or self.bytes_total is None or not self.work_s:
            return None
        rest_files = max(0, self.files_total - files)
        rest_bytes = max(0, self.bytes_total - size_bytes)
        return round(_work(rest_files, rest_bytes) / self.work_s, 1)


def _work(files: int, size_bytes: int) -> int:
    return size_bytes + files * FILE_BYTES


def _smoothed(before: float | None, now: float, passed_s: float) -> float:
    """A moving average over :data:`SMOOTH_S`, whatever the times between two measurements."""
    if before is None:
        return now
    return now + (before - now) * math.exp(-passed_s / SMOOTH_S)
