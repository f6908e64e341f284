"""How keys and values of a configuration are written in texts for people."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from sbs.config.toml import is_array, is_table
from sbs.core.address import Address

MAX_SHOWN_CHARS = 200
"""Longest value in a text: more hides what is said about it."""

MAX_SHOWN_DEPTH = 3
"""Deepest nesting in a text: an array of commands, and one level more."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def quoted(text: str) -> str:
    """``text`` as a TOML string on one line, safe to print."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def dotted(path: Sequence[str | int]) -> str:
    """The name of a key: ``("folders", 0, "path")`` is ``folders[1].path``, counted from 1."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part + 1}]")
        else:
            name = part if _BARE_KEY.fullmatch(part) else quoted(part)
            parts.append(f".{name}" if parts else name)
    return shortened("".join(parts))


def shown(value: object) -> str:
    """A value as one line of TOML, cut where it is long or deep."""
    return shortened(_written(value, MAX_SHOWN_DEPTH))


def _written(value: object, depth: int) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            # Python refuses to write integers of thousands of digits in decimal.
            return str(value) if value.bit_length() <= 64 else hex(value)
        case enum.Enum():
            return _written(value.value, depth)
        case str():
            return quoted(value[: MAX_SHOWN_CHARS + 1])
        case Address():
            return quoted(str(value))
        case _:
            return _written_compound(value, depth - 1)


def _written_compound(value: object, depth: int) -> str:
    if is_array(value):
        items = value[: MAX_SHOWN_CHARS + 1] if depth else ()
        return f"[{', '.join(_written(item, depth) for item in items) if depth else '...'}]"
    if is_table(value):
        pairs = list(value.items())[: MAX_SHOWN_CHARS + 1] if depth else []
        texts = [f"{dotted([name])} = {_written(item, depth)}" for name, item in pairs]
        return f"{{{', '.join(texts) if depth else '...'}}}"
    return str(value)


def shortened(text: str) -> str:
    """``text`` as far as a person reads it."""
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 3] + "..."
