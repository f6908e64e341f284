"""A command of the administrator's, run to its end: bounded in time and in what it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import trio

MAX_OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""Output read of a command, of either stream: some ten thousand paths."""

LAST_OUTPUT_S: Final = 0.5
"""How long output is read after the end of a command: what it left running may hold the pipes."""

KILL_BOUND_S: Final = 5.0
"""How long a killed command may hang in the kernel before it is left to itself."""


@attrs.frozen(kw_only=True)
class Finished:
    """How a command ended.

    Args:
        code: its exit code, negative for a signal; ``None`` if it could not be started, or was
            killed by SBS.
        failure: what is wrong with that, in words; empty for exit code 0.
        printed: what it wrote to standard output.
        complaints: what it wrote to standard error.
    """

    code: int | None
    failure: str = ""
    printed: bytes = b""
    complaints: bytes = b""


async def run(argv: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> Finished:
    """Run a command to its end; a cancelled call leaves nothing of it.

    It runs in a session of its own, so that what it started goes with it when it is killed. What
    it leaves running after an end of its own is none of SBS's business.

    Args:
        argv: program and arguments; no shell is involved.
        environment: added to SBS's own.
        timeout_s: then it is killed.
    """
    try:
        process = await trio.lowlevel.open_process(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: "=" or NUL where it must not be
        cause = error.strerror if isinstance(error, OSError) else str(error)
        return Finished(code=None, failure=f"cannot be started: {cause}")
    output = _Output(process)
    with trio.move_on_after(timeout_s) as bound:
        await output.read()
    code, failure = process.returncode, ""
    if bound.cancelled_caught:
        code, failure = None, f"killed after {timeout_s:g} s"
    elif output.too_long:
        code, failure = None, f"killed, for it printed over {MAX_OUTPUT_BYTES} bytes"
    elif code:
        failure = f"ended with code {code}"
    return Finished(
        code=code,
        failure=failure,
        printed=bytes(output.printed),
        complaints=bytes(output.complaints),
    )


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
                self._kill()
            # Killed, it ends at once.
            with trio.move_on_after(KILL_BOUND_S, shield=True):
                await self._process.wait()

    def _kill(self) -> None:
        """Kill it with its group; not reaped yet, its process id is its own."""
        if sys.platform == "win32":
            self._process.kill()
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self._process.kill()

    async def _collect(
        self, stream: trio.abc.ReceiveStream, into: bytearray, scope: trio.CancelScope
    ) -> None:
        async for data in stream:
            into += data
            if len(into) > MAX_OUTPUT_BYTES:
                self.too_long = True
                scope.cancel()
