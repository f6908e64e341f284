"""Entries of systemd's journal, against a socket of our own; tests/systemd has the real one."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbs.cli.flood import BURST_LINES, FloodFilter
from sbs.cli.journald import PAUSE_S, JournalHandler, entry
from sbs.cli.lines import MAX_FIELD_CHARS, MAX_LINE_CHARS, MAX_TRACEBACK_CHARS
from sbs.log import ERROR, Log
from tests.checks.test_log_events import MAX_FIELDS
from tests.cli.records import MOVED, Speechless, plain_record, raised, record_of

DATAGRAM_BYTES = 212_992 - 32
"""What Linux takes where nobody has set ``net.core.wmem_default``."""


class Kept(logging.Handler):
    """Standard error of a node whose journal fails."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


class Journal:
    """Takes datagrams, like journald."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1000.0
        self.kept = Kept()
        self.handler = JournalHandler(self.kept, str(path), lambda: self.now)
        self._socket: socket.socket | None = None

    def open(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self.path))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self.path.unlink()
            self._socket = None

    def read(self) -> bytes:
        assert self._socket is not None
        return self._socket.recv(1 << 20)

    def is_empty(self) -> bool:
        try:
            self.read()
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal that is there, and takes what the module of the handler says, too."""
    journal = Journal(tmp_path / "socket")
    journal.open()
    logger = logging.getLogger("sbs.cli.journald")
    logger.addHandler(journal.handler)
    yield journal
    logger.removeHandler(journal.handler)
    journal.handler.close()
    journal.close()


def test_an_event_is_an_entry_with_its_fields(journal: Journal) -> None:
    journal.handler.handle(record_of(MOVED, path="/srv/é", duration_s=0.5))
    assert journal.read() == (
        b"MESSAGE=/srv/\xc3\xa9 moved in 0.5 s\n"
        b"PRIORITY=6\n"
        b"SYSLOG_IDENTIFIER=sbs\n"
        b"SBS_LOGGER=sbs.x\n"
        b"SBS_EVENT=file-moved\n"
        b"SBS_PATH=/srv/\xc3\xa9\n"
        b"SBS_DURATION_S=0.5\n"
    )


def test_a_value_with_line_feeds_comes_with_its_length(journal: Journal) -> None:
    """So a name in a folder can forge no field; the sentence has it escaped."""
    journal.handler.handle(record_of(MOVED, path="a\nPRIORITY=0", duration_s=1))
    data = journal.read()
    assert data.startswith(b"MESSAGE=a\\nPRIORITY=0 moved in 1.0 s\nPRIORITY=6\n")
    assert b"\nSBS_PATH\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nSBS_DURATION_S=1\n" in data


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3)],
)
def test_levels_are_those_of_syslog(level: int, priority: int) -> None:
    """And a line of no event has no more fields."""
    assert entry(plain_record("text", level=level)) == (
        b"MESSAGE=text\nPRIORITY=%d\nSYSLOG_IDENTIFIER=sbs\nSBS_LOGGER=sbs.x\n" % priority
    )


def test_a_bug_is_shown_with_its_traceback() -> None:
    data = entry(record_of(MOVED, raised("why"), path="a", duration_s=1))
    name, rest = data.split(b"\n", 1)
    assert name == b"MESSAGE"
    length, text = int.from_bytes(rest[:8], "little"), rest[8:]
    assert text[:length].startswith(b"a moved in 1.0 s\nTraceback (most recent call last):\n")
    assert text[:length].endswith(b"\nValueError: why")
    assert text[length:].startswith(b"\nPRIORITY=6\n")


def test_the_longest_entry_is_one_datagram(journal: Journal) -> None:
    """Of the most fields, each as long as can be, in letters of four bytes, with a traceback."""
    names = "abcdefgh"[:MAX_FIELDS]
    text = "".join(f"{{{name}}}" for name in names)
    event = Log("sbs.x").event("long", ERROR, text, "So.")
    letter = "\U0001f600"
    fields = dict.fromkeys(names, letter * (MAX_FIELD_CHARS + 1))
    record = record_of(event, raised(letter * (MAX_TRACEBACK_CHARS + 1)), **fields)
    assert len(record.getMessage()) > MAX_LINE_CHARS
    journal.handler.handle(record)
    assert journal.kept.texts == []
    assert 150_000 < len(journal.read()) < DATAGRAM_BYTES


def test_a_flood_is_counted_in_the_journal_too(journal: Journal) -> None:
    flood = FloodFilter(lambda: journal.now)
    for _ in range(BURST_LINES + 3):
        flood.filter(plain_record("line"))
    journal.now += 60.0
    journal.handler.addFilter(flood)
    journal.handler.handle(plain_record("line"))
    data = journal.read()
    assert data.startswith(b"MESSAGE=line (3 lines before it were left out)\n")
    assert b"\nSBS_LEFT_OUT=3\n" in data


def test_a_journal_that_is_gone_is_told_of_once_and_tried_again(journal: Journal) -> None:
    journal.close()
    journal.handler.handle(plain_record("first"))
    journal.now += PAUSE_S - 1
    journal.handler.handle(plain_record("second"))
    said, *texts = journal.kept.texts
    assert said == (
        f"the journal at {journal.path} cannot be reached: [Errno 2] No such file or directory; "
        "lines go to standard error as text"
    )
    assert texts == ["first", "second"]

    journal.now += PAUSE_S
    journal.handler.handle(plain_record("third"))
    assert journal.kept.texts[3:] == ["third"]  # not told again

    journal.open()
    journal.now += PAUSE_S
    journal.handler.handle(plain_record("fourth"))
    assert journal.read().startswith(b"MESSAGE=fourth\n")
    assert journal.kept.texts[4:] == []

    journal.close()
    journal.handler.handle(plain_record("fifth"))
    assert journal.kept.texts[4:] == [said, "fifth"]


def test_a_journal_that_does_not_read_holds_nothing_up(journal: Journal) -> None:
    """The queue of a socket is full after some; then a line waits once, and the rest go on."""
    for number in range(3000):
        journal.handler.handle(plain_record("%d", number))
    assert "timed out" in journal.kept.texts[0]
    assert journal.kept.texts[-1] == "2999"
    journal.read()


def test_a_value_that_has_no_text_loses_no_entry(journal: Journal) -> None:
    journal.handler.handle(record_of(MOVED, path=Speechless(), duration_s=1))
    data = journal.read()
    assert data.startswith(b"MESSAGE={path} moved in {duration_s:.1f} s (a field has no text: ")
    assert b"\nSBS_PATH=(Speechless has no text: ZeroDivisionError)\nSBS_DURATION_S=1\n" in data
