"""The administrator's commands: update and apply scripts, transition hooks (R25)."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import trio

from sbs.core.filters import parent_of
from sbs.errors import SbsError
from sbs.runtime.alarms import Alarms

HOOK_BOUND_S: Final = 300.0
"""A hook that takes longer is killed: an export may be slow, but replication must go on."""

MAX_OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""Output read of a hook, of either stream: some ten thousand paths."""

LAST_OUTPUT_S: Final = 0.5
"""How long output is read after the end of a hook: what it left running may hold the pipes."""

KILL_BOUND_S: Final = 5.0
"""How long a killed hook may hang in the kernel before it is left to itself."""

_log = logging.getLogger(__name__)


class HookError(SbsError):
    """A hook failed; the text names it and says how."""


async def run_hooks(
    hooks: Sequence[Sequence[str]], environment: Mapping[str, str], alarm: str, alarms: Alarms
) -> list[str]:
    """Run each of several to its end; a failure is an alarm until the next success.

    Args:
        hooks: program and arguments of each.
        environment: as for :func:`run_hook`.
        alarm: raised if one fails.
        alarms: told.

    Returns:
        what they printed, a line each.
    """
    printed: list[str] = []
    failures: list[str] = []
    for argv in hooks:
        try:
            printed += await run_hook(argv, environment)
        except HookError as error:
            failures.append(str(error))
    if failures:
        alarms.raise_(alarm, "; ".join(failures))
    else:
        alarms.clear(alarm)
    return printed


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
    environment = {**os.environ, **environment}
    try:
        process = await trio.lowlevel.open_process(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise HookError(f"hook {command}: cannot be started: {error.strerror}") from error
    output = _Output(process)
    with trio.move_on_after(HOOK_BOUND_S) as bound:
        await output.read()
    for line in output.complaints.decode(errors="replace").splitlines():
        _log.info("hook %s: %s", command, ascii(line)[1:-1])
    if bound.cancelled_caught:
        raise HookError(f"hook {command}: killed after {HOOK_BOUND_S:g} s")
    if output.too_long:
        raise HookError(f"hook {command}: killed, for it printed over {MAX_OUTPUT_BYTES} bytes")
    if process.returncode:
        code = process.returncode
        raise HookError(f"hook {command}: ended with code {code}; its output is above")
    return os.fsdecode(bytes(output.printed)).splitlines()


class _Output:
    """What a process writes, up to a limit."""

    def __init__(self, process: trio.Process) -> None:
        self.printed = bytearray()
        self.complaints = bytearray()
        self.too_long = False
        self._process = process

    async def read(self) -> None:
        """Return when the process has ended; whatever happens, it does not outlive this call."""
        stdout, stderr = self._process.stdout, self._process.stderr
        if stdout is None or stderr is None:
            raise TypeError("a process without pipes")
        try:
            async with stdout, stderr, trio.open_nursery() as nursery:
                nursery.start_soon(self._collect, stdout, self.printed, nursery.cancel_scope)
                nursery.start_soon(self._collect, stderr, self.complaints, nursery.cancel_scope)
                await self._process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + LAST_OUTPUT_S
        finally:
            if self._process.returncode is None:
                self._process.kill()
            # Killed, it ends at once.
            with trio.move_on_after(KILL_BOUND_S, shield=True):
                await self._process.wait()

    async def _collect(
        self, stream: trio.abc.ReceiveStream, into: bytearray, scope: trio.CancelScope
    ) -> None:
        async for data in stream:
            into += data
            if len(into) > MAX_OUTPUT_BYTES:
                self.too_long = True
                scope.cancel()


def places_of(paths: list[str], folders: list[str]) -> Iterator[tuple[int, str]]:
    """The folders and the directories in them that paths lie in; a line for each in none."""
    roots = [os.path.realpath(folder) for folder in folders]
    for path in paths:
        place = _place_of(path, roots)
        if place is None:
            text = "update hook: %s is in no replicated folder; not replicated"
            _log.warning(text, ascii(path))
        else:
            yield place


def _place_of(path: str, roots: list[str]) -> tuple[int, str] | None:
    if "\0" in path:  # no file has such a name
        return None
    real = os.path.realpath(path)
    for folder, root in enumerate(roots):
        if os.path.commonpath([real, root]) == root:
            return folder, "" if real == root else parent_of(os.path.relpath(real, root))
    return None
