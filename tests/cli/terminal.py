"""A program on a terminal of its own, and what a person does there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.support import WAIT_S

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
    "TERM": "dumb",
    "LC_ALL": "C.UTF-8",
}
ENVIRONMENT.pop("SBS_CONFIG", None)
"""Of whoever types ``sbs``, on a terminal without colours."""


class Terminal:
    """A program on a terminal of its own; leaving the context ends it."""

    def __init__(self, command: Sequence[str], directory: Path, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env={**ENVIRONMENT, "HOME": str(directory), **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._shown = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def wait(self) -> int:
        """Read what is still said, to the end of the program; its exit code."""
        self.read()
        return self._process.wait(WAIT_S)

    def read(self) -> str:
        """What is still said, to the end of the program."""
        while self._read():
            pass
        return self._shown.decode(errors="replace")

    def type(self, text: str) -> None:
        """Type as a person does."""
        os.write(self._ours, text.encode())

    def read_until(self, text: str) -> str:
        """What is shown up to this text; fails if it does not come."""
        while text.encode() not in self._shown:
            assert self._read(), self._shown
        before, _, self._shown = self._shown.partition(text.encode())
        return before.decode(errors="replace")

    def _read(self) -> bool:
        """What comes next; whether there is more. Fails if nothing comes."""
        ready, _, _ = select.select([self._ours], [], [], WAIT_S)
        assert ready, self._shown
        try:
            self._shown += os.read(self._ours, 65536)
        except OSError:  # the other end was closed
            return False
        return True
