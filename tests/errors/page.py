"""The tables of ``docs/errors.md``, made from the declarations (``python -m tests.errors``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from sbs.core.alarm import ALARMS

ROOT: Final = Path(__file__).parents[2]

PAGE: Final = ROOT / "docs" / "errors.md"

MARKER: Final = "<!-- begin: python -m tests.errors -->\n"


def document() -> str:
    """All that stands after the marker of the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "## Alarms\n"
    yield from table(
        ("alarm", "cause", "what to do"),
        [
            (f"{anchor(alarm)}`{alarm}`", why.cause, why.remedy)
            for alarm, why in sorted(ALARMS.items())
        ],
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown; pages that its texts name become links."""
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        cells = (_linked(cell).replace("|", r"\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def anchor(name: str) -> str:
    """Where a link to a row leads, such as ``errors.md#no-secondary``."""
    return f'<a id="{name}"></a>'


def _linked(text: str) -> str:
    return re.sub(r"docs/([a-z]+\.md)", r"[\1](\1)", text)
