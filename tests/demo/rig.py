"""The demo as a process, and a search for anything it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "sbs", "demo")

MARK = "SBS_DEMO_TEST"
"""A variable in the environment of the demo, which every process that comes of it inherits."""

GONE_S = 15.0
"""How long what is killed may take to vanish: far more than it needs."""


class Demo:
    """One run of the demo; its processes are found by a mark, its files by ``TMPDIR``."""

    def __init__(
        self, directory: Path, arguments: Sequence[str] = (), *, command: Sequence[str] = COMMAND
    ) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._mark = f"{MARK}={uuid.uuid4()}"
        self.command = [*command, *arguments]
        name, _, value = self._mark.partition("=")
        self.environment = {**os.environ, "TMPDIR": str(self.temporary), name: value}

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        """Run it, with pipes for what it prints; kill what is left of a test that failed."""
        process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            umask=0,  # with which a node refuses a file that was made without a mode
        )
        try:
            with process:
                try:
                    yield process
                except BaseException:
                    process.kill()
                    raise
        finally:
            self.kill_left()

    def finish(self) -> tuple[int, str, str]:
        """Run it to its end; its exit code and what it printed."""
        with self.started() as process:
            output, errors = process.communicate(timeout=60)
            return process.returncode, output, errors

    def processes(self) -> dict[int, str]:
        """Command lines of the processes that carry the mark, by id."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if self._mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(entry.name)] = command
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while we looked, or is another user's
        return found

    def kill_left(self) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue

    def wait_for_no_process(self) -> None:
        """Return when nothing with the mark lives."""
        give_up_at = time.monotonic() + GONE_S
        while left := self.processes():
            assert time.monotonic() < give_up_at, left
            time.sleep(0.02)

    def assert_nothing_left(self) -> None:
        """No process, so no listening port, and no file."""
        assert self.processes() == {}
        assert list(self.temporary.iterdir()) == []
