"""A page that tells what to type and what is then seen, as steps.

- A block ``sh`` is typed, line by line, into the terminal that the text named last: "terminal 2",
  or "Terminal 2" in a heading. Until one is named it is terminal 1.
- A block ``text`` is what that terminal shows, from where the last such block ended.
- There are no other blocks: each one is typed or compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

FENCE: Final = "```"

TERMINAL: Final = re.compile(r"\bterminal (\d)\b", re.IGNORECASE)

TYPED: Final = "sh"
SHOWN: Final = "text"


class PageError(Exception):
    """The page is not of this form."""


@attrs.frozen(kw_only=True)
class Step:
    """One block.

    Args:
        line: of the page, from 1, in which its content begins.
        terminal: where it is typed or shown.
        language: :data:`TYPED` or :data:`SHOWN`.
        lines: of its content.
    """

    line: int
    terminal: int
    language: str
    lines: tuple[str, ...]


def steps(text: str) -> Iterator[Step]:
    """The steps of a page, in order.

    Args:
        text: of the page, in Markdown.

    Raises:
        PageError: a block is of another language, or has no end.
    """
    terminal = 1
    numbered = enumerate(text.splitlines(), 1)
    for number, line in numbered:
        if not line.startswith(FENCE):
            named = TERMINAL.findall(line)
            terminal = int(named[-1]) if named else terminal
            continue
        language = line.removeprefix(FENCE)
        if language not in {TYPED, SHOWN}:
            raise PageError(f"line {number}: a block {language!r}; allowed: {TYPED}, {SHOWN}")
        content: list[str] = []
        for _, inner in numbered:
            if inner == FENCE:
                break
            content.append(inner)
        else:
            raise PageError(f"line {number}: a block without an end")
        yield Step(line=number + 1, terminal=terminal, language=language, lines=tuple(content))
