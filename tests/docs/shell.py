"""A shell in a terminal of its own, as a person sees it."""

from __future__ import annotations

import codecs
import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from typing import Final

PROMPTS: Final = {
    "PROMPT_COMMAND": r'printf "\001$?"',
    "PS1": "\x02",
    "PS2": "\x03",
}
"""For the environment: by these a shell says that it is ready, and how the last command ended.

Between the first two may stand what a virtual environment adds to the prompt.
"""

_PROMPT: Final = re.compile("\x01(\\d+)[^\x02]*\x02|\x03")

_LOG_IN: Final = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"

_ESCAPE: Final = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[@-Z\\\\^_])"
)
"""Colours, movements of the cursor, titles."""


class Shell:
    """One terminal, with ``bash`` in it.

    Args:
        environment: of the shell, :data:`PROMPTS` included.
        directory: in which it begins.
    """

    def __init__(self, environment: Mapping[str, str], directory: str) -> None:
        self.ready = False
        self.code = 0
        """With which the last command ended; 0 from when it was looked at."""
        self.quiet_since = time.monotonic()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._raw = ""
        self.master, slave = pty.openpty()
        try:
            modes = termios.tcgetattr(slave)
            modes[3] &= ~termios.ECHO  # what is typed is known
            termios.tcsetattr(slave, termios.TCSANOW, modes)
            self._process = subprocess.Popen(
                (*(sys.executable, "-c", _LOG_IN), "bash", "--norc", "--noprofile", "--noediting"),
                stdin=slave,
                env=dict(environment),
                cwd=directory,
            )
        finally:
            os.close(slave)

    @property
    def shown(self) -> str:
        """What it shows and nobody has read: lines, and the one in which the cursor is."""
        lines = _ESCAPE.sub("", self._raw).split("\n")
        # A bar goes back to the beginning of its line; what was written last stands there.
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)

    def read(self) -> None:
        """Take what the terminal has to say; there is something."""
        self._raw += self._decoder.decode(os.read(self.master, 65536))
        self.quiet_since = time.monotonic()
        found = _PROMPT.search(self._raw)
        if found is not None:
            self._raw = self._raw[: found.start()] + self._raw[found.end() :]
            self.code = self.code or int(found[1] or 0)
            self.ready = True

    def type(self, line: str) -> None:
        """Type a line, to the shell or to what runs in it."""
        if not self.ready:
            self._raw += f"{line}\n"  # behind the question, as a terminal shows it
        self.ready = False
        os.write(self.master, f"{line}\n".encode())
        self.quiet_since = time.monotonic()

    def forget(self, lines: int) -> None:
        """So many lines have been read."""
        self._raw = self._raw.split("\n", lines)[-1]

    def end(self) -> None:
        """Kill the shell; what it started is not looked for."""
        self._process.kill()
        self._process.wait()
        os.close(self.master)
