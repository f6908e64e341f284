"""The log of ``sbs run``: standard error, one line an event."""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Final

import click

from sbs.cli.text import plain

LEVELS: Final = ("debug", "info", "warning", "error")

_COLOURS: Final = {"DEBUG": "bright_black", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


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
        line = f"{at.isoformat(timespec='milliseconds')} {level} {plain(record.getMessage())}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def log_to_stderr(level: str) -> None:
    """Send the log of SBS, from ``level`` on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(colour=sys.stderr.isatty()))
    logger = logging.getLogger("sbs")
    logger.setLevel(level.upper())
    logger.addHandler(handler)
