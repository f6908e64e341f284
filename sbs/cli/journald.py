"""The log as entries of systemd's journal, by its native protocol.

A datagram is an entry: ``NAME=value`` and a line feed for each field; a value with line feeds
comes as the name, a line feed, its length in 8 bytes (least first), the value, and a line feed.
Source: "Native Journal Protocol" of systemd's documentation. Entries too long for a datagram, for
which it has a file in memory, do not occur: what a record says is cut (``lines.py``), so that the
longest has some 180 KB, and Linux takes 208 KiB where nobody has set it lower.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO

from sbs.cli.flood import left_out_before
from sbs.cli.lines import event_of, fields_of, sentence, traceback_of
from sbs.log import WARNING, Log

SOCKET: Final = "/run/systemd/journal/socket"
"""Where journald takes entries."""

STREAM_VARIABLE: Final = "JOURNAL_STREAM"
"""Set by systemd: device and inode of what it has connected to the journal (systemd.exec(5))."""

IDENTIFIER: Final = "sbs"
"""``journalctl -t sbs`` shows the nodes of a machine, however they were started."""

SEND_S: Final = 0.1
"""How long an entry waits for a journal that does not keep up: less than a heartbeat."""

PAUSE_S: Final = 10.0
"""How long lines go to standard error before a journal that failed is tried again."""

_PRIORITIES: Final = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""Of syslog."""

_log = Log(__name__)
_UNREACHED = _log.event(
    "journal-unreached",
    WARNING,
    "the journal at {address} cannot be reached: {error}; lines go to standard error as text",
    "SBS works on, and tries the journal again every ten seconds; lines of that time have no "
    "fields. Look at `systemctl status systemd-journald`.",
)


def is_journal(stream: TextIO, journal_stream: str) -> bool:
    """Whether a stream goes to the journal.

    Args:
        stream: of this process.
        journal_stream: what :data:`STREAM_VARIABLE` says; empty if it is not set.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or not a file
        return False
    return journal_stream == f"{found.st_dev}:{found.st_ino}"


def entry(record: logging.LogRecord) -> bytes:
    """The datagram of one record."""
    return b"".join(_field(name, value) for name, value in _fields(record))


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    traceback = traceback_of(record)
    yield "MESSAGE", f"{sentence(record)}\n{traceback}" if traceback else sentence(record)
    yield "PRIORITY", str(_PRIORITIES.get(record.levelno, 6))
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    yield "SBS_LOGGER", record.name
    if event := event_of(record):
        yield "SBS_EVENT", event
    if left_out := left_out_before(record):
        yield "SBS_LEFT_OUT", str(left_out)
    for name, value in fields_of(record).items():
        yield f"SBS_{name.upper()}", value if isinstance(value, str) else json.dumps(value)


def _field(name: str, value: str) -> bytes:
    data = value.encode()
    if b"\n" in data:
        return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
    return b"%s=%s\n" % (name.encode(), data)


class JournalHandler(logging.Handler):
    """Writes entries to the journal; where it fails, lines to another handler for a while.

    Args:
        fallback: takes what the journal does not; it has no filter of its own.
        address: of journald's socket.
        clock: seconds, ever ascending.
    """

    def __init__(
        self,
        fallback: logging.Handler,
        address: str = SOCKET,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._fallback = fallback
        self._address = address
        self._clock = clock
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(SEND_S)
        self._again_at = 0.0
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one entry."""
        if self._clock() < self._again_at:
            self._fallback.handle(record)
            return
        try:
            self._socket.sendto(entry(record), self._address)
            self._told = False
        except OSError as error:
            self._again_at = self._clock() + PAUSE_S
            if not self._told:
                self._told = True
                _UNREACHED(address=self._address, error=error)
            self._fallback.handle(record)
        except Exception:  # as handlers of logging do: no line ends a node
            self.handleError(record)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()
        super().close()
