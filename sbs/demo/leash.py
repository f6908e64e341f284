"""Become another program, which the kernel kills when the process that started this one ends.

Run as a script, never imported: ``leash.py PARENT_PID PROGRAM ARGUMENTS...``. The kernel ties the
signal to the *thread* that started the script, so that has to be one that lives as long as its
process: the main thread. Not done between fork and exec of the parent, where Python is not safe.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, argv: list[str]) -> None:
    """Tie this process to its parent, then execute ``argv``; return if the parent is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl PR_SET_PDEATHSIG")
    if os.getppid() == parent_pid:  # else it ended before the line above took effect
        os.execv(argv[0], argv)  # noqa: S606 - its own parent gave it


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
