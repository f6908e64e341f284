"""The primary's side of a session: updates, one generation at a time (R20, B20)."""

from __future__ import annotations

import time
from typing import Final

import trio

from sbs.config.settings import SyncSettings
from sbs.core.epoch import Epoch
from sbs.core.guard import Held
from sbs.core.history import History
from sbs.core.manifest import FolderSpec
from sbs.core.messages import (
    MAX_TEXT,
    Abandon,
    Audited,
    Begin,
    Commit,
    Committed,
    Failed,
    Findings,
    Folders,
    Fragment,
    Listing,
    Message,
)
from sbs.core.progress import Phase
from sbs.errors import RemoteProtocolError, ReplicationError, StateError
from sbs.log import INFO, Log
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.leading.hints import Hints
from sbs.replication.leading.preview import Preview
from sbs.replication.leading.source import PeerTree, Source, Update
from sbs.runtime.linking.link import Link
from sbs.runtime.memory import let_go
from sbs.runtime.updating.asked import Asked
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.leader_context import LeaderContext
from sbs.runtime.updating.pace import Pace
from sbs.runtime.updating.placements import Placements
from sbs.runtime.updating.sender import Sender
from sbs.runtime.updating.verdicts import FollowerError, failure_of, next_answer
from sbs.runtime.updating.verifier import Verifier

MAX_ANSWERS: Final = 16
"""Messages of the follower not yet handled; it sends listings as fast as it is read."""

FINDINGS_S: Final = 5.0
"""How long an update waits for the follower to have put it in place: longer than most take. What
comes later is taken later."""

_log = Log(__name__)
_MADE = _log.event(
    "generation-made",
    INFO,
    "generation {generation}: {changes} changes, {size_bytes} bytes in {duration_s:.3f} s",
    "The secondary holds this update durably. Nothing to do.",
)


class Leader:
    """Updates one follower until the connection ends.

    Args:
        link: welcomed.
        epoch: of the primacy.
        source: reads the folders.
        folders: their settings (R24).
        history: the generations that the follower has gone through.
        hints: where something may have changed.
        settings: of updates.
        context: the node.
    """

    def __init__(
        self,
        link: Link,
        epoch: Epoch,
        source: Source,
        folders: tuple[FolderSpec, ...],
        history: History,
        hints: Hints,
        settings: SyncSettings,
        context: LeaderContext,
    ) -> None:
        self._link = link
        self._epoch = epoch
        self._source = source
        self._folders = folders
        self._hints = hints
        self._settings = settings
        self._sender = Sender(link, settings, context.tracker, lambda: self._asked.ending)
        self._pace = Pace(settings.period_s, settings.rescan_s)
        self._context = context
        self._tree = PeerTree(len(folders), history)
        self._placements = Placements(source, folders)
        self._deliver, self._answers = trio.open_memory_channel[Message](MAX_ANSWERS)
        self._sent_active: tuple[str, ...] | None = None
        self._asked = Asked()
        self._turn = trio.Lock()
        """Of whoever looks at the folders: an update, or a preview of the next."""
        self.verifier: Verifier = Verifier(link, source, folders, self._tree, self._turn)
        self._told_active = context.active
        """The list that the follower has; before anything was sent, the one at the beginning."""
        self._holds_last = _holds_last(history, context.history)
        self._error = ""

    async def take(self, message: Message) -> None:
        """A message of the follower arrived."""
        if isinstance(message, Audited):
            self.verifier.take(message)
        else:
            await self._deliver.send(message)

    @property
    def is_outdated(self) -> bool:
        """Whether the follower would start other services than it should."""
        return self._context.active != self._sent_active

    def nudge(self) -> None:
        """Something changed: do not wait for the period."""
        self._context.lag.change()
        self._pace.nudge()

    async def update_now(
        self, *, last: bool = False, accepted: str = "", quick: bool = False
    ) -> str:
        """Run an update that begins after this call; return its error, or an empty text.

        Args:
            last: none comes after it, whatever changes: the role is about to be released.
            accepted: id of a held update that may be sent (B22).
            quick: look only where something may have changed; else everywhere, to be sure.
        """
        self._pace.hurry()
        await self._asked.wait(last=last, accepted=accepted, quick=quick)
        return self._error

    async def preview(self) -> Preview:
        """What the next update would send; waits for one that is under way (B26).

        Raises:
            ReplicationError: a folder cannot be read, or what the follower holds is not known yet.
            StateError: the index cannot be used.
        """
        async with self._turn:
            if not self._tree.complete:
                text = "the secondary has not said yet what it holds; try again"
                raise ReplicationError(self._error or text)
            check = trio.from_thread.check_cancelled
            return await trio.to_thread.run_sync(self._source.preview, self._tree, check)

    async def run(self) -> None:
        """Send folder settings, take the follower's listing, then update it for ever."""
        while not await self._is_listed():
            self._asked.serve()
            self._asked.answer()
            self._pace.begin()
            with trio.move_on_after(self._settings.period_s):
                await self._pace.wait_hurried()
        while True:
            self._asked.serve()
            self._pace.begin()
            async with self._turn:
                await self._cycle()
            await self._take_findings()
            self._asked.answer()
            if self._asked.last:
                await trio.sleep_forever()
            await self._pace.wait()

    def close(self) -> None:
        """The session is over, or never began: tell those who wait for an update; call it once."""
        self._error = "the connection to the secondary was lost"
        self._context.tracker.end()
        self._context.lag.doubt()
        self.verifier.close()
        self._asked.serve()
        self._asked.answer()

    async def _is_listed(self) -> bool:
        """Whether the follower can take the folders: if not, it may when its disk is mended."""
        self._tree.clear()
        await self._link.send(Folders(self._epoch, self._folders))
        try:
            await self._take_listing()
        except FollowerError as error:
            self._error = str(error)
            self._context.update_failed(self._error)
            self._context.tracker.end()
            return False
        return True

    async def _take_listing(self) -> None:
        tracker = self._context.tracker
        tracker.begin(Phase.LISTING)
        while True:
            match await self._answer():
                case Listing() | Fragment() as part:
                    try:
                        self._tree.add(part)
                    except ValueError as error:
                        raise RemoteProtocolError(f"listing refused: {error}") from error
                    tracker.advance(len(part.entries) if isinstance(part, Listing) else 0, 0)
                    if self._tree.complete:
                        return
                case Failed(text):
                    raise FollowerError(f"the secondary cannot take these folders: {text}")
                case other:
                    raise RemoteProtocolError(f"{type(other).__name__} instead of a listing")

    async def _cycle(self) -> None:
        """One update; its failure is reported, and the next period tries again."""
        self._error = ""
        due = self._pace.is_due(asked=self._asked.served)
        self._context.lag.begin()
        try:
            await self._update(await self._look_where(due=due))
        except (ReplicationError, StateError) as error:  # of the latter kind: a full state_dir
            self._hints.doubt()
            self._source.send_whole()
            self._error = str(error)
            self._context.update_failed(self._error)
        finally:
            self._context.tracker.end()
        if self._error:
            let_go()
        else:
            self._context.lag.catch_up(watched=self._hints.watching, exported=due)

    async def _look_where(self, *, due: bool) -> Changes:
        """Run the update scripts if they are due; then what this cycle looks at."""
        changes = self._placements.retry(self._tree, trio.current_time())
        changes |= await self._context.run_update_hooks(due=due)
        if self._pace.is_full(asked=self._asked.full):
            changes = EVERYTHING
        return changes | self._hints.take()

    async def _update(self, changes: Changes) -> None:
        started = time.monotonic()
        check, accepted = trio.from_thread.check_cancelled, self._asked.accepted
        self._context.tracker.begin(Phase.SCANNING)
        with self._pace.looking():
            update = await trio.to_thread.run_sync(
                self._source.prepare, self._tree, changes, check, accepted
            )
        self._context.guarded(update.held)
        if update.held is not None:
            self._error = update.held.text
        sent_bytes = await self._send_contents(update)
        active = self._context.active
        if sent_bytes is None:
            if not self._is_due(active, update.held):
                if update.rebased:
                    await trio.to_thread.run_sync(self._source.settle, update)
                self._context.updated(None, update.problems)
                return
            await self._link.send(self._begin(update))
        commit = update.seal(self._epoch, self._context.history, active)
        await self._context.proposed(commit.generation)
        self._context.tracker.begin(Phase.CONFIRMING)
        await self._link.send(commit)
        await self._take_verdict(commit)
        self._placements.expect(commit.generation, update, self._tree)
        self._tree.commit(update.operations)
        self._sent_active = self._told_active = active
        self._holds_last = True
        await self._context.acknowledged(commit.generation)
        duration_s = round(time.monotonic() - started, 6)
        files, size_bytes = commit.operations, sent_bytes or 0
        _MADE(
            generation=commit.generation,
            changes=files,
            size_bytes=size_bytes,
            duration_s=duration_s,
        )
        last = LastUpdate(at=time.time(), files=files, bytes=size_bytes, duration_s=duration_s)
        self._context.updated(last, update.problems)

    def _is_due(self, active: tuple[str, ...], held: Held | None) -> bool:
        """Whether a generation is sent for its list of services alone (R32)."""
        if held is None:
            return active != self._sent_active
        # It says that all before it is there: nothing but the last generation may lie under it.
        return self._holds_last and active != self._told_active

    def _begin(self, update: Update) -> Begin:
        number = self._context.history.number + 1
        return Begin(self._epoch, number, update.operations_planned, update.size_bytes)

    async def _send_contents(self, update: Update) -> int | None:
        """Send what has changed of what the update reads.

        Returns:
            how many bytes of contents; ``None`` if there was nothing to say: nothing has begun.
        """
        try:
            return await self._sender.send(update, self._begin(update), self._check_early_failure)
        except (ReplicationError, StateError) as error:
            if self._sender.begun:
                await self._abandon(error)
            raise

    async def _check_early_failure(self) -> None:
        try:
            answer = self._answers.receive_nowait()
        except trio.WouldBlock:
            return
        if not isinstance(answer, Findings):
            raise failure_of(answer)
        await self._place(answer)

    async def _abandon(self, error: ReplicationError | StateError) -> None:
        await self._link.send(Abandon(str(error)[:MAX_TEXT]))
        if not isinstance(error, FollowerError):
            await self._answer()  # the verdict on what was abandoned: Failed

    async def _take_verdict(self, commit: Commit) -> None:
        answer = await self._answer()
        match answer:
            case Committed(generation) if generation == commit.generation:
                return
            case Committed(generation):
                raise RemoteProtocolError(
                    f"generation {generation} acknowledged instead of {commit.generation}"
                )
            case _:
                raise failure_of(answer)

    async def _answer(self) -> Message:
        """The follower's next word, but for its findings."""
        while True:
            answer = await next_answer(self._answers, lambda: self._asked.ending)
            if not isinstance(answer, Findings):
                return answer
            await self._place(answer)

    async def _take_findings(self) -> None:
        """Wait a while for what the follower says of the generations that it holds."""
        try:
            with trio.move_on_after(FINDINGS_S):
                while self._placements.expected:
                    answer = await self._answers.receive()
                    if not isinstance(answer, Findings):
                        raise RemoteProtocolError(f"{type(answer).__name__} between two updates")
                    await self._place(answer)
        except StateError as error:
            self._context.update_failed(str(error))

    async def _place(self, findings: Findings) -> None:
        if not self._placements.expected:  # else its words could fill the log
            raise RemoteProtocolError("findings that belong to no generation")
        self._context.found(findings)
        await self._placements.take(findings)


def _holds_last(follower: History, leader: History) -> bool:
    """Whether the follower holds the leader's last generation, and nothing beyond."""
    tip = follower.tip
    return tip is not None and tip.number == leader.number and leader.contains(tip)
