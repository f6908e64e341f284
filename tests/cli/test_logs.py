"""The log of a node: events, in the form that fits, in short lines, and not without end."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sbs.cli.flood import BURST_LINES, LINES_S, FloodFilter
from sbs.cli.lines import (
    MAX_FIELD_CHARS,
    MAX_LINE_CHARS,
    MAX_TRACEBACK_CHARS,
    JsonFormatter,
    LineFormatter,
    Value,
)
from sbs.cli.logs import fitting, start_log
from sbs.cli.text import plain
from sbs.log import WARNING, Log, LoggedEvent
from tests.cli.records import MOVED, Speechless, plain_record, raised, record_of

# Events.


def test_a_call_logs_a_value_whose_text_is_the_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """A program that embeds SBS gets name and fields, and any handler the sentence."""
    caplog.set_level(logging.INFO)
    MOVED(path="a", duration_s=1.25)
    (record,) = caplog.records
    assert record.getMessage() == "a moved in 1.2 s"
    assert (record.name, record.levelno, record.filename) == ("sbs.x", logging.INFO, "test_logs.py")
    assert isinstance(record.msg, LoggedEvent)
    assert record.msg.name == "file-moved"
    assert record.msg.fields == {"path": "a", "duration_s": 1.25}


def test_an_event_has_the_fields_of_its_text_and_no_others() -> None:
    for call in (partial(MOVED), partial(MOVED, path=1), partial(MOVED, path=1, duration_s=1, a=1)):
        with pytest.raises(TypeError, match="the event file-moved has the fields path, duration_s"):
            call()


def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    broken = Log("sbs.x").event("broken", WARNING, "broken", "Report it.")
    broken(exc_info=raised("the bug"))
    assert "ValueError: the bug" in caplog.text


# Lines.


def test_a_line_has_an_end() -> None:
    line = LineFormatter().format(plain_record("x" * 100_000))
    assert len(line) < MAX_LINE_CHARS + 100
    assert line.endswith("xxx...")


def test_an_event_is_a_line_of_text_with_time_and_level() -> None:
    line = LineFormatter().format(record_of(MOVED, path="a", duration_s=2))
    assert line.split(" ", 1)[1] == "INFO    a moved in 2.0 s"


@pytest.mark.parametrize("make", [LineFormatter, JsonFormatter])
def test_nothing_that_a_name_holds_breaks_a_line_or_reaches_a_terminal(
    make: type[logging.Formatter],
) -> None:
    """B62: line ends of all kinds, terminal codes, and names that are no UTF-8."""
    name = "a\n\r\x0b\x0c\x1c\x85\u2028\u2029\x1b[31m\x00\udcff"
    line = make().format(record_of(MOVED, path=name, duration_s=1))
    assert line.isprintable()
    line.encode()


def test_what_is_cut_off_is_not_escaped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of control characters held a node up for half a second."""
    seen: list[int] = []

    def counted(text: str) -> str:
        seen.append(len(text))
        return plain(text)

    monkeypatch.setattr("sbs.cli.lines.plain", counted)
    record = record_of(MOVED, raised("\0" * 1_000_000), path="\0" * 1_000_000, duration_s=1)
    line = JsonFormatter().format(record)
    assert max(seen) <= MAX_TRACEBACK_CHARS + 1
    found = json.loads(line)
    assert found["text"] == "\\x00" * (MAX_LINE_CHARS // 4) + "..."
    assert found["fields"]["path"] == "\0" * MAX_FIELD_CHARS + "..."


def test_an_error_that_has_no_text_loses_no_line() -> None:
    line = LineFormatter().format(record_of(MOVED, path=Speechless(), duration_s=1))
    assert line.endswith(
        " INFO    {path} moved in {duration_s:.1f} s (a field has no text: ZeroDivisionError)"
    )
    line = LineFormatter().format(plain_record("%d done", "none", level=logging.DEBUG))
    assert line.endswith(" DEBUG   %d done (a field has no text: TypeError)")


def test_a_traceback_is_below_its_line_and_as_harmless() -> None:
    line = LineFormatter().format(record_of(MOVED, raised("\x1b[31m"), path="a", duration_s=1))
    first, second, *_, last = line.split("\n")
    assert first.endswith("a moved in 1.0 s")
    assert second == "Traceback (most recent call last):"
    assert last == "ValueError: \\x1b[31m"


def test_an_event_is_an_object_of_json() -> None:
    found = json.loads(JsonFormatter().format(record_of(MOVED, path="a", duration_s=0.5)))
    assert found.pop("time").startswith("20")
    assert found == {
        "level": "info",
        "logger": "sbs.x",
        "event": "file-moved",
        "text": "a moved in 0.5 s",
        "fields": {"path": "a", "duration_s": 0.5},
    }


def test_a_line_without_an_event_is_an_object_all_the_same() -> None:
    found = json.loads(JsonFormatter().format(plain_record("%d done", 7, level=logging.DEBUG)))
    assert (found["event"], found["fields"], found["text"]) == (None, {}, "7 done")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (signal.SIGTERM, 15),
        ("é\n", "é\n"),
        ("\udcff", "\\udcff"),
        (b"a\xff", "a\\xff"),
        (Path("/srv"), "/srv"),
        (ValueError("why"), "why"),
        (TimeoutError(), "TimeoutError()"),
        ("x" * 5000, "x" * MAX_FIELD_CHARS + "..."),
    ],
)
def test_a_field_is_what_json_has_or_text(value: object, shown: Value) -> None:
    event = Log("sbs.x").event("seen", WARNING, "{what}", "So.")
    assert json.loads(JsonFormatter().format(record_of(event, what=value)))["fields"] == {
        "what": shown
    }


def test_a_bug_is_an_object_with_the_end_of_its_traceback() -> None:
    record = record_of(MOVED, raised("x" * 2 * MAX_TRACEBACK_CHARS + "end"), path="", duration_s=1)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    traceback = json.loads(line)["traceback"]
    assert len(traceback) == len("...") + MAX_TRACEBACK_CHARS
    assert traceback.endswith("xend")


# Which form, and where to.


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """Standard error is a file; what is added to the loggers is taken away again."""
    logger = logging.getLogger("sbs")
    handlers, level = [*logger.handlers], logger.level
    yield tmp_path / "log"
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers = handlers
    logger.setLevel(level)


def test_a_file_gets_json_and_what_the_journal_has_its_entries(file: Path) -> None:
    """systemd names device and inode of what it has connected, and others inherit the variable."""
    with file.open("w") as stream:
        found = os.fstat(stream.fileno())
        mine = f"{found.st_dev}:{found.st_ino}"
        assert fitting(stream, {}) == "json"
        assert fitting(stream, {"JOURNAL_STREAM": mine}) == "journal"
        assert fitting(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}) == "json"
        assert fitting(stream, {"JOURNAL_STREAM": "nonsense"}) == "json"


def test_a_terminal_gets_text() -> None:
    ours, theirs = os.openpty()
    with open(ours, "rb"), open(theirs, "w") as stream:
        found = os.fstat(stream.fileno())
        assert fitting(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}) == "text"


@pytest.mark.parametrize("form", ["auto", "json", "text"])
def test_the_log_has_what_is_as_important_as_asked(
    file: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file.open("w") as stream, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        start_log("warning", form)
        MOVED(path="no", duration_s=1)
        logging.getLogger("sbs.other").warning("yes")
    (line,) = file.read_text().splitlines()
    assert line.startswith("{") is (form != "text")
    assert "yes" in line


def test_a_node_without_standard_error_runs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts SBS may have closed it; what Python has then is None."""
    for form in ("auto", "text", "json"):
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", None)
            start_log("warning", form)
        handler = logging.getLogger("sbs").handlers[-1]
        assert isinstance(handler, logging.StreamHandler)
        with handler.stream:
            logging.getLogger("sbs.other").warning("to nobody")


# Floods.


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def flood(now: list[float]) -> FloodFilter:
    return FloodFilter(lambda: now[0])


def test_a_flood_is_cut_and_counted(now: list[float], flood: FloodFilter) -> None:
    """B62, adversarial case 10: whatever a peer provokes."""
    kept = [flood.filter(plain_record("line %d", number)) for number in range(BURST_LINES + 50)]
    assert kept.count(True) == BURST_LINES
    assert kept[-50:] == [False] * 50
    now[0] += 1.5 / LINES_S
    last = record_of(MOVED, path="a", duration_s=1)
    assert flood.filter(last)
    text = "a moved in 1.0 s (50 lines before it were left out)"
    assert LineFormatter().format(last).endswith(f" {text}")
    found = json.loads(JsonFormatter().format(last))
    assert (found["text"], found["left_out"], found["event"]) == (text, 50, "file-moved")
    assert not flood.filter(plain_record("one more"))


def test_a_quiet_hour_makes_room_for_a_burst_and_no_more(
    now: list[float], flood: FloodFilter
) -> None:
    now[0] += 3600.0
    kept = [flood.filter(plain_record("line")) for _ in range(2 * BURST_LINES)]
    assert kept.count(True) == BURST_LINES


def test_a_flood_of_one_module_hides_nothing_of_another(flood: FloodFilter) -> None:
    """What an operator looks for at three in the morning is there, whoever knocks."""
    for _ in range(2 * BURST_LINES):
        flood.filter(plain_record("a caller was turned away"))
    other = plain_record("role primary, epoch 7", name="sbs.y")
    assert flood.filter(other)
    assert LineFormatter().format(other).endswith(" role primary, epoch 7")


def test_who_asks_for_every_detail_gets_it(flood: FloodFilter) -> None:
    for _ in range(BURST_LINES + 1):
        assert flood.filter(plain_record("detail", level=logging.DEBUG))
    assert flood.filter(plain_record("a warning"))
