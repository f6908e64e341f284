"""A node's process keeps the memory of its buffers."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
import weakref

import trio

from sbs.errors import ReplicationError
from sbs.runtime.memory import let_go

PROGRAM = """
import gc, resource, sys
from sbs.runtime.memory import KEPT_BYTES, YOUNG_OBJECTS, keep_memory

if sys.argv[1] == "kept":
    keep_memory()
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    assert gc.get_freeze_count() > 0


def buffers(count=8):
    for buffer in [bytearray(b"x") * 2**20 for _ in range(count)]:
        buffer[0] = 0


buffers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    buffers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages the kernel had to provide for buffers of 8 MiB, used eight times."""

PAGES = 8 * 256


async def test_what_a_failure_holds_is_let_go() -> None:
    """Found by review: else the buffers of many failed updates would be kept."""

    class Content:
        pass

    def fail(content: Content) -> None:
        raise ReplicationError("bad sector")

    alive: weakref.WeakSet[Content] = weakref.WeakSet()
    gc.disable()
    try:
        for _ in range(3):
            content = Content()
            alive.add(content)
            with contextlib.suppress(ReplicationError):
                await trio.to_thread.run_sync(fail, content)
            del content
        let_go()
        assert len(alive) <= 1  # the last thread may still have the last one
    finally:
        gc.enable()


def _pages(how: str) -> int:
    command = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_buffers_are_not_given_back_between_messages() -> None:
    assert _pages("kept") < PAGES < _pages("given back")
