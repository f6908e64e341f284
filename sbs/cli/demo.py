"""``sbs demo``."""

from __future__ import annotations

import os
import sys

import click

from sbs.cli.help import VerbatimCommand


@click.command(
    cls=VerbatimCommand, epilog="Example:\n  sbs demo\n  sbs demo --json | python3 -m json.tool"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the figures.")
@click.option("--keep", is_flag=True, help="Keep configurations, logs and folders, and say where.")
def demo(*, as_json: bool, keep: bool) -> None:
    """See a pair at work: replication, a killed primary, takeover.

    Before anything is configured: needs no file, no account and no second machine. Starts two
    real nodes on loopback, each with a small HTTP service, in a directory of its own. Files
    change, the primary is killed with SIGKILL while they are written, the other node takes over,
    the old one comes back and gets its role again. Each step is measured and checked. It takes
    about ten seconds; nothing is left behind, unless --keep asks for it.

    Exit code 0: every check held; 1: one did not.
    """
    import trio  # noqa: PLC0415 - commands that only ask a node start faster without it

    from sbs.demo import report  # noqa: PLC0415 - as above
    from sbs.demo.runner import run_demo  # noqa: PLC0415 - as above

    reporter: report.Reporter
    if as_json:
        reporter = report.JsonReporter()
    elif sys.stdout.isatty():
        reporter = report.TerminalReporter()
    else:
        reporter = report.PlainReporter()

    async def main() -> int:
        result = await run_demo(reporter, keep=keep)
        reporter.summary(result)
        if result.error:
            for line in report.failure_lines(result):
                click.echo(line, err=True)
        return result.exit_code

    code = trio.run(main)
    if reporter.failure is not None:
        # What the buffer still holds would fail again at the end, and hide the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if reporter.failure is not None and code <= 1:  # after a signal its number says more
        raise reporter.failure
    raise SystemExit(code)
