"""``sbs probe``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from sbs.cli.forms import json_option, show_object
from sbs.cli.help import VerbatimCommand
from sbs.cli.options import config_option, load_config
from sbs.cli.text import plain
from sbs.errors import ConfigError

if TYPE_CHECKING:
    from sbs.config import Config
    from sbs.core.address import Address
    from sbs.runtime.probing.checks import Check, ProbeReport

_COLOURS = {"pass": "green", "warn": "yellow", "fail": "red"}

_EPILOG = """\
Exit codes: 0 all pass, or warn; 1 a check failed; 3 the peer cannot be reached; 78 the
configuration, or a file that it names in [tls], is wrong.

Examples:
  sbs probe
  sbs probe beta.example.net:4445 --json"""


@click.command(cls=VerbatimCommand, epilog=_EPILOG)
@click.argument(
    "address",
    metavar="[HOST[:PORT]]",
    required=False,
    help="Of a node; without it the configured peer.",
)
@config_option
@json_option
@click.pass_context
def probe(ctx: click.Context, address: str | None, config_path: str, as_json: bool) -> None:
    """Find out why two nodes do not see each other, or do not fit.

    Checks row by row how the peer is reached and how its settings compare with this node's; each
    row that does not pass says what to do. Changes nothing; run it on both nodes, each sees its
    own way alone. The port is 4445 when left out. With HOST and no configuration nothing is
    compared, and a node with TLS cannot be probed: it talks to its peer alone.
    """
    from sbs.runtime.probing.checks import Check, ProbeReport, Result  # noqa: PLC0415 - slow

    wanted = None if address is None else _parse(address)
    try:
        config = _config(ctx, config_path, needed=wanted is None)
    except ConfigError as error:
        hint = "every key and what it allows: docs/configuration.md"
        check = Check(name="config", result=Result.FAIL, detail=str(error), hint=hint)
        _show(ProbeReport(address=address or "", checks=(check,)), as_json)
        ctx.exit(error.exit_code)
    if wanted is None:
        assert config is not None  # noqa: S101 - for the type checker
        wanted = config.node.peer
    try:
        report = _run(wanted, config)
    except ConfigError as error:
        _show(_unproven(wanted, config, error), as_json)
        ctx.exit(error.exit_code)
    _show(report, as_json)
    ctx.exit(report.exit_code)


def _parse(text: str) -> Address:
    from sbs.core.address import Address  # noqa: PLC0415 - slow

    try:
        return Address.parse(text)
    except ValueError as error:
        raise click.UsageError(f"[HOST[:PORT]]: {error}") from error


def _config(ctx: click.Context, path: str, *, needed: bool) -> Config | None:
    """The configuration; of a host that is not a node's there may be none."""
    named = ctx.get_parameter_source("config_path") is not ParameterSource.DEFAULT
    return load_config(path) if needed or named or os.path.exists(path) else None


def _run(address: Address, config: Config | None) -> ProbeReport:
    import trio  # noqa: PLC0415 - slow

    from sbs.runtime.probing.probe import probe as probe_node  # noqa: PLC0415 - slow

    return trio.run(probe_node, address, config)


def _unproven(address: Address, config: Config | None, error: ConfigError) -> ProbeReport:
    """What is left of a probe where this node cannot prove who it is."""
    from sbs.runtime.probing.checks import Check, ProbeReport, Result  # noqa: PLC0415 - slow
    from sbs.runtime.probing.probe import check_config  # noqa: PLC0415 - slow

    rows = () if config is None else (check_config(config),)
    hint = "run this as the account of the node; what these files must be: docs/pairing.md"
    row = Check(name="identity", result=Result.FAIL, detail=str(error), hint=hint)
    return ProbeReport(address=str(address), checks=(*rows, row))


def _show(report: ProbeReport, as_json: bool) -> None:
    if as_json:
        show_object(report.to_json())
        return
    for check in report.checks:
        show_check(check)


def show_check(check: Check, *, err: bool = False) -> None:
    """Write one row, for people.

    Args:
        check: what was found.
        err: write it to standard error.
    """
    result = check.result.value
    first, *rest = check.detail.splitlines() or [""]
    styled = click.style(f"{result:<5}", fg=_COLOURS[result], bold=True)
    click.echo(f"{styled} {check.name}: {plain(first)}", err=err)
    for line in rest:
        click.echo(f"      {plain(line)}", err=err)
    if check.hint:
        click.echo(f"      -> {plain(check.hint)}", err=err)
