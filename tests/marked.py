"""Processes that a test started, and all that came of them: found by a mark they inherit."""

from __future__ import annotations

import os
import time
import uuid
from pathlib import Path
from typing import Final

GONE_S: Final = 15.0
"""How long what is killed may take to vanish: far more than it needs."""


class Mark:
    """A variable for the environment of a process, which every process that comes of it inherits.

    Args:
        name: of the variable.
    """

    def __init__(self, name: str) -> None:
        self.variables = {name: str(uuid.uuid4())}
        self._entry = f"{name}={self.variables[name]}".encode()

    def processes(self) -> dict[int, str]:
        """Command lines of the processes that carry the mark, by id."""
        found: dict[int, str] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                if self._entry in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(entry.name)] = command
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended while we looked, or is another user's
        return found

    def kill_left(self) -> None:
        """Kill what is left."""
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
