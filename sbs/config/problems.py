"""What is wrong with a configuration: one problem for each line of the error."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from gettext import gettext as _
from typing import TypeAlias, cast

import attrs
from cattrs.errors import (
    AttributeValidationNote,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)

from sbs.config.declare import Declaration, Key, Section
from sbs.config.settings import FILE
from sbs.config.text import dotted, shown
from sbs.config.toml import is_array, is_table

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands: ``("folders", 0, "path")``."""


@attrs.frozen
class Problem:
    """One thing that is wrong.

    Args:
        text: key, value and what is allowed; the error puts the file before it.
        keys: those it is about. A problem that takes several keys together is not reported
            when one of them is wrong by itself.
    """

    text: str
    keys: tuple[KeyPath, ...]


def touches(problem: Problem, others: Sequence[Problem]) -> bool:
    """Whether ``problem`` is about something that one of ``others`` found wrong before."""
    broken = [path for other in others for path in other.keys]
    return any(path[: len(part)] == part for path in problem.keys for part in broken)


def problems_of(error: Exception, raw: object, path: KeyPath = ()) -> Iterator[Problem]:
    """The problems that cattrs found in ``raw``, which stands at ``path``."""
    if isinstance(error, ExceptionGroup):
        for inner in cast("ExceptionGroup[Exception]", error).exceptions:
            step = _step(inner)
            if step is None:
                yield from problems_of(inner, raw, path)
            else:
                yield from problems_of(inner, _item(raw, step), (*path, step))
    elif isinstance(error, ForbiddenExtraKeysError):
        for name in sorted(error.extra_fields):
            yield Problem(_unknown(path, name), ((*path, name),))
    elif isinstance(error, KeyError):
        declaration = _declaration(path)
        assert isinstance(declaration, Key), path
        text = _("{key} is not set: required is {expected}")
        expected = declaration.kind.expected
        yield Problem(text.format(key=dotted(path), expected=expected), (path,))
    elif isinstance(error, ValueError):
        yield Problem(about(path, raw, str(error)), (path,))
    else:
        raise error


def about(path: KeyPath, value: object, text: str) -> str:
    """``key = value: text``, without the value where it may hold a secret."""
    declaration = _declaration(path)
    if isinstance(declaration, Section):
        hidden = is_table(value) or is_array(value)  # any key may stand in it
    else:
        hidden = declaration.sensitive
    found = _("(not shown)") if hidden else shown(value)
    return f"{dotted(path)} = {found}: {text}"


def _step(error: Exception) -> str | int | None:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return note.name
        if isinstance(note, IterableValidationNote):
            return note.index
    return None


def _item(raw: object, step: str | int) -> object:
    if is_table(raw) and isinstance(step, str):
        return raw.get(step)
    assert is_array(raw)
    assert isinstance(step, int), step
    return raw[step]


def _declaration(path: KeyPath) -> Declaration:
    found: Declaration = FILE
    for step in path:
        if isinstance(step, str) and isinstance(found, Section):
            found = found.declarations[step]
    return found


def _unknown(path: KeyPath, name: str) -> str:
    section = _declaration(path)
    assert isinstance(section, Section), path
    known = section.declarations
    key = dotted((*path, name))
    if near := difflib.get_close_matches(name, known, n=1):
        return _proposed(key, dotted((*path, near[0])))
    if elsewhere := _elsewhere(name):
        return _proposed(key, elsewhere)
    return _("{key}: unknown key; known are {keys}").format(key=key, keys=", ".join(known))


def _proposed(key: str, near: str) -> str:
    return _("{key}: unknown key; did you mean {near}?").format(key=key, near=near)


def _elsewhere(name: str) -> str | None:
    """A key of this very name in one of the sections."""
    for section, declaration in FILE.declarations.items():
        if isinstance(declaration, Section) and name in declaration.declarations:
            return f"{section}.{name}"
    return None


_STAND_INS: Mapping[tuple[str, ...], str] = {
    ("node", "peer"): "peer.invalid",
    ("folders", "name"): "-",
    ("folders", "path"): "/",
    ("services", "unit", "name"): "-",
}
"""Values for the required keys that are wrong, see :func:`replaced`."""


def replaced(raw: object, path: KeyPath, before: tuple[str, ...] = ()) -> object:
    """A copy of ``raw`` in which nothing stands at ``path``, or a stand-in.

    So the rest of a configuration can be checked although a part of it is wrong.
    """
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        assert is_array(raw)
        # The required keys of an item that is no table get stand-ins in a next round.
        item: object = replaced(raw[step], rest, before) if rest else dict[str, object]()
        return [*raw[:step], item, *raw[step + 1 :]]
    assert is_table(raw)
    names = (*before, step)
    if rest:
        return {**raw, step: replaced(raw[step], rest, names)}
    if names in _STAND_INS:
        return {**raw, step: _STAND_INS[names]}
    return {name: value for name, value in raw.items() if name != step}
