"""The replicated folders of a node: leader or follower, whichever the role machine says."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from sbs.config import Config
from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.epoch import Epoch
from sbs.core.guard import Held
from sbs.core.history import Generation, History
from sbs.core.messages import Findings, Message
from sbs.core.progress import Progress
from sbs.core.role import Model
from sbs.errors import RefusedError, RemoteProtocolError, ReplicationError
from sbs.replication.changes import Changes
from sbs.replication.files.index import Index
from sbs.replication.files.problems import Problem, log_new
from sbs.replication.following.target import CommitRecord, Target
from sbs.replication.former.versions import Versions
from sbs.replication.leading.hints import Hints
from sbs.replication.leading.preview import Preview
from sbs.replication.leading.source import Source
from sbs.runtime.alarms import Alarms
from sbs.runtime.linking.link import Link
from sbs.runtime.updating.apply_scripts import ApplyScripts
from sbs.runtime.updating.conflicts import Conflict, Conflicts
from sbs.runtime.updating.follower import Follower
from sbs.runtime.updating.follower_session import FollowerSession
from sbs.runtime.updating.keeping import Keeping
from sbs.runtime.updating.lag import Lag
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.layout import Layout
from sbs.runtime.updating.leader import Leader
from sbs.runtime.updating.scripts import Scripts
from sbs.runtime.updating.tracker import Tracker
from sbs.runtime.updating.unsaved import Unsaved
from sbs.runtime.updating.verifier import Verification
from sbs.runtime.updating.watching import watch, watch_failed

REVIEW_S: Final = 10.0
"""From one look at what is still in quarantine to the next: whoever has emptied it is not kept
waiting."""

_NO_SECONDARY: Final = "there is no secondary"


class Updates:
    """Runs the sessions of one node.

    Args:
        config: of the node.
        alarms: told what fails.
        model: the role machine's present state.
        post: gives the role machine an event.
    """

    def __init__(
        self,
        config: Config,
        alarms: Alarms,
        model: Callable[[], Model],
        post: Callable[[ev.Event], Awaitable[None]],
    ) -> None:
        self._config = config
        self._alarms = alarms
        self._model = model
        self._post = post
        self._index = Index(os.path.join(config.node.state_dir, "index.db"))
        versions = Versions(config.sync.keep_versions_s, config.sync.keep_versions_bytes)
        self._target = Target(config.node.state_dir, self._index, versions)
        self.layout: Layout = Layout(config, alarms, model)
        places = self.layout.places
        self.keeping: Keeping = Keeping(config.node.name, versions, places, model, self._hurry)
        self.lag: Lag = Lag(exports=bool(config.hooks.update))
        """How far the secondary is behind this primary."""
        self.unsaved: Unsaved = Unsaved()
        """Told when the node's state is durable, and when nothing more will be."""
        self.tracker: Tracker = Tracker()
        """How far the present update is, on either side."""
        self.follower: Follower = Follower(
            self._target, self.layout.own, config.sync.accept_under, config.node.state_dir, self
        )
        self.scripts: Scripts = Scripts(config.hooks, config.node.name, alarms)
        self.apply_scripts: ApplyScripts = ApplyScripts(self._run_apply_hooks)
        self.last_update: LastUpdate | None = None
        self.held_update: Held | None = None
        """What the guard holds, of this node as primary (B22)."""
        self._conflicts = Conflicts(config.node.name, self._target.quarantine, alarms)
        self._problems: tuple[Problem, ...] = ()
        self._leader: Leader | None = None
        self._peer_name = ""
        self._leading: int | None = None
        self._session: FollowerSession | None = None
        self._following: int | None = None

    def close(self) -> None:
        """Give files and database back."""
        self._target.close()
        self._index.close()

    async def recover(self, save: Callable[[CommitRecord], None]) -> None:
        """Finish what a crash left half-way; before anything else.

        Args:
            save: makes the node's state know the generation, before the journal forgets it.
        """
        check = trio.from_thread.check_cancelled
        record = await trio.to_thread.run_sync(self._target.recover, check, save)
        if record is not None:
            self.applied(record.history.entries[-1])
        if self._target.damage:
            self.update_failed(self._target.damage)
        watching = partial(self._target.quarantine.watch, self.layout.own, always=True)
        await trio.to_thread.run_sync(watching)
        self._conflicts.review()

    async def settle(self) -> None:
        """Return when the last generation is applied and its apply scripts have run."""
        await self.follower.settle()
        await self.apply_scripts.wait_idle()

    # Sessions.

    async def lead(self, link: Link, epoch: Epoch) -> None:
        """Update the follower on ``link`` until it ends."""
        await self.follower.settle()
        folders = self.layout.folders()
        claim = None if link.peer is None else link.peer.claim
        self._peer_name = "the secondary" if claim is None else claim.name
        hints = Hints(partial(watch_failed, self._alarms))
        leader = Leader(
            link,
            epoch,
            Source(folders, self._index, self._config.sync.max_deletes),
            folders,
            History() if claim is None else claim.history,
            hints,
            self._config.sync,
            self,
        )
        self._leader, self._leading = leader, link.number
        places = {spec.name: spec.path for spec in folders}
        try:
            await trio.to_thread.run_sync(self._target.quarantine.watch, places)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._review)
                if self._config.sync.watch:
                    await nursery.start(
                        watch, [*places.values()], hints, leader.nudge, self._alarms
                    )
                await leader.run()
        finally:
            leader.close()
            if self._leader is leader:
                self._leader = self._leading = None
                self.guarded(None)
                self._conflicts.forget_problems()

    async def follow(self, link: Link, epoch: Epoch, history: History) -> None:
        """Take updates on ``link`` until it ends."""
        session = FollowerSession(self.follower, link, epoch, history)
        self._session, self._following = session, link.number
        link.session.set()  # from here on route() knows where the leader's messages go
        self._conflicts.forget_told()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._review)
                await session.run()
        finally:
            if self._session is session:
                self._session = self._following = None
                self.lag.restart()  # what this node led before is long past

    async def route(self, link: Link, message: Message) -> None:
        """Give a message to the session it belongs to."""
        if self._leader is not None and link.number == self._leading:
            await self._leader.take(message)
        elif self._session is not None and link.number == self._following:
            await self._session.take(message)
        else:
            raise RemoteProtocolError(f"{type(message).__name__} outside a session")

    def _hurry(self) -> None:
        """Something was restored: send it at once."""
        if self._leader is not None:
            self._leader.nudge()

    async def run_forever(self) -> None:
        """What goes on beside all sessions: apply scripts, and the end of old versions."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.apply_scripts.run_forever)
            nursery.start_soon(self.keeping.run_forever)

    async def _review(self) -> None:
        """Look again and again what is still in quarantine; the administrator empties it."""
        quarantine = self._target.quarantine
        while True:
            self._conflicts.review()
            await trio.sleep(REVIEW_S)
            if quarantine.standing:
                await trio.to_thread.run_sync(quarantine.refresh)

    def nudge(self) -> None:
        """The list of active services may have changed: send it at once (R32)."""
        if self._leader is not None and self._leader.is_outdated:
            self._leader.nudge()

    async def update_now(self, accepted: str = "", *, quick: bool = False) -> str:
        """Run one update to its end.

        Args:
            accepted: id of a held update that may be sent (B22).
            quick: as for :meth:`sbs.runtime.updating.leader.Leader.update_now`.

        Returns:
            why it failed, or is held; or an empty text.
        """
        if self._leader is None:
            return _NO_SECONDARY
        return await self._leader.update_now(accepted=accepted, quick=quick)

    async def sync(self, accepted: str, *, quick: bool = False) -> LastUpdate | None:
        """Run one update to its end, and return the last one that changed anything.

        Args:
            accepted: as for :meth:`update_now`.
            quick: likewise.

        Raises:
            RefusedError: the guard holds it.
            ReplicationError: it failed.
        """
        error = await self.update_now(accepted, quick=quick)
        if self.held_update is not None and error == self.held_update.text:
            other = accepted and accepted != self.held_update.id
            raise RefusedError(f"{accepted!a} is not what is held: {error}" if other else error)
        if error:
            raise ReplicationError(f"the update failed: {error}")
        return self.last_update

    async def preview(self) -> Preview:
        """What an update would send now (B26).

        Raises:
            RefusedError: there is no secondary.
            ReplicationError: a folder cannot be read, or what the secondary holds is not known.
        """
        if self._leader is None:
            raise RefusedError(f"{_NO_SECONDARY}: nothing can be compared; see sbs probe")
        return await self._leader.preview()

    async def verify(self, bytes_s: float) -> Verification:
        """Compare all contents on both nodes, and send again what differs there (B26).

        For arguments and errors see :meth:`sbs.runtime.updating.verifier.Verifier.run`.
        """
        if self._leader is None:
            raise RefusedError(f"{_NO_SECONDARY}: nothing can be compared; see sbs probe")
        found = await self._leader.verifier.run(bytes_s)
        if found.repaired:
            await self.sync("")
        return found

    @property
    def progress(self) -> Progress | None:
        """How far the update under way is; if there is none, a comparison of contents (B61)."""
        found = self.tracker.progress
        if found is None and self._leader is not None:
            found = self._leader.verifier.tracker.progress
        return found

    async def finish(self) -> None:
        """Run the last update of a handover, and tell the role machine how it ended."""
        error = "the connection to the secondary was lost"
        try:
            if self._leader is not None:
                error = await self._leader.update_now(last=True)
        finally:
            with trio.CancelScope(shield=True):
                await self._post(ev.FinalUpdateEnded(done=not error, why=error))

    # What leader and follower ask.

    @property
    def history(self) -> History:
        """The generations held."""
        return self._model().durable.history

    @property
    def active(self) -> tuple[str, ...]:
        """The services that a takeover starts."""
        return self._model().durable.active or ()

    async def run_update_hooks(self, *, due: bool) -> Changes:
        """See :class:`~sbs.runtime.updating.leader_context.LeaderContext`."""
        model = self._model()
        number = model.durable.history.number
        return await self.scripts.update(self.layout.folders(), model.primacy, number, due=due)

    async def _run_apply_hooks(self, generation: Generation) -> None:
        await self.scripts.apply(generation, self.layout.places())

    def applied(self, generation: Generation) -> None:
        """See :class:`~sbs.runtime.updating.follower.FollowerContext`."""
        self.keeping.applied()
        if self._config.hooks.apply:
            self.apply_scripts.applied(generation)

    async def proposed(self, generation: Generation) -> None:
        """See :class:`~sbs.runtime.updating.leader_context.LeaderContext`."""
        await self._post(ev.GenerationProposed(generation))

    async def acknowledged(self, generation: Generation) -> None:
        """See :class:`~sbs.runtime.updating.leader_context.LeaderContext`."""
        await self._post(ev.GenerationAcknowledged(generation))

    async def held(self, record: CommitRecord) -> trio.Event:
        """See :class:`~sbs.runtime.updating.follower.FollowerContext`."""
        self.layout.learned = record.folders
        known = self.unsaved.wait_for(record.history.entries[-1])
        if not self.closing:
            await self._post(ev.GenerationHeld(record.history, record.active))
        return known

    @property
    def closing(self) -> bool:
        """See :class:`~sbs.runtime.updating.follower.FollowerContext`."""
        return self.unsaved.closing

    def updated(self, update: LastUpdate | None, problems: tuple[Problem, ...]) -> None:
        """An update was sent or applied; problems that are new go to the log."""
        if update is not None:
            self.last_update = update
        self._alarms.clear(Alarm.UPDATE_FAILED)
        log_new(self._problems, problems)
        self._problems = problems
        self._conflicts.review()

    def guarded(self, held: Held | None) -> None:
        """See :class:`~sbs.runtime.updating.leader_context.LeaderContext`."""
        self.held_update = held
        self._alarms.tell(Alarm.UPDATE_HELD, () if held is None else (held.text,))

    def found(self, findings: Findings) -> None:
        """See :class:`~sbs.runtime.updating.leader_context.LeaderContext`."""
        before = self._conflicts.problems
        self._conflicts.take(self._peer_name, findings)
        log_new(before, self._conflicts.problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be replicated, or not as it is, by either node or the scripts."""
        return self._problems + self._conflicts.problems + self.scripts.problems

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Versions that are kept in quarantine on either node (B4)."""
        return self._conflicts.listed

    def update_failed(self, text: str) -> None:
        """An update failed; nothing of it counts, and it is tried again."""
        self._alarms.raise_(Alarm.UPDATE_FAILED, text)
