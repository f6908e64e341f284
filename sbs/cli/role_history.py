"""``sbs roles``."""

from __future__ import annotations

import time
from gettext import gettext as _
from typing import TYPE_CHECKING

import attrs
import click

from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, find_state_dir
from sbs.cli.text import plain
from sbs.core.claim import Role
from sbs.errors import SbsError
from sbs.runtime.operating import client

if TYPE_CHECKING:
    from sbs.runtime.lasting.role_history import RoleChange

SCHEMA = 1
"""Of the JSON form; it changes when a field changes its meaning or goes."""


@click.command(
    cls=VerbatimCommand, epilog="Examples:\n  sbs roles\n  sbs roles --json -c beta.toml"
)
@json_option
@config_option
def roles(config_path: str, *, as_json: bool) -> None:
    """Show when this node had which role, and why, over restarts.

    To find out later what happened; changes nothing. The newest line is the last one; a role that
    ended with the node's process, by a crash or a power cut, has no line of its end. Whether the
    node runs or not.
    """
    from sbs.runtime.lasting.role_history import read_role_history  # noqa: PLC0415 - slow

    changes = read_role_history(find_state_dir(config_path))
    if as_json:
        show_object({"schema": SCHEMA, "roles": [attrs.asdict(each) for each in changes]})
        return
    for each in changes:
        click.echo(_line(each))
    if changes and changes[-1].role != Role.STOPPED.value and not _runs(config_path):
        click.echo(_("it ended without a word: a crash or a power cut; it does not run now"))
    if not changes:
        click.echo(_("no role yet: the node has not run"), err=True)


def _runs(config_path: str) -> bool:
    """Whether a node answers, or at least listens."""
    try:
        client.ask(find_state_dir(config_path), "status")
    except (client.NoNodeError, client.EndedError):
        return False
    except SbsError:  # it runs, and does not answer this account, or not in time
        return True
    return True


def _line(change: RoleChange) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(change.at))
    text = _("{at}  {role:<9}  epoch {epoch}  {reason}")
    role = _(change.role)
    return plain(text.format(at=at, role=role, epoch=change.epoch, reason=change.reason))
