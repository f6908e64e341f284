"""What ``sbs init`` offers to a person once the files are written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from gettext import gettext as _
from typing import Final

import attrs
import click

from sbs.cli import report
from sbs.cli.options import load_config
from sbs.cli.pair import PAIR_PORT, call_peer, wait_for_call
from sbs.cli.service import install_service
from sbs.config import Config
from sbs.core.address import Address
from sbs.errors import SbsError

UNIT: Final = "sbs"
"""What the service is called, as by ``sbs service install``."""

LISTEN_S: Final = 1.0
"""How long to listen whether the other node waits already, for a mere proposal."""


@attrs.define(kw_only=True)
class Done:
    """What became of the offers.

    Args:
        installed: as a service.
        paired: with the other node.
        exit_code: of the last one that failed; 0: none did.
    """

    installed: bool = False
    paired: bool = False
    exit_code: int = 0


def offer(config_path: str) -> Done:
    """Offer to install SBS and to pair; what fails is told, and no reason to stop.

    Args:
        config_path: of the configuration, just written.
    """
    done = Done()
    try:
        done.installed = _try(done, lambda: _install(config_path))
        done.paired = _try(done, lambda: _pair(load_config(config_path, to_run=True)))
    except click.Abort:  # Ctrl-C: no more of it
        click.echo(err=True)
    return done


def _try(done: Done, work: Callable[[], bool]) -> bool:
    try:
        return work()
    except SbsError as error:
        report(error)
        done.exit_code = error.exit_code
        return False


def _install(config_path: str) -> bool:
    """As a service, where that can be done; a unit that is there may be another node's."""
    if sys.platform != "linux":
        return False
    from sbs.adapters.services.systemd.own_service import is_free  # noqa: PLC0415 - Linux alone

    if not is_free(UNIT):
        return False
    question = _("Install SBS as a service of this machine, started by hand?")
    if not click.confirm(question, default=True):
        return False
    install_service(config_path, UNIT, automatic=False)
    return True


def _pair(config: Config) -> bool:
    """Now, if the person can go to the other machine or comes from there."""
    import trio  # noqa: PLC0415 - slow

    from sbs.runtime.probing.beforehand import answers  # noqa: PLC0415 - slow

    meeting = Address(config.node.peer.host, PAIR_PORT)
    waits = trio.run(answers, meeting, LISTEN_S)
    way = click.prompt(
        _("Pair now? wait: show a code here; call: the other node shows one"),
        type=click.Choice(["wait", "call", "later"]),
        default="call" if waits else "wait",
    )
    match way:
        case "wait":
            wait_for_call(config)
        case "call":
            place = click.prompt(
                _("Address that it shows"), default=str(meeting), value_proc=_place
            )
            call_peer(config, place, None)
        case _later:
            return False
    return True


def _place(text: str) -> Address:
    try:
        return Address.parse(text, PAIR_PORT)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
