"""Texts of others, made safe for a terminal."""

from __future__ import annotations

from gettext import gettext as _

import click

from sbs.core.printable import plain

__all__ = ["plain", "warn"]


def warn(text: str) -> None:
    """Write a warning to standard error."""
    label = click.style(_("Warning:"), fg="yellow", bold=True)
    click.echo(f"{label} {plain(text)}", err=True)
