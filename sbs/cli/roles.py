"""Commands about who is primary."""

from __future__ import annotations

from gettext import gettext as _
from typing import Any

import click

from sbs.cli.acting import ask
from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option
from sbs.cli.text import plain

_DRY_RUN = "Look whether it could be done, and do nothing."


def _show_checks(found: dict[str, Any]) -> None:
    for check in found["checks"]:
        click.echo(f"  {plain(check)}")


def _form(found: dict[str, Any]) -> dict[str, Any]:
    """What scripts read of it, whatever else a node of another release tells."""
    return {key: found[key] for key in ("to", "checks", "gap_s")}


def _show_where_to_look(name: str) -> None:
    """The other node does not tell this one how its services do."""
    text = _("whether the services stay up is seen only there: sbs status, on {name}")
    click.echo(text.format(name=name))


def _gap(found: dict[str, Any]) -> str:
    gap_s = found["gap_s"]
    return "" if gap_s is None else "; " + _("no service ran for {gap_s:.3f} s").format(gap_s=gap_s)


@click.command(
    cls=VerbatimCommand,
    epilog="Examples:\n  sbs switchover --dry-run\n  sbs switchover -c alpha.toml",
)
@click.option("--dry-run", is_flag=True, help=_DRY_RUN)
@json_option
@config_option
def switchover(config_path: str, *, dry_run: bool, as_json: bool) -> None:
    """Exchange the roles of the two nodes.

    For planned work on the primary; run it there. It stops its services, sends a last update, and
    the secondary takes over with all of the data; the old primary stays as its secondary. Returns
    when the services were started there, and says how long none ran. Refused (exit code 4) while
    the nodes are not in step.
    """
    found = ask(config_path, "switchover", dry_run=dry_run)
    name = plain(found["to"])
    if as_json:
        show_object(_form(found))
    elif dry_run:
        click.echo(_("{name} could take over:").format(name=name))
        _show_checks(found)
    else:
        text = _("the roles are exchanged: {name} is primary").format(name=name)
        click.echo(text + _gap(found))
        _show_where_to_look(name)


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs drill")
@json_option
@config_option
def drill(config_path: str, *, as_json: bool) -> None:
    """Rehearse a takeover, and measure it.

    Run it on the primary, from time to time: what was never tried does not work. Looks whether
    everything is in order, then exchanges the roles as a switchover does, and prints the outage
    that users saw. The roles stay exchanged, so that the other node proves itself for a while; a
    drill there brings them back. Refused (exit code 4) as a switchover is.
    """
    found = ask(config_path, "switchover", dry_run=True)
    if not as_json:
        click.echo(_("{name} can take over:").format(name=plain(found["to"])))
        _show_checks(found)
    found = ask(config_path, "switchover")
    if as_json:
        show_object(_form(found))
        return
    name = plain(found["to"])
    click.echo(_("{name} has taken over").format(name=name) + _gap(found))
    _show_where_to_look(name)
    click.echo(_("to exchange the roles again: sbs drill, or sbs switchover, on that node"))


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs takeover --force")
@click.option("--force", is_flag=True, help="Although the other node may still serve.")
@config_option
def takeover(config_path: str, *, force: bool) -> None:
    """Make this node primary although the other cannot be asked.

    For when SBS cannot know whether the other node still serves, and you can: with the policy
    protect, or with quorum when the witness is lost as well. Make sure that the other node is
    off, or cut off from everybody; two primaries write two truths. Refused (exit code 4) without
    --force, while a primary answers (run sbs switchover there), and on a node that leads.
    """
    ask(config_path, "takeover", force=force)
    click.echo(_("this node is primary"))


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs pause")
@config_option
def pause(config_path: str) -> None:
    """Suspend automatic takeovers, for maintenance.

    Run it on either node, it counts for both. Until sbs resume, also over restarts: the secondary
    does not replace a primary that is lost, no role goes back by itself, and sbs stop on the
    primary does not hand its role over: started again, it is primary again. Switchover, drill and
    takeover --force work all the same. A node that is not connected learns it when the two meet.
    """
    ask(config_path, "pause")
    if _is_known_to_both(config_path):
        click.echo(_("automatic takeovers are suspended on both nodes, until sbs resume"))
    else:
        click.echo(
            _(
                "automatic takeovers are suspended here (the other node is not connected, and "
                "learns it when the two meet), until sbs resume"
            )
        )


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs resume")
@config_option
def resume(config_path: str) -> None:
    """Allow automatic takeovers again, after sbs pause.

    Run it on either node, it counts for both. A secondary that lost its primary meanwhile takes
    over now, as its policy allows. A node that is not connected learns it when the two meet.
    """
    ask(config_path, "resume")
    if _is_known_to_both(config_path):
        click.echo(_("automatic takeovers are allowed again on both nodes"))
    else:
        click.echo(
            _(
                "automatic takeovers are allowed again here (the other node is not connected, and "
                "learns it when the two meet)"
            )
        )


def _is_known_to_both(config_path: str) -> bool:
    """Whether the other node knows of a pause, or of its end."""
    peer = ask(config_path, "status")["peer"]
    return peer is not None and bool(peer["connected"])
