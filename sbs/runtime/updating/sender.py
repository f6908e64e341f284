"""The contents of updates on their way to the follower: read, compressed and sent at once."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from sbs.adapters.transports.account import Account
from sbs.config.settings import SyncSettings
from sbs.core.compression import LinkSpeed
from sbs.core.limiter import Limiter, piece_bytes
from sbs.core.messages import MAX_BODY_BYTES, Begin, Content
from sbs.core.progress import Phase
from sbs.errors import ReplicationError, StateError
from sbs.log import INFO, Log
from sbs.replication.bodies import Compressor, changes, content_bytes
from sbs.replication.files.content import BLOCK_BYTES, BLOCKS_ABOVE
from sbs.replication.leading.source import Update
from sbs.runtime.groups import leaves
from sbs.runtime.linking.link import Link
from sbs.runtime.updating.reading_ahead import READ_AHEAD, read_ahead
from sbs.runtime.updating.tracker import Tracker

HURRY_S: Final = 0.1
"""How long a handover waits at most until an update that is held back goes on at full speed."""

_log = Log(__name__)
_PACKED = _log.event(
    "update-packed",
    INFO,
    "{size_bytes} bytes of contents were sent as {sent_bytes}",
    "What compression saved. Nothing to do.",
)


class Sender:
    """Sends the contents of one leader's updates.

    Args:
        link: to the follower.
        settings: whether it compresses, and how much it may send in a second.
        tracker: told how far it is.
        hurried: whether a handover waits: then no limit counts, since no service runs.

    Attributes:
        begun: the follower was told that the last update begins.
    """

    def __init__(
        self, link: Link, settings: SyncSettings, tracker: Tracker, hurried: Callable[[], bool]
    ) -> None:
        self.begun: bool = False
        self._link = link
        self._speed = LinkSpeed()
        self._account: Account | None = None
        self._looked_at = 0.0
        self._compressor: Compressor | None = None
        self._tracker = tracker
        self._hurried = hurried
        self._limiter: Limiter | None = None
        self._max_bytes = MAX_BODY_BYTES
        if limit := settings.max_bytes_s:
            self._limiter = Limiter(limit)
            self._max_bytes = piece_bytes(
                limit, unit=BLOCK_BYTES, least=BLOCKS_ABOVE, most=MAX_BODY_BYTES
            )
        # On one machine there is no link to wait for, and the other side needs the processor.
        if settings.compression == "auto" and (limit or not link.is_local):
            self._compressor = Compressor(lambda: min(self._speed.bytes_s, limit or math.inf))

    async def send(
        self, update: Update, begin: Begin, check: Callable[[], Awaitable[None]]
    ) -> int | None:
        """Send what has changed of what an update reads; reading and sending overlap.

        Args:
            update: to be read.
            begin: goes before its first content.
            check: called before each message; may raise to end the update.

        Returns:
            how many bytes of contents; ``None`` if there was nothing to say: nothing has begun.

        Raises:
            ReplicationError: from reading, or ``check``.
            StateError: the index cannot be used.
        """
        self.begun = False
        self._account = None  # what went between two updates is too little to tell
        self._look()
        size_bytes = sent_bytes = 0
        send, receive = trio.open_memory_channel[list[Content]](READ_AHEAD)
        failure: ReplicationError | StateError | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_ahead, update, self._max_bytes, self._compressor, send)
                async with receive:
                    async for batch in receive:
                        if not self.begun:
                            await self._begin(begin)
                        for message in batch:
                            await self._wait_turn()
                            await check()
                            sent_bytes += await self._send(message)
                            size_bytes += content_bytes(message)
                            self._tracker.advance(changes(message), content_bytes(message))
        except* (ReplicationError, StateError) as group:
            # Raised below: what is raised here comes as a group from some releases of Python 3.11.
            failure = next(leaves(group))
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # else it refers to itself by this frame, which holds what was read
        if sent_bytes < size_bytes:
            _PACKED(size_bytes=size_bytes, sent_bytes=sent_bytes)
        return size_bytes if self.begun else None

    async def _begin(self, begin: Begin) -> None:
        await self._link.send(begin)
        self.begun = True
        self._tracker.begin(Phase.SENDING, files_total=begin.files, bytes_total=begin.size_bytes)

    async def _send(self, message: Content) -> int:
        size_bytes = await self._link.send(message)
        if self._limiter is not None:
            self._limiter = self._limiter.after(size_bytes, trio.current_time())
        self._look()
        return size_bytes

    async def _wait_turn(self) -> None:
        """Wait until the limit allows a message; heartbeats and answers go meanwhile."""
        while self._limiter is not None and not self._hurried():
            rest_s = self._limiter.free_at - trio.current_time()
            if rest_s <= 0:
                return
            await trio.sleep(min(rest_s, HURRY_S))

    def _look(self) -> None:
        """Learn from what the kernel says how fast the link is."""
        if self._compressor is None:  # nobody asks
            return
        before, self._account, began_at = self._account, self._link.account, self._looked_at
        self._looked_at = trio.current_time()
        if before is not None and self._account is not None:
            self._speed = self._speed.after(
                self._account.acked_bytes - before.acked_bytes,
                self._looked_at - began_at,
                full=before.unsent_bytes > 0 and self._account.unsent_bytes > 0,
            )
