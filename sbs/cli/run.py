"""``sbs run``."""

from __future__ import annotations

import click

from sbs.cli import language
from sbs.cli.help import VerbatimCommand
from sbs.cli.logs import FORMATS, LEVELS, start_log
from sbs.cli.options import config_option, load_config


@click.command(
    cls=VerbatimCommand, epilog="Examples:\n  sbs run\n  sbs run -c alpha.toml --log-level debug"
)
@config_option
@click.option(
    "--log-level",
    type=click.Choice(LEVELS),
    default="info",
    show_default=True,
    help="The least important events to log.",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS),
    envvar="SBS_LOG_FORMAT",
    show_envvar=True,
    default="auto",
    show_default=True,
    help="How: text on a terminal, fields in the journal, else JSON; or one of them always.",
)
def run(config_path: str, log_level: str, log_format: str) -> None:
    """Run a node in the foreground.

    The service that sbs service install makes does it; by hand it is for a first look. SIGTERM,
    SIGINT (Ctrl-C) and sbs stop end it in order: a primary stops its services, sends a last
    update and hands its role to the secondary. A second signal ends it at once; the peer then
    takes over as after a crash. The log goes to standard error, or to
    the journal: docs/log.md.
    """
    language.speak_english()  # what follows goes to a log
    config = load_config(config_path, to_run=True)
    start_log(log_level, log_format)
    import trio  # noqa: PLC0415 - slow: sbs -h does not need it

    from sbs.runtime.descriptors import claim_descriptors  # noqa: PLC0415 - likewise
    from sbs.runtime.memory import keep_memory  # noqa: PLC0415 - likewise
    from sbs.runtime.running import run_node  # noqa: PLC0415 - likewise

    claim_descriptors()
    keep_memory()
    trio.run(run_node, config)
