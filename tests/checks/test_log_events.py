"""What is logged is declared, and docs/log.md lists it."""

from __future__ import annotations

import ast
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbs.cli import SECTIONS
from sbs.cli.catalogue import catalogue, events
from sbs.cli.lines import JsonFormatter
from sbs.config.declare import Section
from sbs.config.settings import FILE
from sbs.core.alarm import Alarm
from sbs.log import ERROR, INFO, WARNING, Event, Log, LoggedEvent

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "log.md").read_text("utf-8")
ELSEWHERE = {ROOT / "sbs" / "log.py", ROOT / "sbs" / "cli" / "logs.py"}
"""Where loggers are made for all modules, and where the application says where lines go."""

SOURCES = {
    path: source
    for path in sorted(ROOT.glob("sbs/**/*.py"))
    for source in [path.read_text("utf-8")]
    if path not in ELSEWHERE and ("_log" in source or "getLogger" in source)
}

MAX_FIELDS = 5
"""Of an event; with them the longest entry fits into a datagram (``sbs/cli/journald.py``)."""

RESERVED = {"exc_info", "event", "left_out", "logger"}
"""No fields: a keyword of the call, and what the journal's entry has anyhow."""

EVENTS = {event.name: event for event in events()}


def is_declaration(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "_log.event"


def problems(source: str) -> Iterator[str]:
    """What is wrong with the declarations and the calls of one module."""
    tree = ast.parse(source)
    declared: dict[str, Event] = {}
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Call() as call):
                if is_declaration(call):
                    texts = [ast.literal_eval(call.args[place]) for place in (0, 2, 3)]
                    declared[name] = Log("sbs.x").event(texts[0], INFO, *texts[1:])
    nodes = list(ast.walk(tree))
    if sum(map(is_declaration, nodes)) != len(declared):
        yield "an event is declared elsewhere than at the top, or twice by one name"
    called: set[str] = set()
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(name), args=args, keywords=keywords) if name in declared:
                called.add(name)
                given = [keyword.arg for keyword in keywords if keyword.arg != "exc_info"]
                if args or sorted(given, key=str) != sorted(declared[name].fields):
                    yield f"line {node.lineno}: {name} has the fields {declared[name].fields}"
            case ast.Attribute(value=ast.Name("logging"), attr="getLogger"):
                yield f"line {node.lineno}: a logger of its own"
    yield from (f"{name} is never called" for name in declared if name not in called)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_event_is_called_with_the_fields_of_its_text(path: Path) -> None:
    assert not list(problems(SOURCES[path]))


_DECLARED = '_E = _log.event("a-b", INFO, "{x} and {y!r}", "So.")\n'


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (_DECLARED, "_E is never called"),
        (_DECLARED + "_E(x=1)", "has the fields"),
        (_DECLARED + "_E(x=1, y=2, z=3)", "has the fields"),
        (_DECLARED + "_E(1, y=2)", "has the fields"),
        (_DECLARED + "_E(**found)", "has the fields"),
        (_DECLARED + _DECLARED + "_E(x=1, y=2)", "twice"),
        (f"def f():\n    {_DECLARED}", "elsewhere"),
        ("_log = logging.getLogger(__name__)", "a logger of its own"),
    ],
)
def test_the_check_finds_what_is_wrong(source: str, says: str) -> None:
    (found,) = problems(source)
    assert says in found


def test_the_check_takes_what_is_right() -> None:
    assert not list(problems(_DECLARED + "_E(exc_info=error, y=2, x=1)"))


def test_no_name_is_used_twice_and_no_declaration_is_missed() -> None:
    nodes = (node for source in SOURCES.values() for node in ast.walk(ast.parse(source)))
    declared = sum(map(is_declaration, nodes))
    assert len(EVENTS) == len(events()) == declared


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_is_well_declared(event: Event) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", event.name)
    assert event.level in (INFO, WARNING, ERROR)
    assert event.meaning.endswith(".")
    assert len(event.fields) <= MAX_FIELDS
    assert not RESERVED & {*event.fields}
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in event.fields)
    # Only what is measured in seconds is formatted as a number.
    fields = {name: 1.5 if name.endswith("_s") else "x" for name in event.fields}
    assert "{" not in str(LoggedEvent(event, fields))


def _keys(section: Section, prefix: str = "") -> Iterator[str]:
    for name, declaration in section.declarations.items():
        yield prefix + name
        if isinstance(declaration, Section):
            yield from _keys(declaration, f"{prefix}{name}.")


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_what_an_event_advises_exists(event: Event) -> None:
    keys, commands = {*_keys(FILE)}, {name for names in SECTIONS.values() for name in names}
    quoted = re.findall(r"`([^`]+)`", event.meaning)
    for text in quoted:
        if re.fullmatch(r"[a-z]+\.[a-z_]+", text):
            assert text in keys
        if text.startswith("sbs "):
            assert text.split()[1] in commands
    for name in re.findall(r"the alarm `([^`]+)`", event.meaning):
        assert name in set(Alarm)
    for name in re.findall(r"As for `([^`]+)`", event.meaning):
        assert name in EVENTS


def test_the_page_ends_with_the_catalogue_made_from_the_code() -> None:
    assert PAGE.partition("\n## Events\n")[2].partition("\n| event ")[2] == (
        catalogue().removeprefix("| event ")
    )
    done = subprocess.run(
        [sys.executable, "-m", "sbs.cli.catalogue"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode() == catalogue()
    assert done.stderr == b""


def test_the_example_of_the_page_is_what_is_written() -> None:
    """All but the time, which is that of the zone; the text block is in ``tests/docs``."""
    event = EVENTS["generation-applied"]
    fields = {"generation": "12 (epoch 4.1)", "duration_s": 0.0314}
    record = logging.LogRecord(
        event.logger.name, event.level, "x.py", 1, LoggedEvent(event, fields), None, None
    )
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    made = json.loads(JsonFormatter().format(record))
    assert {**json.loads(shown), "time": ""} == {**made, "time": ""}
