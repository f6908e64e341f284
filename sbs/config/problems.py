"""What is wrong with a configuration: one problem for each line of the error."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import attrs
from cattrs.errors import (
    AttributeValidationNote,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)

from sbs.config.declare import Key, Section, declared
from sbs.config.settings import Config
from sbs.config.text import dotted, shown, type_name

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


def problems_of(error: Exception, raw: object, path: KeyPath = ()) -> Iterator[Problem]:
    """The problems that cattrs found in ``raw``, which stands at ``path``."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            step = _step(inner)
            if step is None:
                yield from problems_of(inner, raw, path)
            else:
                yield from problems_of(inner, _item(raw, step), (*path, step))
    elif isinstance(error, ForbiddenExtraKeysError):
        for name in sorted(error.extra_fields):
            yield Problem(_unknown(error.cl, path, name), ((*path, name),))
    elif isinstance(error, KeyError):
        declaration = _declaration(path)
        expected = declaration.kind.expected if isinstance(declaration, Key) else "a table"
        yield Problem(f"{dotted(path)} is not set: required is {expected}", (path,))
    elif isinstance(error, ValueError):
        yield Problem(about(path, raw, str(error)), (path,))
    else:
        raise error


def about(path: KeyPath, value: object, text: str) -> str:
    """``key = value: text``, without the value where it may hold a secret."""
    declaration = _declaration(path)
    if isinstance(declaration, Key) and declaration.sensitive:
        return f"{dotted(path)} ({type_name(value)}, not shown): {text}"
    if isinstance(value, dict | list) and not isinstance(declaration, Key):
        return f"{dotted(path)}: {text}"  # a whole section: any secret could be inside
    return f"{dotted(path)} = {shown(value)}: {text}"


def _step(error: Exception) -> str | int | None:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return note.name
        if isinstance(note, IterableValidationNote):
            return note.index
    return None


def _item(raw: object, step: str | int) -> object:
    match raw, step:
        case dict(), str():
            return raw.get(step)
        case list(), int():
            return raw[step]
        case _:
            raise AssertionError(f"cattrs went to {step!r} in {type(raw).__name__}")


def _declaration(path: KeyPath) -> Key | Section | None:
    found: Key | Section | None = None
    inside: type | None = Config
    for step in path:
        if isinstance(step, int):
            continue
        found = None if inside is None else declared(inside).get(step)
        inside = found.type if isinstance(found, Section) else None
    return found


def _unknown(section: type, path: KeyPath, name: str) -> str:
    known = declared(section)
    key = dotted((*path, name))
    if near := difflib.get_close_matches(name, known, n=1):
        return f"{key}: unknown key; did you mean {dotted((*path, near[0]))}?"
    if elsewhere := _elsewhere(name):
        return f"{key}: unknown key; did you mean {elsewhere}?"
    return f"{key}: unknown key; known are {', '.join(known)}"


def _elsewhere(name: str) -> str | None:
    """A key of this very name in one of the sections."""
    for section, declaration in declared(Config).items():
        if isinstance(declaration, Section) and name in declared(declaration.type):
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
    match raw, step:
        case list(), int():
            item = replaced(raw[step], rest, before) if rest else {}
            return [*raw[:step], item, *raw[step + 1 :]]
        case dict(), str():
            names = (*before, step)
            if rest:
                return {**raw, step: replaced(raw[step], rest, names)}
            if names in _STAND_INS:
                return {**raw, step: _STAND_INS[names]}
            return {name: value for name, value in raw.items() if name != step}
        case _:
            raise AssertionError(f"no {step!r} in {type(raw).__name__}")
