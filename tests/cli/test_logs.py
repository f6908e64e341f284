"""The log of a node: short lines, and not without end."""

from __future__ import annotations

import logging

import pytest

from sbs.cli.logs import BURST_LINES, LINES_S, MAX_LINE_CHARS, FloodFilter, LineFormatter


def record(
    text: str, *args: object, level: int = logging.WARNING, name: str = "sbs.x"
) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, text, args, None)


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def flood(now: list[float]) -> FloodFilter:
    return FloodFilter(lambda: now[0])


def test_a_flood_is_cut_and_counted(now: list[float], flood: FloodFilter) -> None:
    """B62, adversarial case 10: whatever a peer provokes."""
    kept = [flood.filter(record("line %d", number)) for number in range(BURST_LINES + 50)]
    assert kept.count(True) == BURST_LINES
    assert kept[-50:] == [False] * 50
    now[0] += 1.5 / LINES_S
    last = record("the next, %s", "again")
    assert flood.filter(last)
    assert last.getMessage() == "the next, again (50 lines before it were left out)"
    assert not flood.filter(record("one more"))


def test_a_quiet_hour_makes_room_for_a_burst_and_no_more(
    now: list[float], flood: FloodFilter
) -> None:
    now[0] += 3600.0
    kept = [flood.filter(record("line")) for _ in range(2 * BURST_LINES)]
    assert kept.count(True) == BURST_LINES


def test_a_flood_of_one_module_hides_nothing_of_another(flood: FloodFilter) -> None:
    """What an operator looks for at three in the morning is there, whoever knocks."""
    for _ in range(2 * BURST_LINES):
        flood.filter(record("a caller was turned away"))
    other = record("role primary, epoch 7", name="sbs.y")
    assert flood.filter(other)
    assert other.getMessage() == "role primary, epoch 7"


def test_who_asks_for_every_detail_gets_it(flood: FloodFilter) -> None:
    for _ in range(BURST_LINES + 1):
        assert flood.filter(record("detail", level=logging.DEBUG))
    assert flood.filter(record("a warning"))


def test_a_line_has_an_end() -> None:
    line = LineFormatter().format(record("x" * 100_000))
    assert len(line) < MAX_LINE_CHARS + 100
    assert line.endswith("xxx...")
