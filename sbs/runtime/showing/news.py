"""The node's status as server-sent events (WHATWG HTML, section 9.2), one whenever it changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Final

import trio

from sbs.core.claim import Role
from sbs.runtime.showing.snapshots import NoStatusError, Shown, Snapshot, Snapshots

MAX_LISTENERS: Final = 16
"""At a time: a few screens on a wall, a few people. Each has its status taken twice a second."""

LOOK_S: Final = 0.5
"""Between two looks for what changed; a change of the role is told at once."""

BEAT_S: Final = 10.0
"""A comment comes after so long without an event: proxies end what is silent for a minute."""

RETRY_MS: Final = 2000
"""After so long a browser calls again when the stream has ended."""


class News:
    """The event streams of one node.

    Nothing is queued: a listener that is late gets the newest status, not those between.

    Args:
        node: is watched.
        snapshots: of it.
    """

    def __init__(self, node: Shown, snapshots: Snapshots) -> None:
        self._node = node
        self._snapshots = snapshots
        self.listeners: int = 0

    @property
    def is_full(self) -> bool:
        """Whether there are :data:`MAX_LISTENERS`."""
        return self.listeners >= MAX_LISTENERS

    async def stream(self, last_id: str) -> AsyncGenerator[bytes, None]:
        """What one listener is sent, for ever.

        Args:
            last_id: of the event that it had last; empty: none.
        """
        self.listeners += 1
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            said_at = trio.current_time()
            while True:
                role = self._node.role
                with suppress(NoStatusError):  # it is tried again; the beat says that we live
                    snapshot = await self._snapshots.take()
                    role = Role(snapshot.status.role)
                    if snapshot.id != last_id:
                        last_id, said_at = snapshot.id, trio.current_time()
                        yield _event(snapshot)
                if trio.current_time() >= said_at + BEAT_S:
                    said_at = trio.current_time()
                    yield b": the node lives\n\n"
                with trio.move_on_after(LOOK_S):
                    await self._node.wait_role_change(role)
        finally:
            self.listeners -= 1


def _event(snapshot: Snapshot) -> bytes:
    """One event; the status is JSON on one line, so nothing in it ends the field."""
    return f"id: {snapshot.id}\nevent: status\ndata: {snapshot.text}\n\n".encode()
