"""One session with a leader on the secondary's side: takes what it sends, in its order (R20)."""

from __future__ import annotations

import contextlib
from typing import Final

import trio

from sbs.core.epoch import Epoch
from sbs.core.history import History
from sbs.core.messages import (
    MAX_TEXT,
    Abandon,
    Audit,
    Audited,
    Begin,
    Chunk,
    Commit,
    Committed,
    Content,
    Failed,
    Folders,
    Listing,
    Message,
    Pack,
    Patch,
)
from sbs.core.progress import Phase
from sbs.errors import RemoteProtocolError, ReplicationError, StateError
from sbs.log import ERROR, Log
from sbs.replication.bodies import changes, content_bytes
from sbs.replication.following.target import Target
from sbs.runtime.linking.link import Link
from sbs.runtime.memory import let_go
from sbs.runtime.updating.follower import Follower

MAX_WAITING: Final = 8
"""Messages received ahead of the disk, besides as many on their way to it: 20 megabytes at most."""

_log = Log(__name__)
_UNREAD = _log.event(
    "verify-failed",
    ERROR,
    "verify: {error}",
    "This secondary could not read what `sbs verify` asked for, which ends with an error on the "
    "primary. Look at the disk here, then verify again.",
)


class FollowerSession:
    """Takes the updates of one leader until the connection ends."""

    def __init__(self, follower: Follower, link: Link, epoch: Epoch, history: History) -> None:
        self._follower = follower
        self._link = link
        self._epoch = epoch
        self._history = history
        self._deliver, self._waiting = trio.open_memory_channel[Message](MAX_WAITING)
        self._failed = False

    async def take(self, message: Message) -> None:
        """A message of the leader arrived."""
        await self._deliver.send(message)

    async def run(self) -> None:
        """Handle the leader's messages for ever; what is staged is suspended at the end."""
        try:
            async for message in self._waiting:
                contents, other = self._gather(message)
                if contents:
                    await self._handle(contents)
                if other is not None:
                    await self._handle(other)
        finally:
            self._follower.suspend()
            self._follower.context.tracker.end()

    def _gather(self, message: Message) -> tuple[list[Content], Message | None]:
        """Contents that came one after the other, beginning with a message, and what follows."""
        contents: list[Content] = []
        while isinstance(message, Pack | Chunk | Patch):
            contents.append(message)
            try:
                message = self._waiting.receive_nowait()
            except trio.WouldBlock:
                return contents, None
        return contents, message

    async def _handle(self, message: list[Content] | Message) -> None:
        """One message or some contents; a failure is told to the leader, which tries again."""
        if self._failed and not isinstance(message, Folders | Begin | Audit):
            return  # the rest of an update that was refused already
        failed = self._failed
        await self._take_or_fail(message)
        if self._failed and not failed:
            let_go()

    async def _take_or_fail(self, message: list[Content] | Message) -> None:
        try:
            await self._take(message)
        except (ReplicationError, StateError) as error:
            self._failed = True
            self._follower.abandon()
            self._follower.context.tracker.end()
            self._follower.context.update_failed(str(error))
            # What is abandoned has its verdict coming; the others end early.
            self._link.post(Failed(str(error)[:MAX_TEXT]))

    async def _take(self, message: list[Content] | Message) -> None:
        target, tracker = self._follower.target, self._follower.context.tracker
        match message:
            case Folders(epoch, folders):
                self._check_epoch(epoch)
                self._failed = False
                await self._follower.open(folders)
                await self._send_listing()
            case Begin() as begin:
                self._check_epoch(begin.epoch)
                self._failed = False
                await trio.to_thread.run_sync(target.begin, begin)
                tracker.begin(
                    Phase.RECEIVING, files_total=begin.files, bytes_total=begin.size_bytes
                )
            case list() as contents:
                await trio.to_thread.run_sync(_stage, target, contents)
                for each in contents:
                    tracker.advance(changes(each), content_bytes(each))
            case Audit() as audit:
                self._link.post(await self._audit(audit))
            case Commit() as commit:
                self._check_epoch(commit.generation.epoch)
                tracker.begin(Phase.COMMITTING)
                self._history = await self._follower.commit(
                    commit, self._history, lambda: self._link.post(Committed(commit.generation))
                )
                if (findings := self._follower.findings) is not None:
                    self._link.post(findings)
            case Abandon(text):
                raise ReplicationError(f"the primary gave the update up: {text}")
            case other:
                raise RemoteProtocolError(f"{type(other).__name__} is not for a secondary")

    async def _audit(self, audit: Audit) -> Audited:
        """Read files anew; what cannot be done is no verdict on an update (B26)."""
        target, check = self._follower.target, trio.from_thread.check_cancelled
        try:
            return await trio.to_thread.run_sync(target.audit, audit, check)
        except (ReplicationError, StateError) as error:
            _UNREAD(error=error)
            return Audited(())

    def _check_epoch(self, epoch: Epoch) -> None:
        """B2: nothing of an older epoch is taken, and no other than the one welcomed."""
        if epoch != self._epoch:
            raise RemoteProtocolError(
                f"an update of epoch {epoch} in a session of epoch {self._epoch}"
            )

    async def _send_listing(self) -> None:
        listing = self._follower.target.listing(trio.from_thread.check_cancelled)
        tracker = self._follower.context.tracker
        tracker.begin(Phase.LISTING)
        # Closed here and now: later it would close the directories of the next session.
        with contextlib.closing(listing):
            while True:
                part = await trio.to_thread.run_sync(next, listing, None)
                if part is None:
                    break
                await self._link.send(part)
                tracker.advance(len(part.entries) if isinstance(part, Listing) else 0, 0)
        tracker.end()
        self._follower.listed()


def _stage(target: Target, contents: list[Content]) -> None:
    """In a worker thread: the hop costs as much as a small message."""
    for message in contents:
        target.take(message, trio.from_thread.check_cancelled)
