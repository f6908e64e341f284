"""From TOML to settings: the reader of the configuration file."""

from __future__ import annotations

import functools
import os
import re
import socket
import tomllib
from pathlib import PurePath
from typing import Any, TypeAlias

import attrs
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_structure_fn, override

from sbs.config.declare import Declaration, Key, Section, declared
from sbs.config.kinds import Path, wrong_type
from sbs.config.lists import Array
from sbs.config.problems import KeyPath, Problem, problems_of, replaced
from sbs.config.rules import check, warnings
from sbs.config.settings import Config
from sbs.core.manifest import MAX_FOLDERS
from sbs.core.messages import MAX_SERVICES
from sbs.errors import ConfigError

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Longest file: one of :data:`MAX_FOLDERS` folders, each with a hundred long filters."""

MAX_REPORTED = 100
"""Problems named in one error: more scroll off the terminal."""

MAX_ROUNDS = 4
"""How often wrong parts are replaced: a part shows as deep as sections are nested, at most."""

_MANY = {"folders": MAX_FOLDERS, "unit": MAX_SERVICES}
"""The most items of each array of tables."""

_WHERE = re.compile(
    r"(?P<what>.*) \((?P<where>at line \d+, column \d+|at end of document)\)", re.DOTALL
)

Hook: TypeAlias = Any
"""cattrs leaves its hooks untyped: called with the raw value and the type wanted."""


def load(path: str | os.PathLike[str]) -> Config:
    """Read a configuration file.

    Args:
        path: of the file; settings that are relative paths begin at its directory.

    Returns:
        The settings, with absolute paths and defaults filled in.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong. The text has one line
            for each problem, which names file, key, value and what is allowed (R2, B62).
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        cause = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{name}: the file cannot be read: {cause}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(
            f"{name}: the file is over {MAX_FILE_BYTES} bytes, it is no configuration"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{name}: line {line}, column {column}: byte 0x{data[error.start]:02X} is not UTF-8"
        ) from error
    return parse(text, name)


def parse(text: str, path: str | os.PathLike[str]) -> Config:
    """Read the text of a configuration.

    Args:
        text: TOML.
        path: the file it stands for, see :func:`load`; it is not opened.

    Raises:
        ConfigError: as :func:`load`.
    """
    name = os.fspath(path)
    raw = _tables(text, name)
    directory = os.path.dirname(os.path.abspath(name))
    found: list[Problem] = []
    config = _structured(raw, directory, found)
    if config is not None:
        broken = [key for problem in found for key in problem.keys]
        found += [problem for problem in check(config) if not _touches(problem, broken)]
    if config is None or found:
        raise ConfigError(_report(name, found))
    return attrs.evolve(config, path=name, warnings=warnings(config))


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: {_syntax(str(error), text)}") from error
    except ValueError as error:  # from int(): thousands of digits
        raise ConfigError(f"{name}: a number is too long") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: arrays or tables are nested too deeply") from error


def _syntax(message: str, text: str) -> str:
    """Line and column first, as compilers write it."""
    found = _WHERE.fullmatch(message)
    if found is None:
        return f"not TOML: {message}"
    what = found["what"]
    if found["where"] == "at end of document":
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        return f"line {line}, column {column}: not TOML: {what} (the text ends here)"
    return f"{found['where'].removeprefix('at ')}: not TOML: {what}"


def _structured(raw: dict[str, Any], directory: str, found: list[Problem]) -> Config | None:
    """The settings; what is wrong goes to ``found`` and is replaced."""
    converter = _converter(directory)
    kept: object = raw
    for _ in range(MAX_ROUNDS):
        kept = _completed(kept)
        try:
            return converter.structure(kept, Config)
        except BaseValidationError as error:
            problems = list(problems_of(error, kept))
        found += [one for one in problems if not _touches(one, [k for p in found for k in p.keys])]
        for problem in problems:
            for key in problem.keys:
                kept = replaced(kept, key)
    return None


def _completed(raw: object) -> object:
    """``raw`` with the section that cannot be missing, and the name that must be made up."""
    if not isinstance(raw, dict):
        return raw
    node = raw.get("node", {})
    if isinstance(node, dict):
        node = {"name": socket.gethostname(), **node}
    return {**raw, "node": node}


def _touches(problem: Problem, broken: list[KeyPath]) -> bool:
    return any(key[: len(part)] == part for key in problem.keys for part in broken)


def _report(name: str, found: list[Problem]) -> str:
    lines = [f"{name}: {problem.text}" for problem in found[:MAX_REPORTED]]
    if len(found) > MAX_REPORTED:
        lines.append(f"{name}: and {len(found) - MAX_REPORTED} problems more")
    return "\n".join(lines)


def _converter(directory: str) -> Converter:
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    _register(converter, Config, directory)
    return converter


def _register(converter: Converter, section: type, directory: str) -> None:
    """Teach ``converter`` to make ``section``, and the sections inside it, from tables."""
    hooks: dict[str, Hook] = {}
    for name, declaration in declared(section).items():
        hooks[name] = override(struct_hook=_hook(converter, name, declaration, directory))
        if isinstance(declaration, Section):
            _register(converter, declaration.type, directory)
    hooks |= {
        field.name: override(omit=True)
        for field in attrs.fields(section)
        if field.name not in hooks
    }
    make = make_dict_structure_fn(section, converter, **hooks)

    def structure(raw: object, wanted: type) -> object:
        if not isinstance(raw, dict):
            raise wrong_type(raw, "a table")
        return make(raw, wanted)

    converter.register_structure_hook(section, structure)


def _hook(converter: Converter, name: str, declaration: Declaration, directory: str) -> Hook:
    match declaration:
        case Section(many=True):
            return functools.partial(_read_many, converter, name)
        case Section():
            return converter.structure
        case Key(kind=Path() as kind):
            return lambda raw, _: _absolute(kind.read(raw), directory)
        case Key(kind=Array(item=Path()) as kind):
            return lambda raw, _: tuple(_absolute(path, directory) for path in kind.read(raw))
        case Key():
            return lambda raw, _: declaration.kind.read(raw)


def _read_many(converter: Converter, name: str, raw: object, wanted: type) -> object:
    if not isinstance(raw, list):
        raise wrong_type(raw, f"an array of tables, each begun by [[{name}]]")
    if len(raw) > _MANY[name]:
        raise ValueError(f"{len(raw)} tables; allowed are at most {_MANY[name]}")
    return converter.structure(raw, wanted)


def _absolute(path: str, directory: str) -> str:
    # Not normalised: where a directory is a symbolic link, ".." does not mean its parent in text.
    return Path().read(str(PurePath(directory, path))) if path else path
