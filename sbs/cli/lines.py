"""Lines of the log: what a record says, as text and as JSON, of a bounded length."""

from __future__ import annotations

import json
import logging
import math
from datetime import datetime
from typing import Final, TypeAlias

import click

from sbs.cli.flood import left_out_before
from sbs.cli.text import plain
from sbs.log import LoggedEvent

MAX_LINE_CHARS: Final = 8192
"""Of a sentence: a path or two of full length, and what is wrong with them."""

MAX_FIELD_CHARS: Final = 4096
"""Of one field: a path of full length."""

MAX_TRACEBACK_CHARS: Final = 16_384
"""Of a traceback, counted from its end, where the error is."""

_COLOURS: Final = {"DEBUG": "bright_black", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}

Value: TypeAlias = bool | int | float | str | None
"""Of a field, as JSON has it."""

_formatter: Final = logging.Formatter()


def sentence(record: logging.LogRecord) -> str:
    """What a record says, on one line, without control characters."""
    # What is cut off is never escaped: a peer's megabyte would hold the node up.
    text = plain(_said(record)[: MAX_LINE_CHARS + 1])
    if len(text) > MAX_LINE_CHARS:
        text = f"{text[:MAX_LINE_CHARS]}..."
    left_out = left_out_before(record)
    return f"{text} ({left_out} lines before it were left out)" if left_out else text


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # code of an adapter, or a wrong line of level debug
        known = record.msg.event.text if isinstance(record.msg, LoggedEvent) else record.msg
        return f"{_told(known)} (a field has no text: {type(error).__name__})"


def traceback_of(record: logging.LogRecord) -> str:
    """The traceback, which only a bug brings into the log, in plain lines; else an empty text."""
    if not record.exc_info:
        return ""
    found = _formatter.formatException(record.exc_info)[-MAX_TRACEBACK_CHARS - 1 :]
    text = "\n".join(map(plain, found.split("\n")))
    return text if len(text) <= MAX_TRACEBACK_CHARS else f"...{text[-MAX_TRACEBACK_CHARS:]}"


def event_of(record: logging.LogRecord) -> str:
    """The name of the event; empty for lines of level debug, and for those of other programs."""
    return record.msg.name if isinstance(record.msg, LoggedEvent) else ""


def fields_of(record: logging.LogRecord) -> dict[str, Value]:
    """The fields of the event, each as JSON can have it."""
    if not isinstance(record.msg, LoggedEvent):
        return {}
    return {name: _value(value) for name, value in record.msg.fields.items()}


def _value(value: object) -> Value:
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case bytes():
            text = value[: MAX_FIELD_CHARS + 1].decode(errors="backslashreplace")
        case BaseException():
            text = _told(value) or repr(value)
        case _:
            text = _told(value)
    # Names of files that are no UTF-8 come as surrogates, which no encoding of it takes.
    text = text[: MAX_FIELD_CHARS + 1].encode(errors="backslashreplace").decode()
    return text if len(text) <= MAX_FIELD_CHARS else f"{text[:MAX_FIELD_CHARS]}..."


def _told(value: object) -> str:
    """``str`` of it; of an adapter's error, whose own code may fail, at least what it is."""
    try:
        return str(value)
    except Exception as error:
        return f"({type(value).__name__} has no text: {type(error).__name__})"


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created).astimezone()
    return at.isoformat(timespec="milliseconds")


class LineFormatter(logging.Formatter):
    """``2026-01-31T12:00:00.123+01:00 INFO message``, in local time.

    A message never spans lines; a traceback follows below.

    Args:
        colour: mark levels, for a terminal.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line of one event."""
        level = f"{record.levelname:<7}"
        if self._colour and record.levelname in _COLOURS:
            level = click.style(level, fg=_COLOURS[record.levelname])
        line = f"{_time(record)} {level} {sentence(record)}"
        traceback = traceback_of(record)
        return f"{line}\n{traceback}" if traceback else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII; ``docs/log.md`` has its keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one event."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event_of(record) or None,
            "text": sentence(record),
            "fields": fields_of(record),
        }
        if left_out := left_out_before(record):
            line["left_out"] = left_out
        if traceback := traceback_of(record):
            line["traceback"] = traceback
        return json.dumps(line)
