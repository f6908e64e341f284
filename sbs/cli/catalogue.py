"""Every event of the log, in Markdown, made from the declarations.

``python -m sbs.cli.catalogue`` prints the table with which ``docs/log.md`` ends.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import sbs
from sbs.log import Event


def events() -> list[Event]:
    """All events of SBS, by name."""
    found = (event for name in _modules() for event in _declared(name))
    return sorted(found, key=lambda event: event.name)


def _modules() -> Iterator[str]:
    """Those that declare events: of the others some need what is not installed everywhere."""
    root = Path(sbs.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if "_log.event(" in path.read_text("utf-8"):
            yield ".".join(path.relative_to(root.parent).with_suffix("").parts)


def _declared(module: str) -> list[Event]:
    values = vars(importlib.import_module(module)).values()
    return [value for value in values if isinstance(value, Event)]


def catalogue() -> str:
    """A table with a row for each event, as ``docs/log.md`` shows it."""
    rows = ["| event | level | text | what it means, what to do |", "| --- | --- | --- | --- |"]
    rows += map(_row, events())
    return "".join(f"{row}\n" for row in rows)


def _row(event: Event) -> str:
    level = logging.getLevelName(event.level).lower()
    cells = (f"`{event.name}`", level, f"`{_readable(event.text)}`", event.meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _readable(text: str) -> str:
    """A text with its fields, but not how they are formatted."""
    parts = Formatter().parse(text)
    return "".join(said + ("" if name is None else f"{{{name}}}") for said, name, _, _ in parts)


if __name__ == "__main__":
    sys.stdout.write(catalogue())
