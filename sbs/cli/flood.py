"""A bound on what the log takes in: whatever a peer provokes fills no disk."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import attrs

BURST_LINES: Final = 2000
"""Lines of a module at once: twice the problems that are listed of one update."""

LINES_S: Final = 20.0
"""Lines of a module in a second in the long run: a peer that provokes errors fills no disk."""

_LEFT_OUT: Final = "sbs_left_out"
"""Attribute of a record; no field of an event can be called so, for they are in its ``msg``."""


def left_out_before(record: logging.LogRecord) -> int:
    """How many lines of its module were left out before this one."""
    return int(getattr(record, _LEFT_OUT, 0))


class FloodFilter(logging.Filter):
    """Leaves lines of a module out where it says too much, and notes how many; none of level debug.

    Each module has room of its own: what a flood of one leaves out is never another's takeover.

    Args:
        clock: seconds, ever ascending.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._rooms: defaultdict[str, _Room] = defaultdict(lambda: _Room(clock()))

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether there is room for a line."""
        if record.levelno < logging.INFO:
            return True
        room = self._rooms[record.name]
        if not room.take(self._clock()):
            return False
        if room.left_out:
            setattr(record, _LEFT_OUT, room.left_out)
            room.left_out = 0
        return True


@attrs.define
class _Room:
    """Of one module.

    Args:
        at: when it was counted last.
        lines: that may follow at once.
        left_out: since the last one.
    """

    at: float
    lines: float = BURST_LINES
    left_out: int = 0

    def take(self, now: float) -> bool:
        """Whether there is room for one more."""
        self.lines = min(self.lines + LINES_S * (now - self.at), BURST_LINES)
        self.at = now
        if self.lines < 1:
            self.left_out += 1
            return False
        self.lines -= 1
        return True
