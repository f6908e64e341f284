"""The library between a process and its disk (``shim.c``): compiled here, armed from Python."""

from __future__ import annotations

import ctypes
import enum
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("shim.c")


class What(enum.IntEnum):
    """What happens at the call that is meant."""

    COUNT = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    KILL_TORN = 3
    """Half of a write is done."""
    FAIL_ONCE = 4
    FAIL_ON = 5
    """It and all that follow are refused, until the library is disarmed."""


class Kind(enum.IntFlag):
    """Which calls are counted."""

    NAMES = 1
    DATA = 2
    INODES = 4
    SYNCS = 8


EVERY: Final = Kind.NAMES | Kind.DATA | Kind.INODES | Kind.SYNCS


def compiler() -> str | None:
    """The system's C compiler."""
    return shutil.which("cc") or shutil.which("gcc")


def build(directory: Path) -> Path:
    """Compile the library into a directory."""
    found = compiler()
    assert found is not None
    library = directory / "shim.so"
    flags = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror")
    subprocess.run([found, *flags, "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class Shim:
    """The library within a process that was started with it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.disk_disarm.restype = ctypes.c_long

    def arm(
        self,
        below: str,
        what: What = What.COUNT,
        *,
        kinds: Kind = EVERY,
        at: int = 0,
        refusal: int = 0,
        log_fd: int = -1,
    ) -> None:
        """Count calls that change something below a directory, from now on.

        Args:
            below: the directory, without links on the way.
            what: happens at one of them.
            kinds: that are counted.
            at: which one, from 1.
            refusal: the error number that it gets, if it is refused.
            log_fd: takes the log of all of them.
        """
        self._library.disk_arm(
            os.fsencode(below), int(what), int(kinds), ctypes.c_long(at), refusal, log_fd
        )

    def disarm(self) -> int:
        """Let everything pass; returns how many calls were counted."""
        return int(self._library.disk_disarm())

    def mark(self, text: str) -> None:
        """Write a line into the log."""
        self._library.disk_mark(text.encode())
