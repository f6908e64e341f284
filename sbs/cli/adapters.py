"""``sbs adapters``."""

from __future__ import annotations

from gettext import gettext as _
from typing import TYPE_CHECKING

import click

from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.text import plain

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@click.command(cls=VerbatimCommand, epilog="Examples:\n  sbs adapters\n  sbs adapters --json")
@json_option
def adapters(*, as_json: bool) -> None:
    """List the adapters that are installed.

    Their names are what services.adapter, licence.adapter and witness.adapter may say. A package
    brings its own with an entry point; docs/cli.md says how. Changes nothing.
    """
    from sbs.adapters import licences, notifiers, services, witnesses  # noqa: PLC0415 - slow

    groups = {
        "services": services,
        "licences": licences,
        "notifiers": notifiers,
        "witnesses": witnesses,
    }
    found = [
        (kind, name, point)
        for kind, group in groups.items()
        for name, point in sorted(group.installed().items())
    ]
    if as_json:
        show_object({"adapters": [_form(*each) for each in found]})
        return
    for kind, name, point in found:
        package = f"{point.dist.name} {point.dist.version}" if point.dist else _("unknown package")
        click.echo(f"{kind}  {plain(name)}  {plain(point.value)}  ({plain(package)})")


def _form(kind: str, name: str, point: EntryPoint) -> dict[str, str | None]:
    return {
        "kind": kind,
        "name": name,
        "value": point.value,
        "package": point.dist.name if point.dist else None,
        "version": point.dist.version if point.dist else None,
    }
