"""Watching the leader's folders, for as long as a session lasts (B23)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from sbs.core.alarm import Alarm
from sbs.errors import ReplicationError
from sbs.replication.leading.hints import Hints
from sbs.replication.leading.watch import Watcher
from sbs.runtime.alarms import Alarms


async def watch(
    paths: Sequence[str],
    hints: Hints,
    nudge: Callable[[], None],
    alarms: Alarms,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Gather hints where something changes; only hints, the index decides.

    ``started()`` is called when the folders are watched, or cannot be: what looks at everything
    after that need not be repeated.

    Args:
        paths: of the folders.
        hints: for the next cycle.
        nudge: called when there are some.
        alarms: told if the folders cannot be watched.
        task_status: trio's.
    """
    try:
        watcher = await trio.to_thread.run_sync(Watcher, paths)
    except ReplicationError as error:
        watch_failed(alarms, error)
        task_status.started()
        return
    alarms.clear(Alarm.WATCH_FAILED)
    hints.trust(watcher)
    task_status.started()
    try:
        while hints.watching:
            if hints.collect():
                nudge()
            await trio.lowlevel.wait_readable(watcher.fileno())
    finally:
        hints.trust(None)
        trio.lowlevel.notify_closing(watcher.fileno())
        watcher.close()


def watch_failed(alarms: Alarms, error: ReplicationError) -> None:
    """Changes are not noticed at once."""
    text = f"{error}; changes wait for the period, and each update scans fully"
    alarms.raise_(Alarm.WATCH_FAILED, text)
