"""``sbs mail``."""

from __future__ import annotations

from gettext import gettext as _
from typing import TYPE_CHECKING

import click

from sbs.cli.help import VerbatimCommand, VerbatimGroup
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain

if TYPE_CHECKING:
    from sbs.ports import SendStep

_EPILOG = """\
Exit codes: 0 the server has taken the message; 1 it has not; 78 the configuration is wrong.

Examples:
  sbs mail test
  SBS_MAIL_PASSWORD=... sbs mail test -c alpha.toml"""


@click.group(cls=VerbatimGroup, epilog="Example:\n  sbs mail test")
def mail() -> None:
    """Try the mail that tells the administrator of a takeover.

    What is mailed, and how a server is configured: docs/mail.md.
    """


@mail.command("test", cls=VerbatimCommand, epilog=_EPILOG)
@config_option
def test(config_path: str) -> None:
    """Send a test message to all receivers, and show each step.

    The message goes the way that every other one goes, but not through the queue of the node, which
    need not run. Where a step fails, the line shows what the server says. Works before
    mail.enabled is set, too.
    """
    from sbs.runtime.mailing.password import take_password  # noqa: PLC0415 - slow
    from sbs.runtime.mailing.trial import send_test  # noqa: PLC0415 - likewise

    config = load_config(config_path)
    send_test(config, take_password(), _show, why="sbs mail test")
    receivers = ", ".join(config.mail.receivers)
    text = _("the server has taken the message for {receivers}; it should arrive soon")
    click.echo(text.format(receivers=receivers))
    if not config.mail.enabled:
        click.echo(_("mail.enabled is false: no event is mailed"), err=True)


def _show(step: SendStep) -> None:
    word, colour = (_("ok"), "green") if step.ok else (_("fail"), "red")
    styled = click.style(f"{word:<5}", fg=colour, bold=True)
    click.echo(f"{styled} {plain(step.name)}: {plain(step.detail)}")
