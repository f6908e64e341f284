"""From tables to settings: what :mod:`cattrs` needs to know of the declarations."""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable
from gettext import gettext as _
from pathlib import PurePath
from typing import Any, TypeAlias, cast

import attrs
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, override

from sbs.config.declare import Declaration, Key, Section
from sbs.config.kinds import Kind, Path, wrong_type
from sbs.config.lists import Paths
from sbs.config.problems import Problem, problems_of, replaced, touches
from sbs.config.settings import FILE, Config
from sbs.config.toml import is_array, is_table
from sbs.core.manifest import MAX_FOLDERS
from sbs.core.messages import MAX_SERVICES

MAX_ROUNDS = 4
"""How often wrong parts are replaced: one round for each level of sections, and one more."""

_MOST = {"folders": MAX_FOLDERS, "services.unit": MAX_SERVICES}
"""The most items of each array of tables."""

Hook: TypeAlias = Callable[[Any, Any], Any]
"""cattrs calls it with what stands in the file and the type that is wanted."""


def structured(raw: object, directory: str) -> tuple[Config | None, list[Problem]]:
    """Make settings of a file's tables.

    Args:
        raw: the tables.
        directory: where relative paths begin.

    Returns:
        The settings and what is wrong. Where something is, a default or a stand-in takes its
        place, so that the rest can be checked; ``None`` if even that gave no settings.
    """
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    _register(converter, "", FILE, directory)
    found: list[Problem] = []
    for _round in range(MAX_ROUNDS):
        raw = _completed(raw)
        try:
            return converter.structure(raw, Config), found
        except BaseValidationError as error:
            problems = list(problems_of(error, raw))
        # What a stand-in brings about is no mistake of the file.
        found += [problem for problem in problems if not touches(problem, found)]
        for path in {path for problem in problems for path in problem.keys}:
            raw = replaced(raw, path)
    return None, found


def _completed(raw: object) -> object:
    """``raw`` with the section that has a required key, and with the name that is the host's."""
    assert is_table(raw)
    node = raw.get("node", {})
    return {**raw, "node": {"name": socket.gethostname(), **node} if is_table(node) else node}


def _register(converter: Converter, title: str, section: Section, directory: str) -> None:
    """Teach ``converter`` to make a section, and the sections inside it, from tables."""
    hooks: dict[str, Any] = {
        field.name: override(omit=True) for field in attrs.fields(section.type)
    }
    for name, declaration in section.declarations.items():
        inner = f"{title}.{name}" if title else name
        if isinstance(declaration, Section):
            _register(converter, inner, declaration, directory)
        hooks[name] = override(struct_hook=_hook(converter, inner, declaration, directory))
    make = cast("Hook", make_dict_structure_fn(section.type, converter, **hooks))

    def structure(raw: object, wanted: object) -> object:
        if not is_table(raw):
            raise wrong_type(raw, _("a table"))
        return make(raw, wanted)

    converter.register_structure_hook(section.type, structure)


def _hook(converter: Converter, title: str, declaration: Declaration, directory: str) -> Hook:
    match declaration:
        case Section(many=True):
            return functools.partial(_read_many, converter, title)
        case Section():
            return converter.structure
        case Key(kind=Path() as kind):
            return functools.partial(_read_path, kind, directory)
        case Key(kind=Paths() as kind):
            return functools.partial(_read_paths, kind, directory)
        case Key(kind=kind):
            return functools.partial(_read, kind)


def _read_many(converter: Converter, title: str, raw: object, wanted: Any) -> object:
    if not is_array(raw):
        expected = _("an array of tables, each begun by [[{title}]]")
        raise wrong_type(raw, expected.format(title=title))
    if len(raw) > _MOST[title]:
        text = _("has {count} tables, allowed are at most {limit}")
        raise ValueError(text.format(count=len(raw), limit=_MOST[title]))
    return converter.structure(raw, wanted)


def _read(kind: Kind[object], raw: object, _wanted: object) -> object:
    return kind.read(raw)


def _read_path(kind: Path, directory: str, raw: object, _wanted: object) -> str:
    return _absolute(kind.read(raw), directory)


def _read_paths(kind: Paths, directory: str, raw: object, _wanted: object) -> tuple[str, ...]:
    return tuple(_absolute(path, directory) for path in kind.read(raw))


def _absolute(path: str, directory: str) -> str:
    # Not normalised: where a directory is a symbolic link, ".." is not its parent in the text.
    return Path().read(str(PurePath(directory, path))) if path else path
