"""The role machine in words and as a drawing, made from its table (``docs/roles.md``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sbs.core.role.model import State
from sbs.core.role.table import IGNORED, TABLE


def table() -> str:
    """Each state with what it does on each event, as Markdown."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "| state | event | what happens | may lead to |"
    yield "| --- | --- | --- | --- |"
    for state, rules in TABLE.items():
        for event, rule in rules.items():
            if rule is not IGNORED:
                says = (rule.handler.__doc__ or "").partition("\n")[0].replace("|", "\\|")
                leads_to = ", ".join(after.name for after in State if after in rule.leads_to)
                yield f"| {state.name} | {event.__name__} | {says} | {leads_to} |"


def diagram() -> str:
    """Every change of state with the events that bring it, in Mermaid's notation."""
    return "\n".join(_arrows())


def _arrows() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.STOPPED.name}"
    for state, rules in TABLE.items():
        for after in State:
            if after is state:
                continue
            events = [event for event, rule in rules.items() if after in rule.leads_to]
            if events:
                words = ", ".join(_words(event.__name__) for event in events)
                yield f"    {state.name} --> {after.name}: {words}"


def _words(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r" \1", name).lower()


def document() -> str:
    """Both, as ``docs/roles.md`` shows them."""
    return f"```mermaid\n{diagram()}\n```\n\n{table()}\n"
