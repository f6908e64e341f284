"""The types of values that :mod:`tomllib` gives, for narrowing and in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from gettext import gettext as _
from typing import Final, TypeGuard

MAX_NESTING: Final = 50
"""Levels of tables and arrays in a file that is edited: no setting lies deeper than five."""


def type_name(raw: object) -> str:
    """The TOML type of ``raw``, with its article."""
    match raw:
        case bool():  # before int, whose subclass it is
            return _("a boolean")
        case int():
            return _("an integer")
        case float():
            return _("a float")
        case str():
            return _("a string")
        case list():
            return _("an array")
        case dict():
            return _("a table")
        case _:
            return _("a date or time")


def is_table(raw: object) -> TypeGuard[dict[str, object]]:
    """Whether ``raw`` is a TOML table."""
    return isinstance(raw, dict)


def is_array(raw: object) -> TypeGuard[Sequence[object]]:
    """Whether ``raw`` is a TOML array, or the tuple that a setting makes of one."""
    return isinstance(raw, list | tuple)


def is_deep(raw: object) -> bool:
    """Whether ``raw`` has more than :data:`MAX_NESTING` levels; dotted keys make any number."""
    level = [raw]
    for _level in range(MAX_NESTING + 1):
        level = [inner for each in level for inner in _inner(each)]
    return bool(level)


def _inner(raw: object) -> Iterable[object]:
    if is_table(raw):
        return raw.values()
    return raw if is_array(raw) else ()
