"""The secondary's side of a session: takes generations, journals and applies them (B20)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final, Protocol

import trio

from sbs.core.history import Generation, History
from sbs.core.manifest import MAX_PATH_BYTES, FolderSpec
from sbs.core.messages import (
    MAX_FINDINGS,
    MAX_TEXT,
    Commit,
    Finding,
    Findings,
)
from sbs.core.progress import Phase
from sbs.errors import ReplicationError, StateError
from sbs.log import INFO, WARNING, Log
from sbs.replication.files.problems import Problem
from sbs.replication.following.target import Applied, CommitRecord, Target
from sbs.replication.former.kept import Kept
from sbs.runtime.updating.landing import place_of
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.tracker import Tracker

RETRY_S: Final = 1.0
"""Pause before a roll-forward that failed (a full disk, say) is tried again."""

_log = Log(__name__)
_APPLIED = _log.event(
    "generation-applied",
    INFO,
    "generation {generation} applied in {duration_s:.3f} s",
    "This secondary has all that the primary had at that update. Nothing to do.",
)
_STAGED = _log.event(
    "staged-remains",
    WARNING,
    "what was staged is still there: {error}",
    "Files of an update that was given up take room on this disk; they go with the next "
    "update. If it comes again, mend what the text names.",
)


class FollowerContext(Protocol):
    """What a follower asks of its node."""

    @property
    def closing(self) -> bool:
        """The node ends, and its state may not be saved any more."""
        ...

    async def held(self, record: CommitRecord) -> trio.Event:
        """A generation is in the journal; the event is set when the node's state knows it."""
        ...

    @property
    def tracker(self) -> Tracker:
        """Told how far an update is."""
        ...

    def updated(self, update: LastUpdate | None, problems: tuple[Problem, ...]) -> None:
        """A generation was applied."""
        ...

    def update_failed(self, text: str) -> None:
        """A generation could not be taken or applied."""
        ...

    def applied(self, generation: Generation) -> None:
        """A generation stands in the folders: the apply scripts are due (R25)."""
        ...


class Follower:
    """Owns the target folders of a node, over all its sessions.

    Args:
        target: stages, journals and applies.
        own: paths of the folders that this node's configuration names.
        accept_under: where a folder that only the primary names may lie (R24).
        state_dir: of the node; no folder may touch it.
        context: the node.
    """

    def __init__(
        self,
        target: Target,
        own: dict[str, str],
        accept_under: tuple[str, ...],
        state_dir: str,
        context: FollowerContext,
    ) -> None:
        self.target = target
        self._own = own
        self._accept_under = accept_under
        self._state_dir = state_dir
        self.context = context
        target.done = context.tracker.advance
        self._busy = trio.Lock()
        self.journaling: trio.Lock = trio.Lock()
        """Held from the commit record until the role machine was told of it."""
        self._unapplied: CommitRecord | None = None
        self._problems: dict[tuple[str, str], Problem] = {}
        """What is not as the leader has it, by folder and path, until an operation cures it."""

    def place(self, folder: FolderSpec) -> str:
        """Where a folder of the primary lies on this node.

        Raises:
            ReplicationError: the configuration does not allow it; the text says what to add.
        """
        return place_of(folder, self._own, self._accept_under, self._state_dir)

    async def settle(self) -> None:
        """Finish what the last committed generation left to apply; return when it is done."""
        async with self._busy:
            await self._roll_forward()

    async def _roll_forward(self) -> None:
        """Apply the committed generation; a full disk, say, is tried again until it is not."""
        while self._unapplied is not None and not self.context.closing:
            try:
                await self._apply(self._unapplied)
            except (ReplicationError, StateError) as error:
                self.context.update_failed(
                    "the last generation is committed but cannot be completed, and until then no "
                    f"service starts here; tried again every {RETRY_S:g} s: {error}"
                )
                await trio.sleep(RETRY_S)

    async def _apply(self, record: CommitRecord) -> None:
        started = time.monotonic()
        try:
            applied = await trio.to_thread.run_sync(self._apply_shown, record)
        finally:
            self.context.tracker.end()
        self._unapplied = None
        self._note(record, applied.problems)
        self.context.applied(record.history.entries[-1])
        duration_s = round(time.monotonic() - started, 6)
        _APPLIED(generation=record.history.tip, duration_s=duration_s)
        self.context.updated(
            LastUpdate(
                at=time.time(), files=applied.files, bytes=applied.size_bytes, duration_s=duration_s
            ),
            tuple(self._problems.values()),
        )

    def _apply_shown(self, record: CommitRecord) -> Applied:
        """In a worker thread: to add up many sizes takes time, too."""
        operations = record.operations
        self.context.tracker.begin(
            Phase.APPLYING,
            files_total=len(operations),
            bytes_total=sum(each.size_bytes for each in operations if each.digest),
        )
        return self.target.apply(record, _uncancelled)

    def _note(self, record: CommitRecord, problems: Sequence[Problem]) -> None:
        if self._problems:
            for operation in record.operations:
                name = record.folders[operation.folder].name
                self._problems.pop((name, operation.path), None)
        self._problems |= {(problem.folder, problem.entry): problem for problem in problems}

    @property
    def findings(self) -> Findings | None:
        """What the leader should know of the last generation; ``None``: it is not applied yet."""
        if self._unapplied is not None:
            return None
        met = [
            Finding(
                folder=problem.folder,
                path=problem.entry[:MAX_PATH_BYTES],
                text=problem.text[:MAX_TEXT],
                note=problem.note,
            )
            for problem in sorted(self._problems.values(), key=attrgetter("note"))
        ]
        found = met + [_told(kept) for kept in self.target.quarantine.standing]
        return Findings(findings=tuple(found[:MAX_FINDINGS]), total=len(found))

    async def open(self, folders: tuple[FolderSpec, ...]) -> None:
        """Accept a leader's folders."""
        # On a disk that hangs, to look where they lie may take for ever.
        places = await trio.to_thread.run_sync(self._places, folders)
        await self.settle()
        try:
            await trio.to_thread.run_sync(self.target.open, folders, places)
        except ValueError as error:
            raise ReplicationError(f"a filter of the primary: {error}") from error
        known = {folder.name: place for folder, place in zip(folders, places, strict=True)}
        await trio.to_thread.run_sync(self.target.quarantine.watch, known)

    def _places(self, folders: Sequence[FolderSpec]) -> list[str]:
        return [self.place(folder) for folder in folders]

    def listed(self) -> None:
        """The folders were listed for a leader: what could not be read is a problem."""
        problems = self.target.problems
        self._problems = {(problem.folder, problem.entry): problem for problem in problems}

    def abandon(self) -> None:
        """Forget what is staged, unless it is committed; what cannot be removed is tried again."""
        self._forget(self.target.abandon)

    def suspend(self) -> None:
        """The same, but the next session may go on with a file that is under way."""
        self._forget(self.target.suspend)

    def _forget(self, forget: Callable[[], None]) -> None:
        if self._unapplied is not None:
            return
        try:
            forget()
        except ReplicationError as error:
            _STAGED(error=error)

    def forget_fragment(self) -> None:
        """This node leads: what it kept of a cut session takes room only."""
        self._forget(self.target.forget_fragment)

    async def commit(self, commit: Commit, history: History, told: Callable[[], None]) -> History:
        """Journal a generation, call ``told`` when it is durable, then apply it.

        Returns:
            the history with it.
        """
        with trio.CancelScope() as scope:
            await self._commit(commit, history, told, scope)
        return history.append(commit.generation)

    async def _commit(
        self, commit: Commit, history: History, told: Callable[[], None], scope: trio.CancelScope
    ) -> None:
        async with self._busy:
            async with self.journaling:
                # If this node has claimed the role meanwhile, the generation comes too late: no
                # state would count it any more.
                await trio.lowlevel.checkpoint_if_cancelled()
                # From here to the end nothing may be left half-way by a lost connection.
                scope.shield = True
                record = await trio.to_thread.run_sync(
                    self.target.commit, commit, history, _uncancelled
                )
                self._unapplied = record
                known = await self.context.held(record)
            told()
            await known.wait()
            # A node that ends leaves the rest to its next start: the journal has it.
            await self._roll_forward()


def _told(kept: Kept) -> Finding:
    return Finding(
        folder=kept.folder,
        path=kept.path,
        text=f"replaced by generation {kept.generation}",
        kept=kept.kept,
    )


def _uncancelled() -> None:
    """A commit or its roll-forward is finished once begun."""
