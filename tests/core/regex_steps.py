"""How many steps a backtracking matcher needs for an expression: work without a clock.

A small matcher for what :mod:`sbs.core.filters` makes of patterns; it tries what Python's does, in
the same order, and counts each comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import Any

_parser: Any = import_module("re._parser")


class Steps:
    """One search; ``count`` is how many comparisons it took."""

    def __init__(self, expression: str, text: str) -> None:
        self._text = text
        self.count = 0
        ends = self._ends(list(_parser.parse(expression, re.DOTALL)), 0)
        self.found = any(end == len(text) for end in ends)

    def _ends(self, items: Sequence[Any], at: int) -> Iterator[int]:
        """Where a match of all items that begins at a place may end, likeliest first."""
        if not items:
            yield at
            return
        for end in self._item(items[0], at):
            yield from self._ends(items[1:], end)

    def _item(self, item: tuple[object, Any], at: int) -> Iterator[int]:
        operation, argument = item
        self.count += 1
        match str(operation):
            case "MAX_REPEAT":
                yield from self._greedy(argument, at)
            case "MIN_REPEAT":
                yield from self._lazy(argument, at)
            case "SUBPATTERN":
                yield from self._ends(list(argument[-1]), at)
            case "ATOMIC_GROUP":
                yield from islice(self._ends(list(argument), at), 1)
            case "ASSERT":
                if any(True for _ in self._ends(list(argument[1]), at)):
                    yield at
            case "ASSERT_NOT":
                if not any(True for _ in self._ends(list(argument[1]), at)):
                    yield at
            case other:
                if at < len(self._text) and _is_one(other, argument, self._text[at]):
                    yield at + 1

    def _greedy(self, repeat: tuple[int, int, Any], at: int) -> Iterator[int]:
        low, high, items = repeat
        if high > 0:
            for end in self._ends(list(items), at):
                yield from self._greedy((max(low - 1, 0), high - 1, items), end)
        if low == 0:
            yield at

    def _lazy(self, repeat: tuple[int, int, Any], at: int) -> Iterator[int]:
        low, high, items = repeat
        if low == 0:
            yield at
        if high > 0:
            for end in self._ends(list(items), at):
                yield from self._lazy((max(low - 1, 0), high - 1, items), end)


def _is_one(operation: str, argument: Any, character: str) -> bool:
    match operation:
        case "LITERAL":
            return bool(argument == ord(character))
        case "NOT_LITERAL":
            return bool(argument != ord(character))
        case "ANY":
            return True
        case "RANGE":
            return bool(argument[0] <= ord(character) <= argument[1])
        case "IN":
            negated = str(argument[0][0]) == "NEGATE"
            members = argument[negated:]
            return any(_is_one(str(each), what, character) for each, what in members) is not negated
        case _:
            raise NotImplementedError(operation)
