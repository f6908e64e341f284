"""From TOML to settings: the reader of the configuration file."""

from __future__ import annotations

import os
import re
import tomllib
from gettext import gettext as _
from typing import Any

import attrs

from sbs.config.permissions import distrust
from sbs.config.problems import Problem, touches
from sbs.config.rules import check, warnings
from sbs.config.settings import Config
from sbs.config.structure import structured
from sbs.config.text import shortened
from sbs.core.permissions import shared
from sbs.errors import ConfigError

MAX_FILE_BYTES = 4 * 1024 * 1024
"""Longest file: one of 256 folders, each with a hundred long filters."""

MAX_REPORTED = 100
"""Problems named in one error: more scroll off the terminal."""

_WHERE = re.compile(
    r"(?P<what>.*) \((?P<where>at line (?P<line>\d+), column (?P<column>\d+)|at end of document)\)",
    re.DOTALL,
)
"""How :mod:`tomllib` ends its messages."""


def load(path: str | os.PathLike[str]) -> Config:
    """Read a configuration file.

    Args:
        path: of the file; settings that are relative paths begin at its directory.

    Returns:
        The settings, with absolute paths and defaults filled in. Whether others than this account
        could change the file is told, not refused: commands that run nothing may read it.

    Raises:
        ConfigError: the file cannot be read, or something in it is wrong. The text has one line
            for each problem, which names file, key, value and what is allowed (R2, B62).
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
            found = os.fstat(file.fileno())
        refusal = distrust(name, found)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        cause = error.strerror if isinstance(error, OSError) else str(error)
        text = _("{path}: the file cannot be read: {cause}")
        raise ConfigError(text.format(path=name, cause=cause)) from error
    if len(data) > MAX_FILE_BYTES:
        text = _("{path}: the file is over {limit} bytes, it is no configuration")
        raise ConfigError(text.format(path=name, limit=MAX_FILE_BYTES))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(
            _("{path}: line {line}, column {column}: byte 0x{byte:02X} is not UTF-8").format(
                path=name, line=line, column=column, byte=data[error.start]
            )
        ) from error
    config = parse(text, name)
    others = shared(found.st_mode)
    named = (f"{name}: {others}",) if others else ()
    return attrs.evolve(config, refusal=refusal, warnings=config.warnings + named)


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
    config, found = structured(raw, directory)
    if config is not None:
        found += [problem for problem in check(config) if not touches(problem, found)]
    if config is None or found:
        raise ConfigError(_report(name, found))
    return attrs.evolve(config, path=name, warnings=warnings(config))


def _tables(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: {_syntax(str(error), text)}") from error
    except ValueError as error:  # from int(): thousands of digits
        raise ConfigError(f"{name}: " + _("a number is too long")) from error
    except RecursionError as error:
        text = _("arrays or tables are nested too deeply")
        raise ConfigError(f"{name}: {text}") from error


def _syntax(message: str, text: str) -> str:
    """Line and column first, as compilers write it."""
    found = _WHERE.fullmatch(message)
    if found is None:
        return _("not TOML: {problem}").format(problem=shortened(message))
    what = shortened(found["what"])  # it may name a key of any length
    if found["where"] == "at end of document":
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        text = _("line {line}, column {column}: not TOML: {problem} (the text ends here)")
        return text.format(line=line, column=column, problem=what)
    text = _("line {line}, column {column}: not TOML: {problem}")
    return text.format(line=found["line"], column=found["column"], problem=what)


def _report(name: str, found: list[Problem]) -> str:
    lines = [f"{name}: {problem.text}" for problem in found[:MAX_REPORTED]]
    if len(found) > MAX_REPORTED:
        more = _("and {count} problems more").format(count=len(found) - MAX_REPORTED)
        lines.append(f"{name}: {more}")
    return "\n".join(lines)
