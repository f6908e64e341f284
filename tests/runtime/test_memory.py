"""A node's process keeps the memory of its buffers."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, resource, sys
from sbs.runtime.memory import KEPT_BYTES, YOUNG_OBJECTS, keep_memory

if sys.argv[1] == "kept":
    keep_memory()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    assert gc.get_freeze_count() > 0


def buffers(count=16):
    for buffer in [bytearray(b"x") * 2**20 for _ in range(count)]:
        buffer[0] = 0


buffers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    buffers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages the kernel had to provide for buffers of 16 MiB, used eight times."""

PAGES = 16 * 256


def _pages(how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_buffers_are_not_given_back_between_messages() -> None:
    assert _pages("kept") < PAGES < _pages("given back")
