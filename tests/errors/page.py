"""The tables of ``docs/errors.md``, made from the declarations (``python -m tests.errors``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sbs.adapters.transports import tls_errors
from sbs.core.alarm import ALARMS
from sbs.core.explanation import Explanation
from sbs.core.refusal import REFUSALS
from sbs.errors import SbsError
from sbs.runtime.probing.rows import ROWS
from tests.errors.messages import ROOT, said
from tests.errors.tree import cause, classes

PAGE: Final = ROOT / "docs" / "errors.md"

MARKER: Final = "<!-- begin: python -m tests.errors -->\n"


def document() -> str:
    """All that stands after the marker of the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _section("Alarms", "alarm", _words(ALARMS))
    yield "\n## Errors\n"
    head = ("error", "exit code", "cause", "what to do")
    yield from table(head, [_row(each) for each in classes()])
    yield "\n## Messages\n"
    yield "What stands in braces is different each time.\n"
    for error in classes():
        yield from _list(error.__name__, said()[error.__name__])
    yield from _section("A node that refuses another", "code", _words(REFUSALS))
    yield "\nIts text is in both logs, and in the alarm where there is one:\n"
    yield from (f"- `{text}`" for text in said()["Refuse"])
    yield "\nWhere certificates or TLS are the reason, alarm `identity-refused` says it:\n"
    yield from table(("what is found", "what to do"), sorted(_found()))
    yield ""
    yield from _section("Rows of sbs probe", "row", ROWS)


def _row(error: type[SbsError]) -> Sequence[str]:
    remedy = error.remedy or "Each text says it."
    return f"{anchor(error.__name__)}`{error.__name__}`", str(error.exit_code), cause(error), remedy


def _list(title: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        yield f"### {title} says\n"
        for text in texts:
            first, *rest = text.splitlines()
            yield f"- `{' '.join([first, *rest])}`"
        yield ""


def _words(explained: Mapping[Any, Explanation]) -> dict[str, Explanation]:
    return {code.value: why for code, why in explained.items()}


def _section(title: str, noun: str, explained: Mapping[str, Explanation]) -> Iterator[str]:
    prefix = "" if noun == "alarm" else f"{noun}-"
    yield f"## {title}\n"
    rows = [
        (f"{anchor(f'{prefix}{name}')}`{name}`", why.cause, why.remedy)
        for name, why in explained.items()
    ]
    yield from table((noun, "cause", "what to do"), rows)


def _found() -> Iterable[tuple[str, str]]:
    """What TLS finds, and what to do about each."""
    found = {*tls_errors._REFUSALS.values(), *tls_errors._TROUBLES.values()}
    return {(f"`{finding}`", _sentence(advice)) for finding, advice in found}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown; pages that its texts name become links."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (_linked(cell).replace("|", r"\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def anchor(name: str) -> str:
    """Where a link to a row leads, such as ``errors.md#no-secondary``."""
    return f'<a id="{name.lower()}"></a>'


def _linked(text: str) -> str:
    return re.sub(r"`?docs/([a-z]+\.md)`?", r"[\1](\1)", text)
