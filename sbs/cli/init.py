"""``sbs init``."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import socket
import sys
from typing import TYPE_CHECKING

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.options import DEFAULT_CONFIG, config_option
from sbs.cli.text import plain

if TYPE_CHECKING:
    from sbs.core.address import Address

_EPILOG = """\
Examples:
  sbs init
  sbs init -c alpha.toml --peer beta.example.net --listen alpha.example.net"""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@config_option
@click.option(
    "--name", metavar="NAME", show_default="the host name", help="What people call this node."
)
@click.option("--peer", metavar="HOST[:PORT]", help="Where the other node is.")
@click.option(
    "--listen",
    metavar="HOST[:PORT]",
    show_default="the address from which it reaches the other",
    help="Where this node is.",
)
@click.option(
    "--state-dir",
    metavar="DIR",
    type=click.Path(file_okay=False),
    show_default="/var/lib/sbs",
    help="Where it keeps its state.",
)
def init(
    config_path: str, name: str | None, peer: str | None, listen: str | None, state_dir: str | None
) -> None:
    """Write a first configuration, and this node's identity.

    The first command on each of the two machines. Asks on a terminal for what no option says;
    elsewhere defaults are taken, and --peer is needed. Nothing is overwritten.
    """
    from sbs.config.first import first_text  # noqa: PLC0415 - slow
    from sbs.runtime.pairing.beginning import begin, check_free  # noqa: PLC0415 - likewise

    path = os.path.abspath(config_path)
    check_free(path)
    name = _answer("name", name, "Name of this node", socket.gethostname())
    other = _address(_answer("peer", peer, "Address of the other node", None))
    here = _answer("listen", listen, "Address of this node", _own_address(other))
    state_dir = _answer("state_dir", state_dir, "Directory for its state", "/var/lib/sbs")
    text = first_text(name=name, listen=_address(here), peer=other, state_dir=state_dir)
    identity = begin(path, text, name, dt.datetime.now(dt.UTC))
    option = "" if path == DEFAULT_CONFIG else f" -c {shlex.quote(config_path)}"
    click.echo(
        f"wrote {plain(path)}, and this node's identity beside it:\n"
        f"  {identity.fingerprint}\n"
        "next:\n"
        "  1. sbs init on the other node\n"
        f"  2. sbs pair{plain(option)}, and on the other node what it shows\n"
        f"  3. [[folders]] and [[services.unit]] in {plain(path)}: docs/configuration.md\n"
        f"  4. sbs run{plain(option)}, on both"
    )


def _answer(key: str, given: str | None, question: str, default: str | None) -> str:
    """What ``node.KEY`` shall be: as an option says, or a person, or the default."""
    option = f"--{key.replace('_', '-')}"
    if given is None and sys.stdin.isatty():
        answer: str = click.prompt(
            question, default=default, value_proc=lambda text: _checked(key, text)
        )
        return answer
    text = default if given is None else given
    if text is None:
        raise click.UsageError(f"{option} is needed where nobody can be asked")
    try:
        return _checked(key, text)
    except click.BadParameter as error:
        raise click.UsageError(f"{option}: {error.message}") from error


def _checked(key: str, text: str) -> str:
    from sbs.config.first import check_answer  # noqa: PLC0415 - slow

    try:
        check_answer(key, text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return text


def _address(text: str) -> Address:
    from sbs.core.address import Address  # noqa: PLC0415 - slow

    return Address.parse(text)


def _own_address(peer: Address) -> str:
    """Where the other node reaches this one, as far as that can be told; else everywhere."""
    import trio  # noqa: PLC0415 - slow

    from sbs.core.address import DEFAULT_PORT, Address  # noqa: PLC0415 - slow
    from sbs.runtime.lasting.slots import route_to  # noqa: PLC0415 - slow

    async def look() -> str:
        with trio.move_on_after(_LOOKUP_S):
            return await route_to(peer)
        return ""

    everywhere = "0.0.0.0"  # noqa: S104 - a proposal
    return str(Address(trio.run(look) or everywhere, DEFAULT_PORT))


_LOOKUP_S = 5.0
"""Longest wait for the name service, for a mere proposal."""
