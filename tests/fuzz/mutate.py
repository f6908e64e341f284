"""Changes inputs: by bytes, and by the values of msgpack, JSON and text that they hold.

All chance comes from one :class:`random.Random`, so that a seed gives the same inputs again.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.fuzz.contract import Form, Target, repacked, unpacked_all

LIMITS: Final = tuple(
    sorted(
        {
            sign * (2**bits + near)
            for bits in (0, 7, 8, 15, 16, 20, 21, 31, 32, 62, 63, 64)
            for near in (-1, 0, 1)
            for sign in (1, -1)
            if -(2**63) <= sign * (2**bits + near) < 2**64
        }
    )
)
"""Whole numbers at the borders of everything."""

TEXTS: Final = (
    "",
    ".",
    "..",
    "../..",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "..\\file",
    "C:\\x",
    "\\\\host\\share",
    "name:stream",
    "NUL",
    "CON.c",
    "trailing. ",
    ".sbs.staging/x",
    "a\0b",
    "\x1b]0;owned\x07",
    "\r\nBcc: x@y",
    "$(id)\n`id`",
    "<script>",
    "=?utf-8?q?x?=",
    "\udcff",
    "\ud800",
    "\u202e",
    "\U0001f600",
    "e\u0301",
    "\u00df",
    "9" * 5000,
    "a" * 300,
    "a/" * 2100,
    "x" * 5000,
)
FLOATS: Final = (0.0, -0.0, -1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
DEPTH: Final = 1200
"""Of a nesting that is made: deeper than Python's recursion and msgpack's stack."""

_DIGITS: Final = re.compile(rb"\d+")
_KEEP_POWER: Final = 5
"""One to so many changes are put on one input."""


class Mutator:
    """Makes inputs for one target.

    Args:
        target: for which.
        chance: where all choices come from.
    """

    def __init__(self, target: Target, chance: random.Random) -> None:
        self._target = target
        self._chance = chance
        changes: list[Callable[[bytes], bytes]] = [
            self._flip,
            self._limit,
            self._insert,
            self._delete,
            self._repeat,
            self._token,
            self._cut,
        ]
        by_form: dict[Form, Sequence[Callable[[bytes], bytes]]] = {
            Form.BYTES: [],
            Form.MSGPACK: [self._in_msgpack] * 12,
            Form.JSON: [self._in_json] * 12 + [self._digits],
            Form.TEXT: [self._digits, self._lines, self._lines, self._words],
        }
        self._changes = [*changes, *by_form[target.form]]

    def make(self, pool: Sequence[bytes]) -> bytes:
        """A new input, from one of the pool, or two."""
        chance = self._chance
        data = chance.choice(pool)
        if chance.random() < 0.1:
            data = self._splice(data, chance.choice(pool))
        for _ in range(chance.randint(1, _KEEP_POWER)):
            data = chance.choice(self._changes)(data)[: self._target.longest_bytes]
        return data

    # Changes of bytes.

    def _place(self, data: bytes) -> int:
        return self._chance.randrange(len(data) + 1)

    def _splice(self, data: bytes, other: bytes) -> bytes:
        return data[: self._place(data)] + other[self._place(other) :]

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return b"\0"
        changed = bytearray(data)
        at = self._chance.randrange(len(data))
        changed[at] = self._chance.choice(
            (changed[at] ^ 1 << self._chance.randrange(8), 0, 0x7F, 0xFF)
        )
        return bytes(changed)

    def _limit(self, data: bytes) -> bytes:
        """A whole number at its limit, in place of what stands there."""
        size = self._chance.choice((1, 2, 3, 4, 8))
        number: int = self._chance.choice(LIMITS) % 256**size
        at = self._place(data)
        raw = number.to_bytes(size)
        return data[:at] + self._chance.choice((raw, raw[::-1])) + data[at + size :]

    def _insert(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._chance.randbytes(self._chance.choice((1, 2, 8))) + data[at:]

    def _delete(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + data[at + self._chance.choice((1, 2, 8, 64)) :]

    def _repeat(self, data: bytes) -> bytes:
        """A piece of it again and again, sometimes to the largest input: work must not explode."""
        start, end = sorted((self._place(data), self._place(data)))
        piece = data[start : min(end, start + self._chance.choice((1, 2, 8, 100)))]
        if not piece:
            return data
        most = max(1, (self._target.longest_bytes - len(data)) // len(piece))
        times = self._chance.choice((1, 2, 10, most))
        return data[:end] + piece * min(times, most) + data[end:]

    def _token(self, data: bytes) -> bytes:
        at = self._place(data)
        tokens = self._target.tokens
        token = (
            self._chance.choice(tokens)
            if tokens and self._chance.random() < 0.8
            else self._chance.choice(TEXTS).encode("utf-8", "surrogatepass")
        )
        over = self._chance.choice((0, len(token)))
        return data[:at] + token + data[at + over :]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)] if self._chance.random() < 0.3 else data

    # Changes of text.

    def _digits(self, data: bytes) -> bytes:
        """A number in a text becomes another one."""
        found = [*_DIGITS.finditer(data)]
        if not found:
            return data
        spot = self._chance.choice(found)
        number = self._chance.choice((*map(str, LIMITS), "1e999", "-0", "9" * 5000, "0x7f"))
        return data[: spot.start()] + number.encode() + data[spot.end() :]

    def _lines(self, data: bytes) -> bytes:
        """Lines come twice, go, or change places."""
        lines = data.splitlines(keepends=True)
        if not lines:
            return data
        one, two = self._chance.randrange(len(lines)), self._chance.randrange(len(lines))
        match self._chance.randrange(3):
            case 0:
                lines[one], lines[two] = lines[two], lines[one]
            case 1:
                lines.insert(two, lines[one])
            case _:
                del lines[one]
        return b"".join(lines)

    def _words(self, data: bytes) -> bytes:
        """What stands behind a sign becomes one of the tokens."""
        found = [*re.finditer(rb"[^\s=:/,]+", data)]
        if not found or not self._target.tokens:
            return data
        spot = self._chance.choice(found)
        return data[: spot.start()] + self._chance.choice(self._target.tokens) + data[spot.end() :]

    # Changes of values.

    def _in_json(self, data: bytes) -> bytes:
        try:
            value = json.loads(data)
            return json.dumps(self._value(value)).encode()
        except (ValueError, RecursionError):
            return self._flip(data)

    def _in_msgpack(self, data: bytes) -> bytes:
        """Change one value of those that follow each other, and keep what is behind them."""
        begin = self._target.prefix_bytes
        values, end = unpacked_all(data[begin:])
        if not values:
            return self._flip(data)
        at = self._chance.randrange(len(values))
        values[at] = self._value(values[at])
        try:
            changed = b"".join(map(repacked, values))
        except (ValueError, OverflowError, TypeError, RecursionError):
            return self._flip(data)
        return data[:begin] + changed + data[begin + end :]

    def _value(self, value: Any) -> Any:
        """``value`` with one thing in it changed."""
        chance = self._chance
        if isinstance(value, list) and value and chance.random() < 0.8:
            return self._in_list(value)
        if isinstance(value, dict) and value and chance.random() < 0.85:
            return self._in_dict(value)
        return self._instead_of(value)

    def _in_list(self, value: list[Any]) -> list[Any]:
        chance, changed = self._chance, [*value]
        at = chance.randrange(len(value))
        match chance.randrange(10):
            case 0:
                del changed[at]
            case 1:
                changed.insert(at, changed[chance.randrange(len(changed))])
            case 2:
                size = len(repr(changed[at])) + 1
                most = max(1, self._target.longest_bytes // size)
                changed += [changed[at]] * min(most, chance.choice((1, 100, 1024, 8192)))
            case 3:
                chance.shuffle(changed)
            case _:
                changed[at] = self._value(changed[at])
        return changed

    def _in_dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        chance, changed = self._chance, {**value}
        key = chance.choice([*value])
        match chance.randrange(10):
            case 0:
                del changed[key]
            case 1:
                changed[chance.choice(("future", "", "body", "\udcff"))] = changed[key]
            case 2:
                changed[key] = changed[chance.choice([*value])]
            case _:
                changed[key] = self._value(changed[key])
        return changed

    def _instead_of(self, value: Any) -> Any:
        chance = self._chance
        if isinstance(value, str) and chance.random() < 0.6:
            at = self._place(bytes(len(value)))
            text = chance.choice(TEXTS)
            return chance.choice((text, value[:at] + text + value[at:], value * 50))
        if isinstance(value, bytes) and chance.random() < 0.6:
            return chance.choice((b"", value[:-1], value + b"\0", self._flip(value), bytes(65537)))
        if isinstance(value, int) and chance.random() < 0.6:
            return chance.choice((value + 1, value - 1, -value, *LIMITS))
        return chance.choice(
            (
                None,
                True,
                False,
                chance.choice(LIMITS),
                chance.choice(FLOATS),
                chance.choice(TEXTS),
                [],
                {},
                [value],
                {"a": value},
                _nested(value, chance.choice((3, DEPTH))),
            )
        )


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value
