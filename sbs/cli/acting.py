"""Commands that make a running node do something."""

from __future__ import annotations

import math
from contextlib import nullcontext
from gettext import gettext as _
from gettext import ngettext
from typing import Any

import click

from sbs.cli import completing
from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand, VerbatimGroup
from sbs.cli.options import config_option, find_state_dir, load_config
from sbs.cli.progress import shown
from sbs.cli.text import plain, warn
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


@click.command(cls=VerbatimCommand, epilog="Examples:\n  sbs stop\n  sbs stop -c alpha.toml")
@click.option("--force", is_flag=True, help="Although the secondary would not get the last update.")
@json_option
@config_option
def stop(config_path: str, *, force: bool, as_json: bool) -> None:
    """Stop the running node, in order.

    For maintenance of this machine. A primary stops its services, sends a last update and hands
    its role to the secondary, unless automatic takeovers are paused. Returns when the node has
    ended; a warning says if the role was not handed over.

    Refused (exit code 4) where the secondary would not get the last update: one is held, or the
    last one failed. Mend that first, or end the node all the same with --force.
    """
    try:
        kept = client.stop(find_state_dir(config_path), force=force)
    except client.NoNodeError:
        load_config(config_path)
        raise
    if as_json:
        show_object({"not_handed_over": kept})
        return
    click.echo(_("stopped"))
    if kept:
        warn(
            _(
                "the role was not handed over: {reason}. No service runs here any more; whether "
                "the other node leads, sbs status says there"
            ).format(reason=kept)
        )


@click.command(
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs sync\n  sbs sync --accept 3f6a90b1c2d4 -c alpha.toml",
)
@click.option(
    "--accept",
    metavar="ID",
    shell_complete=completing.held_updates,
    help="Send the held update of this id.",
)
@click.option("--quick", is_flag=True, help="Look only where the watcher has seen something.")
@json_option
@config_option
def sync(config_path: str, accept: str | None, quick: bool, as_json: bool) -> None:
    """Run one update now, without waiting for the period.

    Run it on the primary, before you rely on what the secondary has. Looks at everything, since
    the kernel tells no watcher of all changes; with --quick only where the watcher has seen
    something since the last update, as updates in between do.

    Returns when the secondary holds the update durably; until then a terminal shows how far it
    is. An update that would delete too much is held: sbs status says so, and sbs diff shows what
    it is. --accept sends exactly that one, this time only. Refused (exit code 4) where the update
    is held, or another one is than was accepted.
    """
    with nullcontext() if as_json else shown(config_path):
        update = ask(config_path, "sync", accept=accept, quick=quick)
    if as_json:
        show_object({"last_update": update})
    elif update is None:
        click.echo(_("the secondary has everything"))
    else:
        text = ngettext(
            "the secondary has everything; the last update: {files} file, {bytes} bytes, "
            "{duration_s:.3f} s",
            "the secondary has everything; the last update: {files} files, {bytes} bytes, "
            "{duration_s:.3f} s",
            update["files"],
        )
        click.echo(text.format(**update))


_UNIT_EPILOG = """\
Examples:
  sbs unit restart printer-1
  sbs unit stop printer-1 -c alpha.toml"""


@click.group(cls=VerbatimGroup, epilog=_UNIT_EPILOG)
def unit() -> None:
    """Start or stop one service on the primary.

    Use it instead of the system's own tools: the services that are active on the primary are
    those that a takeover starts, so one stopped here stays stopped on the other node, too.
    """


_NAME_ARGUMENT = click.argument(
    "name", shell_complete=completing.services, help="A service of the configuration."
)


@unit.command("start", cls=VerbatimCommand, epilog="Example:\n  sbs unit start printer-1")
@_NAME_ARGUMENT
@config_option
def unit_start(name: str, config_path: str) -> None:
    """Start a service; a takeover starts it, too.

    Run it on the primary. It counts as active from then on, on both nodes.
    """
    ask(config_path, "unit-start", name=name)
    click.echo(_("{name} is started").format(name=plain(name)))


@unit.command("restart", cls=VerbatimCommand, epilog="Example:\n  sbs unit restart printer-1")
@_NAME_ARGUMENT
@config_option
def unit_restart(name: str, config_path: str) -> None:
    """Stop and start a service; all the while it counts as active.

    Run it on the primary, for a service that shall read its settings anew.
    """
    ask(config_path, "unit-start", name=name, again=True)
    click.echo(_("{name} is started again").format(name=plain(name)))


@unit.command("stop", cls=VerbatimCommand, epilog="Example:\n  sbs unit stop printer-1")
@_NAME_ARGUMENT
@config_option
def unit_stop(name: str, config_path: str) -> None:
    """Stop a service; a takeover does not start it.

    Run it on the primary. A warning says if it could not be started again here.
    """
    hindrance = ask(config_path, "unit-stop", name=name)
    click.echo(_("{name} is stopped").format(name=plain(name)))
    if hindrance:
        warn(_("it cannot be started again here: {problem}").format(problem=hindrance))
