"""Commands that make a running node do something."""

from __future__ import annotations

import math
from typing import Any

import click

from sbs.cli.help import VerbatimCommand, VerbatimGroup
from sbs.cli.options import config_option, find_state_dir, load_config
from sbs.cli.progress import shown
from sbs.cli.text import plain
from sbs.runtime.operating import client


def ask(config_path: str, command: str, **arguments: Any) -> Any:
    """Ask the running node; wait for as long as it takes.

    Raises:
        SbsError: the node's answer, or none runs.
    """
    try:
        return client.ask(find_state_dir(config_path), command, timeout_s=math.inf, **arguments)
    except client.NoNodeError:
        load_config(config_path)  # a wrong file may be why, and is then the better answer
        raise


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs stop -c alpha.toml")
@config_option
def stop(config_path: str) -> None:
    """Stop the running node, in order.

    A primary stops its services, sends a last update and hands its role to the secondary; so
    this is also how the two swap roles. Returns when the node has ended.
    """
    try:
        client.stop(find_state_dir(config_path))
    except client.NoNodeError:
        load_config(config_path)
        raise
    click.echo("stopped")


@click.command(
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs sync -c alpha.toml\n  sbs sync --accept 3f6a90b1c2d4 -c alpha.toml",
)
@click.option("--accept", metavar="ID", help="Send the held update of this id.")
@click.option("--quick", is_flag=True, help="Look only where the watcher has seen something.")
@config_option
def sync(config_path: str, accept: str | None, quick: bool) -> None:
    """Run one update now, without waiting for the period; run it on the primary.

    Looks at everything, since the kernel tells no watcher of all changes; with --quick only where
    the watcher has seen something since the last update, as updates in between do.

    Returns when the secondary holds the update durably; until then a terminal shows how far it is.
    An update that would delete too much is held: sbs status says so, and sbs diff shows what it is.
    --accept sends exactly that one, this time only. Refused (exit code 4) where the update is held,
    or another one is than was accepted.
    """
    with shown(config_path):
        update = ask(config_path, "sync", accept=accept, quick=quick)
    if update is None:
        click.echo("the secondary has everything")
    else:
        click.echo(
            f"the secondary has everything; the last update: {update['files']} files, "
            f"{update['bytes']} bytes, {update['duration_s']:.3f} s"
        )


@click.group(cls=VerbatimGroup, epilog="Example:\n  sbs unit stop printer-1 -c alpha.toml")
def unit() -> None:
    """Start or stop one service on the primary.

    The services that are active on the primary are those that a takeover starts: one stopped
    here stays stopped on the other node, too.
    """


@unit.command("start")
@click.argument("name")
@config_option
def unit_start(name: str, config_path: str) -> None:
    """Start the service NAME; a takeover starts it, too."""
    ask(config_path, "unit-start", name=name)
    click.echo(f"{plain(name)} is started")


@unit.command("restart")
@click.argument("name")
@config_option
def unit_restart(name: str, config_path: str) -> None:
    """Stop and start the service NAME; all the while it counts as active."""
    ask(config_path, "unit-start", name=name, again=True)
    click.echo(f"{plain(name)} is started again")


@unit.command("stop")
@click.argument("name")
@config_option
def unit_stop(name: str, config_path: str) -> None:
    """Stop the service NAME; a takeover does not start it."""
    hindrance = ask(config_path, "unit-stop", name=name)
    click.echo(f"{plain(name)} is stopped")
    if hindrance:
        label = click.style("Warning:", fg="yellow", bold=True)
        click.echo(f"{label} it cannot be started again here: {plain(hindrance)}", err=True)
