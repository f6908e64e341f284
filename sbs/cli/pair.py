"""``sbs pair``."""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from gettext import gettext as _
from typing import TYPE_CHECKING, Final, TypeVar

import click

from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain, warn
from sbs.errors import ConfigError

if TYPE_CHECKING:
    import trio

    from sbs.adapters.transports.identity import Certificate
    from sbs.config import Config
    from sbs.core.address import Address
    from sbs.runtime.pairing.files import PairFiles
    from sbs.runtime.pairing.meeting import Paired, Party

PAIR_PORT: Final = 4449
"""Where the node waits; its own port serves the node meanwhile."""

_ResultT = TypeVar("_ResultT")

_EPILOG = """\
Exit codes: 0 both nodes know each other; 1 they do not, the text says what is true; 3 nobody waits
at ADDRESS; 78 the configuration is wrong.

Examples:
  sbs pair                                  on one node: shows what to run on the other
  sbs pair alpha.example.net 123-456-789    on the other
  sbs pair --renew                          a new identity, while both nodes run"""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@click.argument("address", required=False, help="Where the other node waits, as it shows it.")
@click.argument("code", required=False, help="The nine digits that it shows.")
@config_option
@click.option(
    "--listen",
    metavar="HOST[:PORT]",
    show_default=f"the host of node.listen, port {PAIR_PORT}",
    help="Where to wait.",
)
@click.option("--renew", is_flag=True, help="Give this node a new identity.")
@click.option("--show", "only_show", is_flag=True, help="Print both nodes' fingerprints.")
def pair(
    config_path: str,
    address: str | None,
    code: str | None,
    listen: str | None,
    renew: bool,
    only_show: bool,
) -> None:
    """Let two nodes know each other, once.

    After sbs init on both: each node keeps the other's certificate, and from then on speaks with
    nobody else. Without ADDRESS this node shows a code, and waits for ten minutes; with ADDRESS
    and CODE it calls the node that waits. CODE is asked for when left out, so that other accounts
    of this machine do not see it. Nodes that run are not disturbed.
    """
    config = load_config(config_path, to_run=not only_show)  # it says what is written where
    if only_show:
        _forbid("--show", {"ADDRESS": address, "--listen": listen, "--renew": renew})
        _show_files(_files(config))
    elif address is None:
        wait_for_call(config, listen, renew=renew)
    else:
        _forbid("ADDRESS", {"--listen": listen})
        call_peer(config, _parse_address("ADDRESS", address), code, renew=renew)


def _forbid(option: str, others: dict[str, object]) -> None:
    for name, value in others.items():
        if value:
            text = _("{name} has no meaning with {option}")
            raise click.UsageError(text.format(name=name, option=option))


def _parse_address(name: str, text: str) -> Address:
    from sbs.core.address import Address  # noqa: PLC0415 - slow

    try:
        return Address.parse(text, PAIR_PORT)
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}") from error


def _files(config: Config) -> PairFiles:
    from sbs.runtime.pairing.files import PairFiles  # noqa: PLC0415 - slow

    tls = config.tls
    if not (tls.identity and tls.peer_certificate):
        text = _(
            "{path}: names no files for what the nodes know of each other; add\n"
            '[tls]\nidentity = "identity.pem"\npeer_certificate = "peer.pem"'
        )
        raise ConfigError(text.format(path=config.path))
    return PairFiles(identity=tls.identity, pins=tls.peer_certificate)


def wait_for_call(config: Config, listen: str | None = None, *, renew: bool = False) -> None:
    """Show a code, and pair with whoever calls and knows it.

    Args:
        config: of this node.
        listen: where to wait, as ``--listen`` says.
        renew: give this node a new identity.

    Raises:
        Abort: Ctrl-C.
        SbsError: they are no pair; the text says what is true.
    """
    from sbs.adapters.transports.pairing import new_code, parse_code  # noqa: PLC0415 - slow
    from sbs.adapters.transports.tcp import TcpTransport  # noqa: PLC0415 - slow
    from sbs.config.places import is_loopback  # noqa: PLC0415 - slow
    from sbs.core.address import Address  # noqa: PLC0415 - slow
    from sbs.runtime.pairing.waiting import LIFETIME_S, wait_for_peer  # noqa: PLC0415 - slow

    node, files = config.node, _files(config)
    place = _parse_address("--listen", listen or str(Address(node.listen.host, PAIR_PORT)))
    if is_loopback(place.host) and not is_loopback(node.peer.host):
        text = _("{place} can be called from this machine alone; name another by --listen")
        warn(text.format(place=place))
    now, party = _begin(config, files, renew=renew)
    code = new_code()

    async def wait() -> Paired:
        listener = await TcpTransport(bind_bound_s=0).listen(str(place))
        shown = await _reachable(Address.parse(listener.address), node.peer)
        text = _(
            "On the other node run, within {minutes:g} minutes, with its -c FILE:\n"
            "  sbs pair {place} {code}"
        )
        click.echo(text.format(minutes=LIFETIME_S / 60, place=shown, code=code))
        try:
            return await wait_for_peer(listener, parse_code(code), party, now, warn)
        finally:
            await listener.aclose()

    _report(_run(wait))


def call_peer(config: Config, address: Address, code: str | None, *, renew: bool = False) -> None:
    """Pair with the node that waits.

    Args:
        config: of this node.
        address: where it waits.
        code: that it shows; asked for if left out.
        renew: give this node a new identity.

    Raises:
        Abort: Ctrl-C.
        SbsError: they are no pair; the text says what is true.
    """
    from sbs.adapters.transports.tcp import TcpTransport  # noqa: PLC0415 - slow
    from sbs.runtime.pairing.calling import call  # noqa: PLC0415 - slow

    files, digits = _files(config), _digits(code)
    now, party = _begin(config, files, renew=renew)
    _report(_run(lambda: call(address, digits, party, now, TcpTransport())))


def _digits(code: str | None) -> str:
    from sbs.adapters.transports.pairing import parse_code  # noqa: PLC0415 - slow

    if code is None:

        def read(text: str) -> str:
            try:
                return parse_code(text)
            except ValueError as error:
                raise click.BadParameter(str(error)) from error

        found: str = click.prompt(_("Code that the other node shows"), value_proc=read)
        return found
    try:
        return parse_code(code)
    except ValueError as error:
        raise click.UsageError(f"CODE: {error}") from error


def _begin(config: Config, files: PairFiles, *, renew: bool) -> tuple[dt.datetime, Party]:
    """This node as it takes part; it has an identity from here on."""
    from sbs.runtime.pairing.meeting import Party  # noqa: PLC0415 - slow

    now = dt.datetime.now(dt.UTC)
    return now, Party.of(files, config.node.name, now, renew=renew)


async def _reachable(listening: Address, peer: Address) -> Address:
    """Where the other node reaches this one: a wildcard is no address to call."""
    from sbs.config.places import is_definite  # noqa: PLC0415 - slow
    from sbs.core.address import Address  # noqa: PLC0415 - slow
    from sbs.runtime.lasting.slots import route_to  # noqa: PLC0415 - slow

    if is_definite(listening):
        return listening
    return Address(await route_to(peer) or listening.host, listening.port)


def _run(work: Callable[[], Awaitable[_ResultT]]) -> _ResultT:
    """Run it to its end, or to Ctrl-C: between two steps, and not in the middle of one."""
    import trio  # noqa: PLC0415 - slow

    from sbs.runtime.groups import plain as unwrapped  # noqa: PLC0415 - slow

    async def run() -> _ResultT:
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at, signals, nursery.cancel_scope)
                result = await work()
                nursery.cancel_scope.cancel()
                return result
        raise click.Abort

    try:
        return trio.run(run)
    except BaseExceptionGroup as group:
        raise unwrapped(group) from group


async def _cancel_at(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


def _report(paired: Paired) -> None:
    text = _("{name} and {other} know each other")
    click.echo(text.format(name=plain(paired.own.name), other=plain(paired.peer.name)))
    _show(_("this node"), paired.own)
    _show(_("its peer"), paired.peer)
    if paired.leftover:
        warn(paired.leftover)


def _show_files(files: PairFiles) -> None:
    from sbs.adapters.transports.identity import read_identity  # noqa: PLC0415 - slow

    _show(_("this node"), read_identity(files.identity))
    pinned = files.pinned()
    for certificate in pinned:
        _show(_("its peer"), certificate)
    if not pinned:
        who = _("its peer")
        text = _("none is pinned; run sbs pair on both nodes")
        click.echo(f"{who:<10} {text}")


def _show(who: str, certificate: Certificate) -> None:
    text = _("{name}, until {date:%Y-%m-%d}")
    text = text.format(name=plain(certificate.name), date=certificate.expires_at)
    click.echo(f"{who:<10} {text}\n  {certificate.fingerprint}")
