"""The administrator's commands: update and apply scripts, transition hooks (R25)."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from sbs.errors import SbsError

HOOK_BOUND_S: Final = 300.0
"""A hook that takes longer is killed: an export may be slow, but replication must go on."""

MAX_OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""Output read of a hook: some ten thousand paths."""

_log = logging.getLogger(__name__)


class HookError(SbsError):
    """A hook failed; the text names it and says how."""


async def run_hook(argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Run one hook to its end.

    Args:
        argv: program and arguments; no shell is involved.
        environment: added to SBS's own.

    Returns:
        the lines it printed; what it wrote to standard error is in the log.

    Raises:
        HookError: it could not be started, failed, took over :data:`HOOK_BOUND_S`, or printed
            over :data:`MAX_OUTPUT_BYTES`.
    """
    command = shlex.join(argv)
    try:
        with trio.fail_after(HOOK_BOUND_S):
            done = await trio.run_process(
                list(argv),
                stdin=subprocess.DEVNULL,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env={**os.environ, **environment},
            )
    except OSError as error:
        raise HookError(f"hook {command}: cannot be started: {error.strerror}") from error
    except trio.TooSlowError as error:
        raise HookError(f"hook {command}: killed after {HOOK_BOUND_S:g} s") from error
    for line in done.stderr[:MAX_OUTPUT_BYTES].decode(errors="replace").splitlines():
        _log.info("hook %s: %s", command, ascii(line)[1:-1])
    if done.returncode:
        raise HookError(f"hook {command}: ended with code {done.returncode}; its output is above")
    if len(done.stdout) > MAX_OUTPUT_BYTES:
        raise HookError(f"hook {command}: printed over {MAX_OUTPUT_BYTES} bytes")
    return os.fsdecode(done.stdout).splitlines()
