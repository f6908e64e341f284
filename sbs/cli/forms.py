"""What scripts read: the option ``--json``, and the form of an error (``docs/cli.md``)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from sbs import errors
from sbs.cli import language
from sbs.errors import SbsError

_AS_JSON: Final = "sbs.cli.as_json"
"""Where a command's context remembers that a script reads."""

_Function = TypeVar("_Function", bound="Callable[..., object]")


def json_option(function: _Function) -> _Function:
    """Give a command the option ``--json``, as its argument ``as_json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=_remember,
        help="Print a JSON object, for scripts.",
    )(function)


def _remember(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    ctx.meta[_AS_JSON] = value
    if value:
        language.speak_english()  # errors and warnings of a configuration stand in it
    return value


def show_object(found: object) -> None:
    """Write what a script reads, on one line; whatever is not ASCII is escaped."""
    click.echo(json.dumps(found))


def show_error(ctx: click.Context, error: SbsError) -> None:
    """Write an error in the form for scripts, if one reads.

    Args:
        ctx: of the command, or of one above it.
        error: that ended it.
    """
    if ctx.meta.get(_AS_JSON):
        show_object({"error": error_form(error)})


def error_form(error: SbsError) -> dict[str, Any]:
    """An error as scripts read it: its kind, text and remedy, and the exit code."""
    return {
        "kind": _kind(type(error)),
        "text": str(error),
        "remedy": error.remedy,
        "exit_code": error.exit_code,
    }


def _kind(found: type[SbsError]) -> str:
    """The name of its public class in lower case: ``RefusedError`` is ``refused``."""
    public = next(each for each in found.__mro__ if vars(errors).get(each.__name__) is each)
    if public is SbsError:
        return "failed"
    return re.sub(r"(?<!^)(?=[A-Z])", "-", public.__name__.removesuffix("Error")).lower()
