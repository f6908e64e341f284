"""What a page says that a terminal shows, held against what it shows.

Letter by letter, but for

- ``...``: alone in a line any number of lines, within a line any words;
- measures and moments (``0.412 s``, ``2026-01-31T12:00:00.123+01:00``, ``process 4711``): any
  others of the same form;
- names that are made by chance (fingerprints, codes, ids): any other of the same form, but then the
  same everywhere: where it stands again, be it to be typed, the one that was seen is meant, as for
  a reader who copies it;
- ``/home/you``: the home directory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_MOMENT: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)? ?[+-]\d\d:?\d\d"

_MEASURES: Final = (
    _MOMENT,
    r"\d{4}-\d\d-\d\d",
    r"\d+\.\d+ m?s\b",
    r"\d+m\d+\.\d+s\b",
    r"\bprocess \d+",
)
"""Any others of the form may stand there."""

_NAMES: Final = (
    r"(?:[0-9a-f]{4} ){15}[0-9a-f]{4}",  # of a certificate
    r"\b\d{3}-\d{3}-\d{3}\b",  # code of a pairing
    r"\b[0-9a-f]{12}\b",  # id of a held update
)
"""Any other of the form, and then the same one everywhere."""

REST: Final = "..."
"""What is left out on the page."""

_HOME: Final = "/home/you"

_PARTS: Final = re.compile(
    "|".join(
        (
            r"(?P<rest>\.\.\.)",
            *(f"(?P<name{number}>{form})" for number, form in enumerate(_NAMES)),
            *(f"(?P<measure{number}>{form})" for number, form in enumerate(_MEASURES)),
        )
    )
)


class Names:
    """What the names on the page are in truth, as far as they were seen.

    Args:
        home: the home directory.
    """

    def __init__(self, home: str) -> None:
        self._home = home
        self._real: dict[str, str] = {}

    def typed(self, line: str) -> str:
        """A line of the page as it is to be typed."""
        for example, real in self._real.items():
            line = line.replace(example, real)
        return line.replace(_HOME, self._home)

    def pattern(self, lines: Sequence[str]) -> re.Pattern[str]:
        """What the lines of a block stand for; each ends with a line break."""
        groups: dict[str, str] = {}
        return re.compile("".join(self._line(line, groups) for line in lines))

    def learn(self, lines: Sequence[str], found: re.Match[str]) -> None:
        """Remember what the names in these lines are.

        Args:
            lines: of the page.
            found: by their pattern.

        Raises:
            ValueError: two names of the page are the same in truth.
        """
        groups: dict[str, str] = {}
        for line in lines:
            self._line(line, groups)
        for example, group in groups.items():
            if found[group] in self._real.values():
                raise ValueError(f"{example} should be another than {found[group]}")
            self._real[example] = found[group]

    def _line(self, line: str, groups: dict[str, str]) -> str:
        if line == REST:
            return r"(?:.*\n)*?"
        pattern, end = "", 0
        for part in _PARTS.finditer(line):
            pattern += self._literal(line[end : part.start()]) + self._part(part, groups)
            end = part.end()
        return pattern + self._literal(line[end:]) + r" *\n"

    def _literal(self, text: str) -> str:
        return re.escape(text.replace(_HOME, self._home))

    def _part(self, part: re.Match[str], groups: dict[str, str]) -> str:
        kind, example = part.lastgroup or "", part[0]
        if kind == "rest":
            return ".*?"
        number = int(kind[-1])
        if kind.startswith("measure"):
            return _MEASURES[number]
        if example in self._real:
            return re.escape(self._real[example])
        if example in groups:
            return f"(?P={groups[example]})"
        groups[example] = f"seen{len(groups)}"
        return f"(?P<{groups[example]}>{_NAMES[number]})"


def answer(names: Names, lines: Sequence[str], shown: str) -> str | None:
    """What is to be typed where a program waits in the middle of a line.

    Args:
        names: seen so far.
        lines: of the block, the questions of the program with what is typed behind them.
        shown: all that the terminal shows of them.

    Returns:
        The rest of the line in which it waits; ``None``: that is no line of the block.
    """
    before, _, question = shown.rpartition("\n")
    before += "\n" if before else ""
    question = question.rstrip(" ")
    for number, line in enumerate(lines):
        if question and names.pattern(lines[:number]).fullmatch(before):
            for end in range(len(line), 0, -1):
                if names.pattern([line[:end].rstrip(" ")]).fullmatch(f"{question}\n"):
                    return line[end:].lstrip(" ")
    return None
