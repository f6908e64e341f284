"""The command line: parse, build, run, and turn errors into exit codes (``docs/cli.md``).

A command's module is imported when the command is used: the others do not cost it time.
"""

from __future__ import annotations

import importlib
import os
from gettext import gettext as _
from typing import Any, Final

import click

from sbs.cli import language
from sbs.cli.forms import show_error
from sbs.cli.help import MAX_SUMMARY_CHARS, VerbatimGroup
from sbs.cli.text import plain
from sbs.errors import SbsError
from sbs.version import __version__

SECTIONS: Final = {
    "First day": {
        "demo": "sbs.cli.demo:demo",
        "init": "sbs.cli.init:init",
        "pair": "sbs.cli.pair:pair",
        "config": "sbs.cli.config:config",
        "run": "sbs.cli.run:run",
        "service": "sbs.cli.service:service",
        "completion": "sbs.cli.completion:completion",
    },
    "Daily": {
        "status": "sbs.cli.status:status",
        "sync": "sbs.cli.acting:sync",
        "switchover": "sbs.cli.roles:switchover",
        "unit": "sbs.cli.acting:unit",
        "stop": "sbs.cli.acting:stop",
    },
    "When something is wrong": {
        "probe": "sbs.cli.probe:probe",
        "roles": "sbs.cli.role_history:roles",
        "diff": "sbs.cli.folders:diff",
        "explain": "sbs.cli.folders:explain",
        "history": "sbs.cli.versions:history",
        "restore": "sbs.cli.versions:restore",
        "takeover": "sbs.cli.roles:takeover",
    },
    "Maintenance": {
        "pause": "sbs.cli.roles:pause",
        "resume": "sbs.cli.roles:resume",
        "drill": "sbs.cli.roles:drill",
        "verify": "sbs.cli.folders:verify",
        "mail": "sbs.cli.mail:mail",
        "licence": "sbs.cli.licence:licence",
        "adapters": "sbs.cli.adapters:adapters",
    },
}
"""Each command and where it is defined, by purpose, in the order of the help."""

COMMANDS: Final = {name: place for places in SECTIONS.values() for name, place in places.items()}


class Commands(VerbatimGroup):
    """Imports commands on demand, and reports errors of SBS without a traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, in the language of the environment."""
        language.choose()
        return super().main(*args, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``sbs -cfg`` is ``sbs config`` (R60); ``NO_COLOR`` counts (no-color.org)."""
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        return super().parse_args(ctx, ["config", *args[1:]] if args[:1] == ["-cfg"] else args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import one command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, name = place.split(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place} is a {type(command).__name__}, not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; to a mistyped one propose what is near."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command is for, below its purpose."""
        width = max(map(len, COMMANDS))
        for title, names in SECTIONS.items():
            rows: list[tuple[str, str]] = []
            for name in names:
                command = self.get_command(ctx, name)
                assert command is not None  # noqa: S101 - it is one of COMMANDS
                rows.append((name.ljust(width), command.get_short_help_str(MAX_SUMMARY_CHARS)))
            with formatter.section(_(title)):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an :class:`SbsError` ends it with its exit code."""
        try:
            return super().invoke(ctx)
        except SbsError as error:
            report(error)
            show_error(ctx, error)
            ctx.exit(error.exit_code)


def report(error: SbsError) -> None:
    """Write an error to standard error: what it is, and what to do about it."""
    first, *rest = str(error).splitlines() or [type(error).__name__]
    label = click.style(_("Error:"), fg="red", bold=True)
    click.echo(f"{label} {plain(first)}", err=True)
    for line in rest:
        click.echo(f"       {plain(line)}", err=True)
    if error.remedy:
        remedy = plain(_(error.remedy))
        click.echo(f"       {remedy}", err=True)


_EPILOG: Final = """\
Exit codes:
  0   done
  1   it failed
  2   wrong usage
  3   no node is running, or it cannot be reached
  4   refused by a rule
  78  the configuration is wrong

Examples:
  sbs demo                     see it at work
  sbs init                     begin, on each of two machines
  sbs status                   see how a node is"""


@click.group(cls=Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", message="sbs %(version)s")
def main() -> None:
    """SBS keeps a second server ready to replace the first.

    A pair of nodes: the primary runs your services and sends its folders to the secondary, which
    takes over when the primary is gone. Each command reads the node's configuration: -c FILE, or
    the environment variable SBS_CONFIG, or /etc/sbs/sbs.toml.
    """
