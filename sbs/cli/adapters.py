"""``sbs adapters``."""

from __future__ import annotations

from gettext import gettext as _

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.text import plain


@click.command(cls=VerbatimCommand, epilog="Example:\n  sbs adapters")
def adapters() -> None:
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
    for kind, group in groups.items():
        for name, point in sorted(group.installed().items()):
            package = (
                f"{point.dist.name} {point.dist.version}" if point.dist else _("unknown package")
            )
            click.echo(f"{kind}  {plain(name)}  {plain(point.value)}  ({plain(package)})")
