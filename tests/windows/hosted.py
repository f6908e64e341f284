"""``python hosted.py [broken]``: a stand-in for SBS as a Windows service."""

from __future__ import annotations

import sys

import trio

from sbs.adapters.services.windows.own_service import serve
from tests.windows.shim import let_trio_run


async def work(
    stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run until told to end."""
    task_status.started()
    await stop.wait()


async def fail(
    stop: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Fail at once."""
    await trio.lowlevel.checkpoint()
    raise RuntimeError("told to")


if __name__ == "__main__":
    let_trio_run()
    serve(fail if sys.argv[1:] == ["broken"] else work)
