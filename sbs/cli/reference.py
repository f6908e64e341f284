"""The page of all commands, in Markdown, made from their declarations.

``python -m sbs.cli.reference`` prints ``docs/commands.md``.
"""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Iterator
from typing import Final

import click

from sbs.cli import SECTIONS, main

_BEGIN: Final = """\
# Commands

Made from the code by `python -m sbs.cli.reference`; `sbs COMMAND -h` shows the same. What exit
codes mean, what commands print, and which accounts may do what: [cli.md](cli.md).
"""


def walk(
    command: click.Command, parent: click.Context | None = None, name: str = "sbs"
) -> Iterator[tuple[click.Context, click.Command]]:
    """A command and all below it, in the order of the help, each with the context it would have.

    Args:
        command: where to begin.
        parent: the context of the group that it belongs to.
        name: of the command.
    """
    ctx = click.Context(command, parent, name, **command.context_settings)
    yield ctx, command
    if isinstance(command, click.Group):
        for inner in command.list_commands(ctx):
            found = command.get_command(ctx, inner)
            assert found is not None, inner  # noqa: S101 - it is listed
            yield from walk(found, ctx, inner)


def reference() -> str:
    """Every command with its usage, meaning, options and examples."""
    commands = list(walk(main))
    parts = [_BEGIN, *_contents(commands)]
    for ctx, command in commands:
        parts += _section(ctx, command)
    return "\n".join(parts)


def _contents(commands: list[tuple[click.Context, click.Command]]) -> Iterator[str]:
    summaries = {ctx.command_path: command.get_short_help_str(1000) for ctx, command in commands}
    yield "| for | command | |\n| --- | --- | --- |"
    for purpose, names in SECTIONS.items():
        for place, name in enumerate(f"sbs {name}" for name in names):
            link = f"[`{name}`](#{name.replace(' ', '-')})"
            yield f"| {'' if place else purpose} | {link} | {_marked(summaries[name])} |"
    yield ""


def _section(ctx: click.Context, command: click.Command) -> Iterator[str]:
    path = ctx.command_path
    level = max(2, len(path.split()))
    yield f"{'#' * level} {path}\n"
    yield f"```text\n{path} {' '.join(command.collect_usage_pieces(ctx))}\n```\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield f"{_marked(paragraph)}\n"
    rows = [_row(ctx, param) for param in command.params]
    if rows:
        yield "| | default | meaning |\n| --- | --- | --- |"
        yield from (
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows
        )
        yield ""
    yield from _epilog(command.epilog or "")


def _row(ctx: click.Context, param: click.Parameter) -> tuple[str, str, str]:
    """What one writes, what counts without it, and what it means."""
    help_text = _marked(getattr(param, "help", None) or "")
    if not isinstance(param, click.Option):
        return f"`{param.make_metavar(ctx)}`", "", help_text
    value = "" if param.is_flag else f" {param.make_metavar(ctx)}"
    extra = param.get_help_extra(ctx)
    default = "required" if param.required else ""
    if isinstance(param.show_default, str):
        default = _marked(param.show_default)
    elif "default" in extra:
        default = f"`{extra['default']}`"
    for variable in extra.get("envvars", ()):
        default = f"`{variable}`, else {default}"
    return ", ".join(f"`{name}{value}`" for name in param.opts), default, help_text


def _epilog(text: str) -> Iterator[str]:
    """Lines that are indented are to be typed or read as they stand."""
    for indented, lines in itertools.groupby(text.splitlines(), lambda line: line.startswith("  ")):
        if indented:
            yield "```text\n" + "\n".join(line.strip() for line in lines) + "\n```\n"
        else:
            yield _marked("\n".join(lines).strip()) + "\n"


_OPTION: Final = r"--?[a-z][\w-]*(?: (?:FILE|ID))?"

_COMMAND: Final = r"(?<![\w-])(?:sbs (?:COMMANDS)(?: OPTION)?|OPTION)(?![\w-])"


def _marked(text: str) -> str:
    """A text of the help as Markdown: what is typed is code, pages are links."""
    paths = sorted((ctx.command_path[4:] for ctx, _ in walk(main)), reverse=True)
    typed = _COMMAND.replace("COMMANDS", "|".join(filter(None, paths))).replace("OPTION", _OPTION)
    text = re.sub(r"([\\`*<\[])", r"\\\1", text)
    text = re.sub(typed, r"`\g<0>`", text)
    return re.sub(r"docs/(\w+\.md)", r"[\1](\1)", text)


if __name__ == "__main__":
    sys.stdout.write(reference())
