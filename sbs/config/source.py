"""Where the statements of a TOML text stand: what an edit leaves alone is then never written anew.

The text is known to be TOML, since :mod:`tomllib` has read it: only ends have to be found here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Final

import attrs

from sbs.config.problems import KeyPath
from sbs.config.toml import is_table

_STRING: Final = r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\''
_TOKEN: Final = re.compile(rf"{_STRING}|\#[^\n]*|[\[\]{{}},\n]|[^\"'#\[\]{{}},\n]+", re.DOTALL)
_KEY: Final = re.compile(rf"(?:{_STRING}|[A-Za-z0-9_. \t-]+)+", re.DOTALL)
_NOTE: Final = re.compile(r"[ \t]*\#[^\r\n]*")
_NOTHING: Final = re.compile(r"(?:[ \t\r\n]|\#[^\n]*)*")


@attrs.frozen(kw_only=True)
class Statement:
    """A header of a table, or a key and its value; the numbers are offsets in the text.

    Args:
        path: of the table or the key, from the root; tables of an array are counted from 0.
        table: of the table that it begins or stands under.
        start: where its first line begins.
        value: where its value begins and ends; empty for a header.
        end: where the line after it begins.
    """

    path: KeyPath
    table: KeyPath
    start: int
    value: slice[int, int, int]
    end: int

    @property
    def is_header(self) -> bool:
        """Whether it begins a table."""
        return self.value.start == self.value.stop


@attrs.frozen(kw_only=True)
class Item:
    """One item of an array, in the pieces that make up the text between the brackets.

    Args:
        lead: blanks and comments before it.
        text: itself; empty where only comments are left of it.
        gap: what is between it and its comma.
        comma: whether one follows.
        note: a comment on the same line after that, with the blanks before it.
    """

    lead: str
    text: str
    gap: str = ""
    comma: bool = False
    note: str = ""


def statements(text: str) -> Iterator[Statement]:
    """All statements in their order.

    Args:
        text: that :mod:`tomllib` has read.
    """
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    place = _skipped(text, 0)
    while place < len(text):
        start = text.rfind("\n", 0, place) + 1
        if text[place] == "[":
            many = text.startswith("[[", place)
            key = _matched(_KEY, text, place + 1 + many)
            table = _resolved(_names(text[key]), counts, many=many)
            stop = text.index("]", key.stop) + 1 + many
            found, value = table, slice(stop, stop)
        else:
            key = _matched(_KEY, text, place)
            first = _blanks(text, text.index("=", key.stop) + 1)
            value = slice(first, _value_end(text, first))
            found = (*table, *_names(text[key]))
        line = text.find("\n", value.stop)
        end = len(text) if line == -1 else line + 1
        yield Statement(path=found, table=table, start=start, value=value, end=end)
        place = _skipped(text, end)


def items(array: str) -> tuple[list[Item], str]:
    """Take an array apart.

    Args:
        array: its text, with the brackets.

    Returns:
        the items, and what stands between the last of them and the closing bracket.
    """
    found: list[Item] = []
    place, end = 1, len(array) - 1
    while (first := _skipped(array, place)) < end:
        after = _value_end(array, first, in_array=True)
        stop = _skipped(array, after)
        comma = array[stop] == ","
        gap = array[after:stop] if comma else ""
        place_of_note = stop + 1 if comma else after
        note = _NOTE.match(array, place_of_note)
        found.append(
            Item(
                lead=array[place:first],
                text=array[first:after],
                gap=gap,
                comma=comma,
                note=note[0] if note else "",
            )
        )
        place = note.end() if note else place_of_note
    return found, array[place:end]


def has_comment(value: str) -> bool:
    """Whether a comment stands in the text of a value."""
    return any(token[0].startswith("#") for token in _TOKEN.finditer(value))


def _resolved(names: KeyPath, counts: dict[KeyPath, int], *, many: bool) -> KeyPath:
    """The path of a header: with the numbers of the tables of arrays that it lies in."""
    path: KeyPath = ()
    for number, name in enumerate(names, 1):
        path = (*path, name)
        if many and number == len(names):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _names(key: str) -> KeyPath:
    """The parts of a dotted key, without quotes and escapes."""
    inner: object = tomllib.loads(f"{key} = 0")
    names: list[str] = []
    while is_table(inner):
        name, inner = next(iter(inner.items()))
        names.append(name)
    return tuple(names)


def _value_end(text: str, start: int, *, in_array: bool = False) -> int:
    """Where the value ends that begins at ``start``, without blanks after it."""
    depth, end, place = 0, start, start
    while place < len(text):
        token = _TOKEN.match(text, place)
        assert token is not None, place
        word = token[0]
        if not depth and (word[0] in "#\n" or (in_array and word in ",]")):
            break
        depth += (word in "[{") - (word in "]}")
        place = token.end()
        if word.strip() and word[0] != "#":
            end = place - (len(word) - len(word.rstrip()))
    return end


def _matched(pattern: re.Pattern[str], text: str, place: int) -> slice[int, int, int]:
    found = pattern.match(text, place)
    assert found is not None, place
    return slice(found.start(), found.end())


def _skipped(text: str, place: int) -> int:
    """Past blanks, line ends and comments."""
    return _matched(_NOTHING, text, place).stop


def _blanks(text: str, place: int) -> int:
    while text[place] in " \t":
        place += 1
    return place
