"""docs/protocol.md tells the limits that the code keeps: each in the brackets of its field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from sbs.core.codec import NUMBERS

PAGE: Final = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")

MESSAGES: Final = PAGE.partition("\n## Messages\n")[2].partition("\n## ")[0]

ROWS: Final = dict(re.findall(r"^\| \d+ \| (\w+) \| [^|]+ \| ([^|]*) \|", MESSAGES, re.MULTILINE))
"""The fields of each message, as the table has them."""

COMMON: Final = {8192: "items of an array in a head", 2**20: "body"}
"""Limits of all messages, which the page has once, in its table of limits: in which row."""


def bounds(validator: Any) -> Iterator[int]:
    """The numbers in a validator of attrs, whatever it is made of."""
    for name in ("bound", "max_length"):
        if isinstance(found := getattr(validator, name, None), (int, float)):
            yield int(found)
    for part in (*getattr(validator, "_validators", ()), getattr(validator, "member_validator", 0)):
        if part:
            yield from bounds(part)


def written(bound: int) -> set[str]:
    """How the page may write a number."""
    found = {str(bound)}
    if bound > 1 and bound & (bound - 1) == 0:
        found.add(f"2^{bound.bit_length() - 1}")
    if bound > 1 and bound & (bound + 1) == 0:
        found.add(f"2^{bound.bit_length()} - 1")
    return found


def said(message: str, field: str) -> set[str]:
    """The numbers in the brackets behind a field's name."""
    brackets = re.search(rf"`{field}` \(((?:[^()]|\([^()]*\))*)\)", ROWS[message])
    return set(re.findall(r"2\^\d+(?: - 1)?|-?\d+", brackets[1] if brackets else ""))


FIELDS: Final = [
    pytest.param(cls.__name__, field, id=f"{cls.__name__}.{field.name}")
    for cls in NUMBERS
    for field in attrs.fields(cls)
    if list(bounds(field.validator))
]


def test_there_are_limits_to_compare() -> None:
    assert len(FIELDS) > 35


@pytest.mark.parametrize(("message", "field"), FIELDS)
def test_each_limit_of_a_field_is_told(message: str, field: attrs.Attribute[Any]) -> None:
    """B62: what is refused can be known before."""
    for bound in bounds(field.validator):
        told = said(message, field.name)
        if bound in COMMON and not told:
            assert re.search(rf"^\| {COMMON[bound]} \|", PAGE, re.MULTILINE)
            continue
        assert written(bound) & told, f"{message}.{field.name} has the limit {bound}"
