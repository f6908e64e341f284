"""Makes the role machine's state durable, beside the loop and in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from sbs.core import events as ev
from sbs.core.effects import Save
from sbs.runtime.state import StateStore, Stored
from sbs.runtime.updates import Updates


class Saves:
    """The saves of one node. While the disk hangs only the newest waits: it holds all others.

    Args:
        store: writes the state.
        node_id: of this node.
        updates: know the folders learned, and wait for generations to become durable.
        post: gives the role machine an event.
    """

    def __init__(
        self,
        store: StateStore,
        node_id: str,
        updates: Updates,
        post: Callable[[ev.Event], Awaitable[None]],
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._updates = updates
        self._post = post
        self._send, self._waiting = trio.open_memory_channel[Save](1)

    def ask(self, save: Save) -> None:
        """Save this soon, instead of what waits to be saved."""
        with suppress(trio.WouldBlock):
            self._waiting.receive_nowait()
        self._send.send_nowait(save)

    def end(self) -> None:
        """No save comes any more; :meth:`run` returns after the last."""
        self._send.close()

    async def run(self) -> None:
        """Save what is asked for, and tell the role machine.

        Raises:
            StateError: the state cannot be written.
        """
        async for save in self._waiting:
            # A generation that is being journaled counts before a claim that is saved now.
            async with self._updates.follower.journaling:
                stored = Stored(
                    node_id=self._node_id, durable=save.durable, folders=self._updates.learned
                )
            await trio.to_thread.run_sync(self._store.save, stored)
            self._updates.saved(save.durable.history)
            await self._post(ev.Saved(save.serial))
