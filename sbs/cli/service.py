"""``sbs service``: SBS itself as a service of the machine (R31)."""

from __future__ import annotations

import os
import sys
from gettext import gettext as _

import click

import sbs
from sbs.cli.help import VerbatimCommand, VerbatimGroup
from sbs.cli.options import config_option, load_config
from sbs.cli.text import warn
from sbs.core.permissions import ROOT
from sbs.errors import InstallationError


@click.group(
    cls=VerbatimGroup,
    epilog="Example:\n  sbs service install --automatic",
)
def service() -> None:
    """Install SBS as a service of this machine, or take it out.

    On Linux with systemd; docs/systemd.md shows the unit and says why it is so.
    """


_name_option = click.option(
    "--name",
    metavar="NAME",
    default="sbs",
    show_default=True,
    help="What the service is called; two nodes on one machine need two.",
)


@service.command(
    "install",
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs service install -c alpha.toml\n  sbs service install --print",
)
@click.option("--automatic", is_flag=True, help="Start it at the boot; else by hand only.")
@click.option("--print", "shown", is_flag=True, help="Show the unit, and change nothing.")
@_name_option
@config_option
def install(config_path: str, name: str, *, automatic: bool, shown: bool) -> None:
    """Install SBS as a service, with this configuration.

    Needs root and systemd. It is started by hand, or at the boot with --automatic. Run it again
    to change that, or after SBS has moved; a node that runs is left alone.
    """
    if shown:
        click.echo(_unit_text(config_path).rstrip())
    else:
        install_service(config_path, name, automatic=automatic)


def install_service(config_path: str, name: str, *, automatic: bool) -> None:
    """Install a unit of systemd that runs this configuration, and say so.

    Args:
        config_path: of the node.
        name: of the unit.
        automatic: start it at the boot.

    Raises:
        ConfigError: the configuration is wrong.
        ServiceError: it cannot be installed.
    """
    from sbs.adapters.services.systemd import own_service  # noqa: PLC0415 - slow

    click.echo(own_service.install(name, _unit_text(config_path), automatic=automatic))


def _unit_text(config_path: str) -> str:
    load_config(config_path, to_run=True)
    path = os.path.abspath(config_path)
    _require_linux(sys.platform)
    from sbs.adapters.services.systemd import own_service  # noqa: PLC0415 - slow
    from sbs.config.permissions import distrust  # noqa: PLC0415 - likewise

    for program in (sys.executable, sbs.__file__):
        if why := distrust(program, os.stat(program), ROOT):
            warn(_("{problem}; the service runs it as root").format(problem=why))
    command = [sys.executable, "-P", "-m", "sbs", "run", "-c", path]
    return own_service.unit_file(command, path)


@service.command(
    "uninstall",
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs service uninstall\n  sbs service uninstall --name sbs-alpha",
)
@_name_option
def uninstall(name: str) -> None:
    """Stop SBS in order, and take the service out.

    A primary hands its role over. Configuration and state stay. Needs root and systemd.
    """
    _require_linux(sys.platform)
    from sbs.adapters.services.systemd import own_service  # noqa: PLC0415 - slow

    click.echo(own_service.uninstall(name))


def _require_linux(platform: str) -> None:
    """Refuse a system whose service manager is not known here.

    Args:
        platform: as ``sys.platform`` names it.

    Raises:
        InstallationError: it is none of ours.
    """
    if platform == "linux":
        return
    text = _(
        "sbs service does nothing on {platform}: it needs systemd; sbs run starts a node by hand"
    )
    if platform == "win32":
        text = _("sbs service does nothing on {platform}: a node does not run on Windows yet")
    raise InstallationError(text.format(platform=platform))
