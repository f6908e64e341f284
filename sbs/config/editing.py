"""Edits of a configuration's text, in which all else stays as it was, byte by byte (R62).

Each function takes the whole text and gives a new one. What comes out is read again: either it
says what was asked, and nothing else has changed its meaning, or there is an error.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from gettext import gettext as _
from typing import Any, Final

import attrs

from sbs.config.problems import KeyPath
from sbs.config.source import Item, Statement, has_comment, items, statements
from sbs.config.text import dotted, quoted, shortened
from sbs.config.toml import is_array, is_deep, is_table
from sbs.errors import ConfigError

_INDENT: Final = "  "
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def value_at(text: str, path: KeyPath) -> object:
    """What stands at a place of the file; ``None`` if nothing does.

    Args:
        text: of the file.
        path: of a key, or of a table.

    Raises:
        ConfigError: it is no TOML.
    """
    return _found(_tables(text), path)


def with_value(text: str, path: KeyPath, value: object) -> str:
    """The text with a key set; comments stay, also between the items of an array.

    Args:
        text: of the file.
        path: of the key; its table may be missing, but not a table of an array.
        value: made of booleans, numbers, strings, sequences and mappings.

    Raises:
        ConfigError: it is no TOML, or written in a way that cannot be changed here.
    """
    value = _plain(value)
    expected = _tables(text)
    former = _found(expected, path)
    if former is not None and _written(former) == _written(value):
        return text
    _entered(expected, path[:-1], path)[path[-1]] = value
    return _verified(_with_value(text, path, value, expected), path, expected)


def without(text: str, path: KeyPath) -> str:
    """The text without a key, or without one table of an array; comments above it stay.

    Args:
        text: of the file.
        path: of what is there.

    Raises:
        ConfigError: as :func:`with_value`.
    """
    expected = _tables(text)
    inner: Any = expected
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    if inner == []:  # without a header there is no array of tables
        around: Any = expected
        for step in path[:-2]:
            around = around[step]
        del around[path[-2]]
    found = list(statements(text))
    if own := [each for each in found if each.path[: len(path)] == path]:
        new = text[: own[0].start] + text[own[-1].end :]
    else:
        new = _in_parent(text, path, expected, found)
    return _verified(new, path, expected)


def with_table(text: str, path: KeyPath, table: Mapping[str, object]) -> str:
    """The text with one more table in an array of tables, after the others.

    Args:
        text: of the file.
        path: of the array, such as ``("folders",)``.
        table: keys and values.

    Raises:
        ConfigError: as :func:`with_value`.
    """
    added = {name: _plain(value) for name, value in table.items()}
    expected = _tables(text)
    inner = _entered(expected, path[:-1], path)
    former = inner.get(path[-1], [])
    if not is_array(former):
        raise _unchangeable(path)
    inner[path[-1]] = [*former, added]
    found = list(statements(text))
    if any(each.path == path and not each.is_header for each in found):
        new = _in_parent(text, (*path, 0), expected, found)
    else:
        lines = [
            f"[[{_key(path)}]]",
            *(f"{_key([name])} = {_written(added[name])}" for name in added),
        ]
        ends = [each.end for each in found if each.path[: len(path)] == path]
        new = _inserted(text, ends[-1] if ends else len(text), ["", *lines])
    return _verified(new, path, expected)


def _with_value(text: str, path: KeyPath, value: object, expected: dict[str, Any]) -> str:
    found = list(statements(text))
    for each in found:
        if each.path == path and not each.is_header:
            return _spliced(text, each.value, _rewritten(text[each.value], value))
    if any(_holds(each, path) for each in found):
        return _in_parent(text, path, expected, found)
    table, key = path[:-1], path[-1:]
    around = [each for each in found if each.table == table]
    around = [each for each in around if each.path[:-1] == table] or around
    if not around:  # the table may be made of dotted keys, which stand under another one
        around = [each for each in found if each.path[:-1] == table and not each.is_header]
        key = path[len(around[-1].table) :] if around else key
    line = f"{_key(key)} = {_written(value)}"
    if not around:
        return _inserted(text, len(text), ["", f"[{_key(table)}]", line])
    last = around[-1]
    begin = text[last.start :]
    return _inserted(text, last.end, [begin[: len(begin) - len(begin.lstrip(" \t"))] + line])


def _found(tables: object, path: KeyPath) -> object:
    for step in path:
        if is_table(tables) and isinstance(step, str):
            tables = tables.get(step)
        elif is_array(tables) and isinstance(step, int) and step < len(tables):
            tables = tables[step]
        else:
            return None
    return tables


def _entered(tables: dict[str, Any], place: KeyPath, path: KeyPath) -> Any:
    """The table at a place; those that are missing are made.

    Raises:
        ConfigError: something else stands there; the text names ``path``.
    """
    inner: Any = tables
    for step in place:
        if isinstance(step, int):
            inner = inner[step]
        elif is_table(inner):
            inner = inner.setdefault(step, {})
        else:
            raise _unchangeable(path)
    if not is_table(inner):
        raise _unchangeable(path)
    return inner


def _holds(statement: Statement, path: KeyPath) -> bool:
    """Whether a place lies within the value of a statement: in an inline table."""
    length = len(statement.path)
    return not statement.is_header and length < len(path) and statement.path == path[:length]


def _in_parent(
    text: str, path: KeyPath, expected: dict[str, Any], found: Sequence[Statement]
) -> str:
    """The text with the whole value anew in which ``path`` lies."""
    for each in found:
        if _holds(each, path) and not has_comment(text[each.value]):
            value = _found(expected, each.path)
            if value is None:  # it was the last of its items
                return text[: each.start] + text[each.end :]
            return _spliced(text, each.value, _written(value))
    raise _unchangeable(path)


def _rewritten(old: str, value: object) -> str:
    """The text of a value in the place of another one."""
    if not (old.startswith("[") and is_array(value) and ("\n" in old or has_comment(old))):
        return _written(value)
    before, closing = items(old)
    blanks = before[0].lead if before else ""
    indent = _line_end(old) + (blanks.rpartition("\n")[2] if "\n" in blanks else _INDENT)
    after = list(_merged(before, [_written(each) for each in value], indent))
    last = max((number for number, item in enumerate(after) if item.text), default=-1)
    out, commented = "", False  # whether what comes next would be part of a comment
    for number, item in enumerate(after):
        out += _apart(item.lead, indent) if commented else item.lead
        out += item.text + item.gap
        out += "," if item.text and (item.comma or number < last) else ""
        out += item.note
        commented = bool(item.note) or not item.text
    return f"[{out}{_apart(closing, _line_end(old)) if commented else closing}]"


def _apart(blanks: str, line: str) -> str:
    """Blanks that begin with the end of a line."""
    return blanks if blanks.lstrip(" \t\r").startswith("\n") else line + blanks.lstrip()


def _merged(before: Sequence[Item], after: Sequence[str], indent: str) -> Iterator[Item]:
    """The pieces of an array whose items become ``after``."""
    values = [_written(tomllib.loads(f"x = {each.text}")["x"]) for each in before]
    matcher = difflib.SequenceMatcher(None, values, after, autojunk=False)
    for what, low, high, new_low, new_high in matcher.get_opcodes():
        if what == "equal":
            yield from before[low:high]
            continue
        old, new = before[low:high], after[new_low:new_high]
        for item, text in zip(old, new, strict=False):
            yield attrs.evolve(item, text=text)
        for item in old[len(new) :]:
            if has_comment(item.lead):  # on lines of its own
                yield Item(lead=item.lead.rstrip(), text="")
        for text in new[len(old) :]:
            yield Item(lead=indent, text=text)


def _written(value: object) -> str:
    """A value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dt.date | dt.time):  # no setting, but it may be there
        return value.isoformat()
    if is_array(value):
        return f"[{', '.join(map(_written, value))}]"
    if is_table(value):
        inner = ", ".join(f"{_key([name])} = {_written(each)}" for name, each in value.items())
        return f"{{{inner}}}"
    raise TypeError(f"{type(value).__name__} cannot be written")


def _key(path: Sequence[str | int]) -> str:
    names = [name for name in path if isinstance(name, str)]
    return ".".join(name if _BARE.fullmatch(name) else quoted(name) for name in names)


def _plain(value: object) -> object:
    """A copy of lists and dicts alone, as :mod:`tomllib` gives them."""
    if is_array(value):
        return [_plain(each) for each in value]
    if is_table(value):
        return {name: _plain(each) for name, each in value.items()}
    return value


def _spliced(text: str, place: slice[int, int, int], new: str) -> str:
    return text[: place.start] + new + text[place.stop :]


def _inserted(text: str, place: int, lines: Sequence[str]) -> str:
    """The text with lines more; the first may be a blank one, where none stands yet."""
    before, after, line = text[:place], text[place:], _line_end(text)
    if before and not before.endswith("\n"):
        before += line
    if lines[0] == "":
        if not before or before.endswith(("\n\n", "\n\r\n")):
            lines = lines[1:]
        if after and not after.startswith(("\n", "\r\n")):
            lines = [*lines, ""]
    return before + "".join(each + line for each in lines) + after


def _line_end(text: str) -> str:
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def _tables(text: str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(_("not TOML: {problem}").format(problem=shortened(str(error)))) from error
    if is_deep(tables):
        raise ConfigError(_("arrays or tables are nested too deeply"))
    return tables


def _verified(text: str, path: KeyPath, expected: dict[str, Any]) -> str:
    """``text``, if it says what is expected.

    Raises:
        ConfigError: it does not: the file is written in a way that is not known here.
    """
    try:
        if _pruned(tomllib.loads(text)) == _pruned(expected):
            return text
    except ValueError:
        pass
    raise _unchangeable(path)


def _pruned(value: object) -> object:
    """Without empty tables, which mean the same as none."""
    if is_array(value):
        return [_pruned(each) for each in value]
    if is_table(value):
        pruned = {name: _pruned(each) for name, each in value.items()}
        return {name: each for name, each in pruned.items() if each != {}}
    return value


def _unchangeable(path: KeyPath) -> ConfigError:
    return ConfigError(
        _(
            "{key}: is written in a way that cannot be changed here without touching more; "
            "allowed is to change it in a text editor"
        ).format(key=dotted(path))
    )
