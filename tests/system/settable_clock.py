"""``sbs``, with a wall clock that can be set while it runs.

SIGUSR1 sets it an hour ahead of the true time, SIGUSR2 an hour behind. Linux has no namespace for
the wall clock, and setting the machine's would set everybody's. So what is replaced is what
Python code calls to read it, in the process of SBS and before SBS is loaded. That shows that
nothing SBS decides rests on that clock. It shows nothing about the services, about the time stamps
that the kernel gives to files, or about the fencer, which only ever reads CLOCK_BOOTTIME.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import Final

SETTABLE: Final = (time.CLOCK_REALTIME, getattr(time, "CLOCK_REALTIME_COARSE", -1))

AHEAD_NS: Final = {signal.SIGUSR1: 3600 * 10**9, signal.SIGUSR2: -3600 * 10**9}

_gettime_ns: Final = time.clock_gettime_ns
_gmtime: Final = time.gmtime
_localtime: Final = time.localtime

_ahead_ns = 0


def _set(number: int, _frame: object) -> None:
    global _ahead_ns
    _ahead_ns = AHEAD_NS[signal.Signals(number)]
    logging.getLogger("sbs.clock").warning("the clock was set by %s", signal.Signals(number).name)


def _read_ns(clock: int) -> int:
    return _gettime_ns(clock) + (_ahead_ns if clock in SETTABLE else 0)


def _now_ns() -> int:
    return _read_ns(time.CLOCK_REALTIME)


def replace_clock() -> None:
    """Whoever reads the wall clock through ``time`` from here on reads the one that is set."""
    replaced = {
        "time": lambda: _now_ns() / 1e9,
        "time_ns": _now_ns,
        "clock_gettime": lambda clock: _read_ns(clock) / 1e9,
        "clock_gettime_ns": _read_ns,
        "gmtime": lambda at=None: _gmtime(_now_ns() / 1e9 if at is None else at),
        "localtime": lambda at=None: _localtime(_now_ns() / 1e9 if at is None else at),
    }
    for name, reading in replaced.items():
        setattr(time, name, reading)


if __name__ == "__main__":
    replace_clock()
    for number in AHEAD_NS:
        signal.signal(number, _set)
    from sbs.cli import main

    main(prog_name="sbs")
