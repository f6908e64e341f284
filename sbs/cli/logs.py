"""The log of ``sbs run``: one line an event, as text, as JSON, or as an entry of the journal.

``docs/log.md`` shows each form.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final, TextIO

from sbs.cli.flood import FloodFilter
from sbs.cli.journald import STREAM_VARIABLE, JournalHandler, is_journal
from sbs.cli.lines import JsonFormatter, LineFormatter

LEVELS: Final = ("debug", "info", "warning", "error")

if sys.platform == "linux":
    FORMATS: Final = ("auto", "text", "json", "journal")
else:  # there is no journal
    FORMATS: Final = ("auto", "text", "json")


def fitting(stream: TextIO, environment: Mapping[str, str]) -> str:
    """The format that whoever reads ``stream`` can do most with.

    Args:
        stream: standard error.
        environment: of this process; systemd says there what it has connected to the journal.

    Returns:
        one of :data:`FORMATS`, but not ``auto``.
    """
    if stream.isatty():
        return "text"
    if is_journal(stream, environment.get(STREAM_VARIABLE, "")):
        return "journal"
    return "json"


def start_log(level: str, form: str = "auto") -> None:
    """Send the log of SBS to standard error, or to the journal.

    Args:
        level: one of :data:`LEVELS`, the least important that is written.
        form: one of :data:`FORMATS`.
    """
    # None where whoever started SBS has closed it; the next file opened would be in its place.
    stream: TextIO = sys.stderr or open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    if form == "auto":
        form = fitting(stream, os.environ)
    handler: logging.Handler = logging.StreamHandler(stream)
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        colour = stream.isatty() and not os.environ.get("NO_COLOR")
        handler.setFormatter(LineFormatter(colour=colour))
    if form == "journal":
        handler = JournalHandler(handler)
    handler.addFilter(FloodFilter())
    logger = logging.getLogger("sbs")
    logger.setLevel(level.upper())
    logger.addHandler(handler)
