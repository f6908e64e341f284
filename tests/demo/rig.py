"""The demo as a process, and a search for anything it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.marked import Mark

COMMAND = (sys.executable, "-m", "sbs", "demo")


class Demo:
    """One run of the demo; its processes are found by a mark, its files by ``TMPDIR``."""

    def __init__(
        self, directory: Path, arguments: Sequence[str] = (), *, command: Sequence[str] = COMMAND
    ) -> None:
        self.temporary = directory / "tmp"
        self.temporary.mkdir()
        self._mark = Mark("SBS_DEMO_TEST")
        self.command = [*command, *arguments]
        self.environment = {**os.environ, "TMPDIR": str(self.temporary), **self._mark.variables}

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
            self._mark.kill_left()

    def finish(self) -> tuple[int, str, str]:
        """Run it to its end; its exit code and what it printed."""
        with self.started() as process:
            output, errors = process.communicate(timeout=60)
            return process.returncode, output, errors

    def processes(self) -> dict[int, str]:
        """Command lines of what came of it and lives, by process id."""
        return self._mark.processes()

    def wait_for_no_process(self) -> None:
        """Return when nothing of it lives."""
        self._mark.wait_for_no_process()

    def assert_nothing_left(self) -> None:
        """No process, so no listening port, and no file."""
        assert self.processes() == {}
        assert list(self.temporary.iterdir()) == []
