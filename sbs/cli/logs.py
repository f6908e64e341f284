"""The log of ``sbs run``: standard error, one line an event."""

from __future__ import annotations

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Final

import attrs
import click

from sbs.cli.text import plain

LEVELS: Final = ("debug", "info", "warning", "error")

_COLOURS: Final = {"DEBUG": "bright_black", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


MAX_LINE_CHARS: Final = 8192
"""Of one line: a path or two of full length, and what is wrong with them."""

BURST_LINES: Final = 2000
"""Lines of a module at once: twice the problems that are listed of one update."""

LINES_S: Final = 20.0
"""Lines of a module in a second in the long run: a peer that provokes errors fills no disk."""


class LineFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.123+01:00 INFO message``, in local time.

    A message never spans lines; a traceback, which only a bug of SBS brings here, follows below.

    Args:
        colour: mark levels, for a terminal.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line of one event."""
        at = datetime.fromtimestamp(record.created).astimezone()
        level = f"{record.levelname:<7}"
        if self._colour and record.levelname in _COLOURS:
            level = click.style(level, fg=_COLOURS[record.levelname])
        message = record.getMessage()
        if len(message) > MAX_LINE_CHARS:
            message = f"{message[:MAX_LINE_CHARS]}..."
        line = f"{at.isoformat(timespec='milliseconds')} {level} {plain(message)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class FloodFilter(logging.Filter):
    """Leaves lines of a module out where it says too much, and says how many; none of level debug.

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
            record.msg = f"{record.getMessage()} ({room.left_out} lines before it were left out)"
            record.args = None
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


def log_to_stderr(level: str) -> None:
    """Send the log of SBS, from ``level`` on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(colour=sys.stderr.isatty()))
    handler.addFilter(FloodFilter())
    logger = logging.getLogger("sbs")
    logger.setLevel(level.upper())
    logger.addHandler(handler)
