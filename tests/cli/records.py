"""Records of the log, as they come to a handler."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from sbs.log import INFO, Event, Log, LoggedEvent

MOVED: Event = Log("sbs.x").event("file-moved", INFO, "{path} moved in {duration_s:.1f} s", "So.")
"""An event of no module."""


class Speechless(Exception):  # noqa: N818 - of an adapter, which calls it as it likes
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def plain_record(
    text: object, *args: object, level: int = logging.WARNING, name: str = "sbs.x"
) -> logging.LogRecord:
    """A record without an event, as third-party adapters and debug lines make it."""
    return logging.LogRecord(name, level, "x.py", 1, text, args, None)


def record_of(
    event: Event, bug: BaseException | None = None, **fields: object
) -> logging.LogRecord:
    """A record of an event."""
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | None = None
    if bug is not None:
        exc_info = type(bug), bug, bug.__traceback__
    logged = LoggedEvent(event, fields)
    return logging.LogRecord(event.logger.name, event.level, "x.py", 1, logged, None, exc_info)


def raised(text: str) -> ValueError:
    """An error with a traceback."""
    try:
        raise ValueError(text)
    except ValueError:
        error = sys.exc_info()[1]
        assert isinstance(error, ValueError)
        return error
