"""``sbs mail``."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain
from sbs.errors import ConfigError

if TYPE_CHECKING:
    from sbs.config import Config
    from sbs.core.notice import Notice
    from sbs.ports import SendStep

_EPILOG = """\
Exit codes: 0 the server has taken the message; 1 it has not; 78 the configuration is wrong.

Example:
  sbs mail test -c alpha.toml
  SBS_MAIL_PASSWORD=... sbs mail test -c alpha.toml"""


@click.group()
def mail() -> None:
    """The mail that tells the administrator of a takeover."""


@mail.command("test", cls=VerbatimCommand, epilog=_EPILOG)
@config_option
def test(config_path: str) -> None:
    """Send a test message to all receivers, and show each step.

    The message goes the way that every other one goes, but not through the queue of the node, which
    need not run. Where a step fails, the line shows what the server says. Works before
    mail.enabled is set, too.
    """
    config = load_config(config_path)
    for key, value in (("sender", config.mail.sender), ("receivers", config.mail.receivers)):
        if not value:
            raise ConfigError(f"{config_path}: mail.{key} is not set: a message needs it")
    _run(config)
    receivers = ", ".join(config.mail.receivers)
    click.echo(f"the server has taken the message for {receivers}; it should arrive soon")
    if not config.mail.enabled:
        click.echo("mail.enabled is false: no event is mailed", err=True)


def _run(config: Config) -> None:
    import trio  # noqa: PLC0415 - slow

    from sbs.adapters import notifiers  # noqa: PLC0415 - likewise
    from sbs.runtime.mailing.password import notifier_options, take_password  # noqa: PLC0415 - likewise

    open_notifier = notifiers.load(config.mail.adapter)
    options = notifier_options(config.mail, take_password())

    async def send() -> None:
        async with open_notifier(options) as notifier:
            await notifier.send(_notice(config), config.mail.receivers, _show)

    trio.run(send)


def _notice(config: Config) -> Notice:
    from sbs.core.notice import Kind, Notice  # noqa: PLC0415 - slow

    now = time.time()
    return Notice(
        id=f"test.{secrets.token_hex(8)}",
        kind=Kind.TEST,
        at=now,
        utc_offset_s=time.localtime(now).tm_gmtoff,
        node=config.node.name,
        peer=str(config.node.peer),
        why="sbs mail test",
    )


def _show(step: SendStep) -> None:
    word, colour = ("ok", "green") if step.ok else ("fail", "red")
    styled = click.style(f"{word:<5}", fg=colour, bold=True)
    click.echo(f"{styled} {plain(step.name)}: {plain(step.detail)}")
