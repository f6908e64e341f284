"""Runs the administrator's commands: update and apply scripts, transition and fence hooks (R25)."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

from sbs.adapters import commands
from sbs.errors import SbsError
from sbs.log import INFO, Log

_log = Log(__name__)
_SAID = _log.event(
    "hook-said",
    INFO,
    "hook {command}: {line}",
    "A line that a program of yours has written. What it means, its author knows.",
)


class HookError(SbsError):
    """A hook failed; the text names it and says how."""

    remedy = "docs/hooks.md says what a hook has to do; its output is in the log."


async def run_hook(
    argv: Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> list[str]:
    """Run one hook to its end.

    Args:
        argv: program and arguments; no shell is involved.
        environment: added to SBS's own.
        timeout_s: then it is killed, with what it has started.

    Returns:
        the lines it printed; what it wrote to standard error is in the log.

    Raises:
        HookError: it could not be started, failed, took too long, or printed more than
            :data:`sbs.adapters.commands.MAX_OUTPUT_BYTES`.
    """
    done = await commands.run(argv, environment, timeout_s)
    log_lines(argv, done.complaints.decode(errors="replace").splitlines())
    if done.failure:
        where = "; its output is in the log" if done.complaints else ""
        raise HookError(f"hook {shlex.join(argv)}: {done.failure}{where}")
    # Nothing but a line feed ends a line: other separators may stand in a file's name.
    return os.fsdecode(done.printed).removesuffix("\n").split("\n") if done.printed else []


def log_lines(argv: Sequence[str], lines: Sequence[str]) -> None:
    """Write to the log what a hook has written."""
    for line in lines:
        _SAID(command=shlex.join(argv), line=ascii(line)[1:-1])
