"""``sbs config``."""

from __future__ import annotations

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain


@click.group()
def config() -> None:
    """The node's configuration."""


@config.command("check", cls=VerbatimCommand, epilog="Example:\n  sbs config check -c alpha.toml")
@config_option
def check(config_path: str) -> None:
    """Check a configuration file, for a node of this account; exit code 78 if it is wrong.

    Each problem is one line: file, key, value, and what is allowed. Settings without effect in
    this version are warnings, and no error.
    """
    found = load_config(config_path, to_run=True)
    for warning in found.warnings:
        click.echo(f"{click.style('Warning:', fg='yellow', bold=True)} {plain(warning)}", err=True)
    folders, services = len(found.folders), len(found.services.unit)
    click.echo(
        f"{plain(config_path)}: valid. {plain(found.node.name)} ({found.node.mode.value}) listens "
        f"on {found.node.listen}, its peer is {found.node.peer}; folders: {folders}, "
        f"services: {services}"
    )
