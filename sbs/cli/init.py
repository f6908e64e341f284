"""``sbs init``."""

from __future__ import annotations

import datetime as dt
import os
import shlex
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from gettext import gettext as _
from typing import TYPE_CHECKING, Final

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.options import DEFAULT_CONFIG, config_option
from sbs.cli.probe import show_check
from sbs.cli.text import plain
from sbs.errors import ConfigError

if TYPE_CHECKING:
    from sbs.cli.offers import Done
    from sbs.config import Config
    from sbs.core.address import Address
    from sbs.runtime.probing.checks import Check

_EPILOG: Final = """\
Examples:
  sbs init
  sbs init -c alpha.toml --peer beta.example.net --listen alpha.example.net
  sbs init --peer 192.0.2.2 --folder /srv/app/settings --no-input"""

_KEYS: Final = ("name", "peer", "listen", "state_dir", "folder")
"""What is asked, in this order: an address is proposed from what came before."""

_LOOKUP_S: Final = 5.0
"""Longest wait for the name service, for a mere proposal."""

Answers = Mapping[str, str]
"""By what is asked."""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@config_option
@click.option("--name", metavar="NAME", show_default="the host name", help="Of this node.")
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
@click.option(
    "--folder",
    metavar="DIR",
    type=click.Path(file_okay=False),
    show_default="none",
    help="The first folder to replicate.",
)
@click.option("--no-input", is_flag=True, help="Ask nothing; what no option says is the default.")
@click.pass_context
def init(ctx: click.Context, /, config_path: str, *, no_input: bool, **given: str | None) -> None:
    """Write a first configuration, and this node's identity.

    The first command on each of the two machines. On a terminal it asks for what no option says,
    unless name, peer, listen and state directory are all given; elsewhere defaults are taken, and
    --peer is needed.

    It looks whether this machine and the way to the other one are fit, and writes all the same if
    they are not; then it offers to install SBS as a service and to pair. Nothing is overwritten,
    and until it says what it wrote Ctrl-C leaves nothing behind.
    """
    from sbs.runtime.pairing.beginning import begin, check_free  # noqa: PLC0415 - slow

    path = os.path.abspath(config_path)
    check_free(path)
    needed = (given[key] for key in _KEYS if key != "folder")
    talking = sys.stdin.isatty() and not no_input and None in needed
    found = _talk(path, given) if talking else _decide(path, given)
    identity = begin(path, _text(found), found["name"], dt.datetime.now(dt.UTC))
    click.echo(_("wrote {path}, and this node's identity beside it:").format(path=plain(path)))
    click.echo(f"  {identity.fingerprint}")
    done = _offer(config_path) if talking else None
    click.echo(_("next:"))
    for number, step in enumerate(_steps(config_path, found, done), 1):
        click.echo(f"  {number}. {plain(step)}")
    ctx.exit(0 if done is None else done.exit_code)


def _offer(config_path: str) -> Done:
    from sbs.cli.offers import offer  # noqa: PLC0415 - imports what it offers

    return offer(config_path)


def _steps(config_path: str, found: Answers, done: Done | None) -> Iterator[str]:
    """What is left to do."""
    path = os.path.abspath(config_path)
    option = "" if path == DEFAULT_CONFIG else f" -c {shlex.quote(config_path)}"
    if done is None or not done.paired:
        yield _("sbs init on the other node")
        command = f"sbs pair{option}"
        yield _("{command}, and on the other node what it shows").format(command=command)
    if found["folder"]:
        yield _("[[services.unit]] in {path}: docs/configuration.md").format(path=path)
    else:
        text = _("[[folders]] and [[services.unit]] in {path}: docs/configuration.md")
        yield text.format(path=path)
    command = "systemctl start sbs" if done is not None and done.installed else f"sbs run{option}"
    yield _("{command}, on both").format(command=command)


def _decide(path: str, given: Mapping[str, str | None]) -> Answers:
    """What options and defaults say; what is not fit is told, and no reason to stop.

    Raises:
        UsageError: an option is missing or wrong.
        ConfigError: they contradict each other.
    """

    def default(key: str, proposal: str | None) -> str:
        if proposal is None:
            text = _("{option} is needed where nobody can be asked")
            raise click.UsageError(text.format(option=f"--{key}"))
        return proposal

    found = _collect(given, {}, default)
    for check in _look(path, found):
        if check.hint:
            show_check(check, err=True)
    return found


def _talk(path: str, given: Mapping[str, str | None]) -> Answers:
    """Ask, show what that would mean on this machine, and ask again until it is right."""
    from sbs.cli import report  # noqa: PLC0415 - which knows this module

    found: Answers = {}
    while True:
        found = _collect(given, found, _ask)
        given = dict.fromkeys(given)
        try:
            checks = _look(path, found)
        except ConfigError as error:
            report(error)
            continue
        for check in checks:
            show_check(check)
        question = _("Write {path} (n: change the answers)?").format(path=plain(path))
        if click.confirm(question, default=True):
            return found


def _collect(
    given: Mapping[str, str | None], former: Answers, ask: Callable[[str, str | None], str]
) -> Answers:
    """All answers.

    Args:
        given: by options.
        former: answers, which are proposed again.
        ask: for one that was not given, with a proposal.
    """
    found: dict[str, str] = {}
    for key in _KEYS:
        text = given[key]
        if text is not None:
            found[key] = _checked_option(key, text)
        else:
            found[key] = ask(key, former[key] if key in former else _proposal(key, found))
    return found


def _proposal(key: str, found: Answers) -> str | None:
    match key:
        case "name":
            return socket.gethostname()
        case "listen":
            return _own_address(_address(found["peer"]))
        case "state_dir":
            return "/var/lib/sbs"
        case "folder":
            return ""
        case _other:
            return None


def _question(key: str) -> str:
    match key:
        case "name":
            return _("Name of this node")
        case "peer":
            return _("Address of the other node")
        case "listen":
            return _("Address of this node")
        case "state_dir":
            return _("Directory for its state")
        case _other:
            return _("First folder to replicate, if any")


def _ask(key: str, proposal: str | None) -> str:
    answer: str = click.prompt(
        _question(key),
        default=proposal,
        show_default=bool(proposal),
        value_proc=lambda text: _checked(key, text),
    )
    return answer


def _checked_option(key: str, text: str) -> str:
    try:
        return _checked(key, text)
    except click.BadParameter as error:
        option = f"--{key.replace('_', '-')}"
        raise click.UsageError(f"{option}: {error.message}") from error


def _checked(key: str, text: str) -> str:
    from sbs.config.first import check_answer, check_folder  # noqa: PLC0415 - slow

    try:
        if key != "folder":
            check_answer(key, text)
        elif text:
            check_folder(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return text


def _text(found: Answers) -> str:
    """The configuration that the answers make."""
    from sbs.config.first import first_text  # noqa: PLC0415 - slow

    return first_text(
        name=found["name"],
        listen=_address(found["listen"]),
        peer=_address(found["peer"]),
        state_dir=found["state_dir"],
        folder=found["folder"],
    )


def _look(path: str, found: Answers) -> tuple[Check, ...]:
    """Whether this machine, and the way to the other one, are fit for the answers.

    Raises:
        ConfigError: they contradict each other.
    """
    import trio  # noqa: PLC0415 - slow

    from sbs.config import parse  # noqa: PLC0415 - slow
    from sbs.runtime.probing.beforehand import look_beforehand  # noqa: PLC0415 - slow

    config: Config = parse(_text(found), path)
    return trio.run(look_beforehand, config)


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
