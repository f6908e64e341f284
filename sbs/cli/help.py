"""Help texts: in the language of the time, and with an end whose lines stay as they are written."""

from __future__ import annotations

import copy
import re
from gettext import gettext as _
from typing import Final, TypeVar

import click

MAX_SUMMARY_CHARS: Final = 62
"""Of a command in the list of all: what a terminal of 80 columns has beside the names."""

_REMARK = re.compile(r"( +\S+(?: \S+)*)( {2,})(\S.*)")
"""A line of an epilog that says something of what is typed."""

_Command = TypeVar("_Command", bound=click.Command)


def paragraphs(text: str) -> list[str]:
    """A docstring's paragraphs, each on one line: how a catalogue has them."""
    return [" ".join(part.split()) for part in text.split("\n\n")]


def remarks(line: str) -> tuple[str, str]:
    """A line of an epilog, parted into what is typed, and what is said in a language."""
    if not line.startswith(" "):
        return "", line
    found = _REMARK.fullmatch(line)
    return (found[1] + found[2], found[3]) if found else (line, "")


def translated(command: _Command) -> _Command:
    """A copy that speaks the language of the time; the command was made before it was chosen."""
    found = copy.copy(command)
    if found.help:
        found.help = "\n\n".join(map(_, paragraphs(found.help)))
    if found.epilog:
        found.epilog = "\n".join(map(_line, found.epilog.splitlines()))
    found.params = list(map(copy.copy, found.params))
    for param in found.params:
        if isinstance(param, click.Option | click.Argument) and param.help:
            param.help = _(param.help)
        if isinstance(param, click.Option) and isinstance(param.show_default, str):
            param.show_default = _(param.show_default)
    return found


def _line(line: str) -> str:
    typed, said = remarks(line)
    return typed + _(said) if said else line


def _write(epilog: str | None, formatter: click.HelpFormatter) -> None:
    if epilog:
        formatter.write_paragraph()
        for line in epilog.splitlines():
            formatter.write(f"{line}\n")


class VerbatimCommand(click.Command):
    """A command whose epilog is not wrapped."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, translated."""
        super(VerbatimCommand, translated(self)).format_help(ctx, formatter)

    def get_short_help_str(self, limit: int = MAX_SUMMARY_CHARS) -> str:
        """The first sentence, translated."""
        return super(VerbatimCommand, translated(self)).get_short_help_str(limit)

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the epilog, line by line."""
        _write(self.epilog, formatter)


class VerbatimGroup(click.Group):
    """A group whose epilog is not wrapped."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, translated."""
        super(VerbatimGroup, translated(self)).format_help(ctx, formatter)

    def get_short_help_str(self, limit: int = MAX_SUMMARY_CHARS) -> str:
        """The first sentence, translated."""
        return super(VerbatimGroup, translated(self)).get_short_help_str(limit)

    def format_epilog(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the epilog, line by line."""
        _write(self.epilog, formatter)
