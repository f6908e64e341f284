"""The types of values that :mod:`tomllib` gives, for narrowing and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

_TYPE_NAMES = (
    (bool, "a boolean"),  # before int, whose subclass it is
    (int, "an integer"),
    (float, "a float"),
    (str, "a string"),
    (list, "an array"),
    (dict, "a table"),
)


def type_name(raw: object) -> str:
    """The TOML type of ``raw``, with its article."""
    return next((name for kind, name in _TYPE_NAMES if isinstance(raw, kind)), "a date or time")


def is_table(raw: object) -> TypeGuard[dict[str, object]]:
    """Whether ``raw`` is a TOML table."""
    return isinstance(raw, dict)


def is_array(raw: object) -> TypeGuard[Sequence[object]]:
    """Whether ``raw`` is a TOML array, or the tuple that a setting makes of one."""
    return isinstance(raw, list | tuple)
