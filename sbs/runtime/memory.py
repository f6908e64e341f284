"""What the process of a node does with memory: it keeps what the next message needs again.

Both are for the whole process, so that ``sbs run`` sets them and no library call does. Together
they take a fifth off the time of a first update (``docs/performance.md``).
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

KEPT_BYTES: Final = 16 * 1024 * 1024
"""Freed memory that stays in each of glibc's arenas (a few: a thread has one): what an update has
in use at a time in one of them is less."""

MAPPED_BYTES: Final = 32 * 1024 * 1024
"""Size from which a buffer is mapped by itself, the largest that glibc takes; bodies have one."""

YOUNG_OBJECTS: Final = 50_000
"""New containers before Python looks for cycles: an update makes millions and no cycle."""

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3


def keep_memory() -> None:
    """Settle in: to be called once all modules are imported.

    Else glibc gives each buffer of a megabyte back to the kernel, which clears its 256 pages for
    the next one, and Python looks through all modules and a whole update again and again.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # no other C library needs it
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    gc.set_threshold(YOUNG_OBJECTS)
    gc.freeze()


def let_go() -> None:
    """Free what a failure holds: to be called after one that may come again and again.

    An exception that comes out of a worker thread refers to itself, and to all that was read.
    """
    gc.collect()
