"""The code blocks of the pages, and when what a program prints is what a block shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

ROOT: Final = Path(__file__).parents[2]

PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

FENCE: Final = re.compile(r"^( *)(`{3,})(.*)$")


@attrs.frozen(kw_only=True)
class Block:
    """A fenced code block.

    Args:
        page: where it stands, from the root of the repository.
        line: of its opening fence, from 1.
        language: what stands behind the fence; empty: nothing does.
        lead: the paragraph before it, which says what it is for.
        text: what is inside, without the fence's indentation; each line with its end.
    """

    page: str
    line: int
    language: str
    lead: str
    text: str

    @property
    def name(self) -> str:
        """Page and first line: what tables of tests call it, while the page changes around it."""
        return f"{self.page}: {self.text.partition(chr(10))[0]}"


def blocks_of(path: Path) -> Iterator[Block]:
    """The blocks of a page.

    Raises:
        AssertionError: a fence is not closed.
    """
    page = path.relative_to(ROOT).as_posix()
    lines = path.read_text("utf-8").splitlines(keepends=True)
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        found = FENCE.match(line.rstrip("\n"))
        if found is None:
            continue
        indent, fence, language = found.groups()
        inside = []
        for _, inner in numbered:
            if inner.strip() == fence:
                break
            inside.append(inner.removeprefix(indent))
        else:
            raise AssertionError(f"{page}:{number}: the block has no end")
        before = "".join(lines[: number - 1]).rstrip().rpartition("\n\n")[2]
        yield Block(
            page=page, line=number, language=language.strip(), lead=before, text="".join(inside)
        )


BLOCKS: Final = tuple(block for path in PAGES for block in blocks_of(path))


NUMBER: Final = r"(?:\b[0-9a-f]{8,}\b|\d+)"
"""An id may have digits alone, or none."""

SHAPES: Final = (
    (r"\b[0-9a-f]{4}( [0-9a-f]{4})+( \.\.\.)?", "«digits»"),
    (rf"{NUMBER}(?:[-+.,:T]{NUMBER})*", "«n»"),
    (r" +", " "),
    (r" $", ""),
)
"""What differs from one run to another: fingerprints, ids, numbers, addresses, times, widths."""


def shape(text: str) -> str:
    """A text without what differs from one run to another."""
    for pattern, placeholder in SHAPES:
        text = re.sub(pattern, placeholder, text, flags=re.MULTILINE)
    return text


def is_shown(shown: str, printed: str) -> bool:
    """Whether a program printed what a block shows.

    Numbers, ids and times may differ. ``...`` in the block stands for whatever is there, on a line
    of its own for any number of lines.
    """
    lines = shape(shown).rstrip("\n").split("\n")
    pattern = "".join(_line(line) for line in lines)
    return re.fullmatch(pattern, shape(printed).rstrip("\n") + "\n") is not None


def _line(shown: str) -> str:
    if shown == "...":
        return r"(?:.*\n)*?"
    return re.escape(shown).replace(r"\.\.\.", ".*") + r"\n"
