"""Makes the role machine's state durable, beside the loop and in order."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.effects import Save
from sbs.core.history import History
from sbs.errors import StateError
from sbs.runtime.alarms import Alarms
from sbs.runtime.lasting.state import StateStore, Stored
from sbs.runtime.updating.updates import Updates

RETRY_S: Final = 1.0
"""Pause before a state that could not be written (a full disk, say) is tried again."""


class Saves:
    """The saves of one node. While the disk hangs only the newest waits: it holds all others.

    Args:
        store: writes the state.
        stored: the state at the start.
        updates: know the folders learned, and wait for generations to become durable.
        post: gives the role machine an event.
        alarms: told when the disk refuses.
    """

    def __init__(
        self,
        store: StateStore,
        stored: Stored,
        updates: Updates,
        post: Callable[[ev.Event], Awaitable[None]],
        alarms: Alarms,
    ) -> None:
        self._store = store
        self._node_id = stored.node_id
        self._tip = stored.durable.history.tip
        self._since = stored.data_from
        self._updates = updates
        self._post = post
        self._alarms = alarms
        self._send, self._waiting = trio.open_memory_channel[Save](1)
        self._asked = self._saved = 0
        self._progress = trio.Event()

    def ask(self, save: Save) -> None:
        """Save this soon, instead of what waits to be saved."""
        with suppress(trio.WouldBlock):
            self._waiting.receive_nowait()
        self._asked = save.serial
        self._send.send_nowait(save)

    def _data_from(self, history: History) -> str:
        """When the newest generation of ``history`` came to be held."""
        if history.tip != self._tip:
            self._tip = history.tip
            self._since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        return self._since

    async def settle(self) -> None:
        """Return when everything asked for so far is durable."""
        while self._asked > self._saved:
            await self._progress.wait()

    def end(self) -> None:
        """No save comes any more; :meth:`run` returns after the last."""
        self._send.close()

    async def run(self) -> None:
        """Save what is asked for, and tell the role machine; what fails is tried again (B20)."""
        async for asked in self._waiting:
            save = asked
            while not await self._is_saved(save):
                await trio.sleep(RETRY_S)
                with suppress(trio.WouldBlock, trio.EndOfChannel):
                    save = self._waiting.receive_nowait()
            self._updates.unsaved.saved(save.durable.history)
            self._saved = save.serial
            self._progress.set()
            self._progress = trio.Event()
            await self._post(ev.Saved(save.serial))

    async def _is_saved(self, save: Save) -> bool:
        # A generation that is being journaled counts before a claim that is saved now.
        async with self._updates.follower.journaling:
            stored = Stored(
                node_id=self._node_id,
                durable=save.durable,
                folders=self._updates.layout.learned,
                data_from=self._data_from(save.durable.history),
            )
        try:
            await trio.to_thread.run_sync(self._store.save, stored)
        except StateError as error:
            text = (
                f"{error}; tried again every {RETRY_S:g} s, and until then nothing is decided here"
            )
            self._alarms.raise_(Alarm.STATE_FAILED, text)
            return False
        self._alarms.clear(Alarm.STATE_FAILED)
        return True
