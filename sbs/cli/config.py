"""``sbs config``: the dialog, and the check of a file."""

from __future__ import annotations

import importlib.util
import os
import sys
from gettext import gettext as _
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand, VerbatimGroup
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain, warn
from sbs.errors import ConfigError, SbsError

if TYPE_CHECKING:
    from sbs.config import Config

_EPILOG = """\
Examples:
  sbs config
  sbs config check -c alpha.toml"""


@click.group(cls=VerbatimGroup, invoke_without_command=True, epilog=_EPILOG)
@config_option
@click.pass_context
def config(ctx: click.Context, config_path: str) -> None:
    """Open the dialog: status and settings on a terminal.

    Four tabs: Status, Configuration, E-mail, Folders. Comments in the file stay. While the node
    runs, only Status can be used. sbs -cfg is the same. Needs the extra "dialog".
    """
    if ctx.invoked_subcommand is None:
        _open(config_path)
    elif ctx.get_parameter_source("config_path") is ParameterSource.COMMANDLINE:
        text = _("-c FILE comes after {command}").format(command=ctx.invoked_subcommand)
        raise click.UsageError(text, ctx)


def _open(config_path: str) -> None:
    """Open the dialog on this terminal.

    Raises:
        SbsError: the extra is not installed, or there is no terminal.
        ConfigError: the file cannot be read, or is no TOML.
    """
    if not on_terminal():
        raise SbsError(_("the dialog needs a terminal; sbs config check and sbs status need none"))
    if not os.path.lexists(config_path):
        text = _("{path}: no such file; sbs init writes a first one")
        raise ConfigError(text.format(path=config_path))
    if importlib.util.find_spec("textual") is None:
        raise SbsError(_('the dialog needs the package textual: pip install "sbs[dialog]"'))
    from sbs.dialog.app import run  # noqa: PLC0415 - slow, and an extra
    from sbs.runtime.mailing.password import take_password  # noqa: PLC0415 - slow

    run(config_path, take_password())


def on_terminal() -> bool:
    """Whether a person can see and type."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@config.command("check", cls=VerbatimCommand, epilog="Example:\n  sbs config check -c alpha.toml")
@json_option
@config_option
def check(config_path: str, *, as_json: bool) -> None:
    """Check a configuration file, as a node of this account would.

    After each edit, before a node is started with it. Each problem is one line: file, key, value,
    and what is allowed; exit code 78. Settings without effect are warnings, and no error; so are
    folders and programs that this machine does not have. Changes nothing.
    """
    from sbs.config.presence import missing  # noqa: PLC0415 - slow, as what loads it

    found = load_config(config_path, to_run=True)
    warnings = [*found.warnings, *missing(found)]
    if as_json:
        show_object(_form(found, warnings))
        return
    for warning in warnings:
        warn(warning)
    folders, services = len(found.folders), len(found.services.unit)
    text = _(
        "{path}: valid. {name} ({mode}) listens on {listen}, its peer is {peer}; "
        "folders: {folders}, services: {services}"
    )
    click.echo(
        text.format(
            path=plain(config_path),
            name=plain(found.node.name),
            mode=found.node.mode.value,
            listen=found.node.listen,
            peer=found.node.peer,
            folders=folders,
            services=services,
        )
    )


def _form(found: Config, warnings: list[str]) -> dict[str, Any]:
    node = found.node
    return {
        "path": found.path,
        "warnings": warnings,
        "name": node.name,
        "mode": node.mode.value,
        "listen": str(node.listen),
        "peer": str(node.peer),
        "state_dir": node.state_dir,
        "folders": [{"name": each.name, "path": each.path} for each in found.folders],
        "services": [unit.name for unit in found.services.unit],
    }
