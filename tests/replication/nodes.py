"""Two nodes without a network, either of which may lead, that may crash at any point."""

from __future__ import annotations

import os
from collections.abc import Callable

import attrs
import trio

from sbs.core.epoch import Epoch
from sbs.core.guard import Cause
from sbs.core.history import Generation, History
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Begin, Finding, Findings, Patch
from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.files.index import Index
from sbs.replication.following.apply import Applied
from sbs.replication.following.target import CommitRecord, Target
from sbs.replication.former.versions import Versions
from sbs.replication.leading.source import PeerTree, Source, Update
from sbs.runtime.updating.placements import LONGEST_RETRY_S, Placements
from tests.replication.rig import NOTHING, proceed

KEEP_S = 3600.0


class Node:
    """One folder with its state; ``history`` is what the node has gone through."""

    def __init__(self, base: str) -> None:
        self.folder = f"{base}/data"
        self._state = f"{base}/state"
        for path in (self.folder, self._state):
            os.makedirs(path)
        self.history = NOTHING
        self._open()

    def _open(self) -> None:
        self.index = Index(f"{self._state}/index")
        self.target = Target(self._state, self.index, Versions(KEEP_S))

    def crash(self) -> bool:
        """End without tidying up, and start again; whether a generation was left to apply."""
        self._leave()
        self._open()
        record = self.target.recover(proceed, self._know)
        return record is not None

    def _know(self, record: CommitRecord) -> None:
        self.history = record.history

    def _leave(self) -> None:
        if self.target._incoming is not None:
            self.target._incoming.staging.finish()
        self.target._places.close()
        self.target._journal.close()
        self.index.close()

    def close(self) -> None:
        self.target.close()
        self.index.close()


class CrashedError(Exception):
    """Raised by a check, in place of a crash."""


class CutError(Exception):
    """Raised by a check, in place of a connection that is lost."""


@attrs.frozen(kw_only=True)
class Done:
    """What became of an update: a generation of its own, unless nothing had to be sent."""

    number: int = 0
    applied: Applied | None = None
    crashed: bool = False
    cut: bool = False
    went_on: bool = False
    """With a file that an earlier cut had left."""


class Session:
    """The leader's and the follower's side of one connection."""

    def __init__(self, leader: Node, follower: Node, spec: FolderSpec, epoch: Epoch) -> None:
        self._leader, self._follower, self._epoch = leader, follower, epoch
        follower.target.open([spec], [follower.folder])
        self._peer = PeerTree(1, follower.history)
        for listing in follower.target.listing(proceed):
            self._peer.add(listing)
        self._source = Source([spec], leader.index, "off")
        self._placements = Placements(self._source, [spec])
        self._problems: dict[str, Finding] = {}
        self._now = 0.0

    def update(
        self, changes: Changes, *, accept: bool, stop: Callable[[str], Callable[[], object]]
    ) -> Done:
        """One update.

        Args:
            changes: where to look.
            accept: it may be held, and is sent all the same.
            stop: makes a check of the follower's for ``"stage"`` and ``"apply"``; it may raise
                :class:`CrashedError`, and then the follower crashes; while it stages also
                :class:`CutError`, and then the session ends.
        """
        self._now += LONGEST_RETRY_S
        update = self._prepare(changes | self._placements.retry(self._peer, self._now), accept)
        try:
            record = self._stage(update, stop("stage"))
            if record is None:
                return Done()
            applied = self._follower.target.apply(record, stop("apply"))
        except CrashedError:
            return self._crash()
        except CutError:
            self._follower.target.suspend()
            return Done(cut=True)
        self._follower.history = self._leader.history = record.history
        generation = record.history.entries[-1]
        self._placements.expect(generation, update, self._peer)
        self._peer.commit(update.operations)
        trio.run(self._placements.take, self._findings(update, applied))
        return Done(number=generation.number, applied=applied, went_on=self._went_on)

    def _findings(self, update: Update, applied: Applied) -> Findings:
        """What the follower tells: a problem stands until an operation on its path ends it."""
        for operation in update.operations:
            self._problems.pop(operation.path, None)
        for each in applied.problems:
            self._problems[each.entry] = Finding(folder="data", path=each.entry, text=each.text)
        return Findings(findings=tuple(self._problems.values()), total=len(self._problems))

    def _prepare(self, changes: Changes, accept: bool) -> Update:
        update = self._source.prepare(self._peer, changes, proceed)
        if update.held is not None:
            assert accept, update.held.text
            assert {each.cause for each in update.held.reasons} == {Cause.OTHER_FILTERS}
            update = self._source.prepare(self._peer, EVERYTHING, proceed, update.held.id)
        assert update.held is None
        return update

    def _stage(self, update: Update, check: Callable[[], object]) -> CommitRecord | None:
        """As the leader's and the follower's runtime do; ``None``: nothing had to be sent."""
        target, begun = self._follower.target, False
        offers = {each.digest for each in self._peer.fragments.values()}
        self._went_on = False
        for message in update.messages(proceed):
            if not begun:
                target.begin(Begin(self._epoch, self._leader.history.number + 1))
                begun = True
            target.take(message, check)
            self._went_on |= isinstance(message, Patch) and message.digest in offers
        if not begun:
            if update.rebased:
                self._source.settle(update)
            return None
        commit = update.seal(self._epoch, self._leader.history, ())
        return target.commit(commit, self._leader.history, check)

    def _crash(self) -> Done:
        """The leader hears no more of it; when they meet again the follower says how it ended."""
        if not self._follower.crash():
            return Done(crashed=True)
        self._leader.history = self._follower.history
        return Done(number=self._follower.history.number, crashed=True)

    def refused(self) -> None:
        """The follower did not take what the leader sent: the next update sends whole files."""
        self._follower.target.abandon()
        self._source.send_whole()


class Pair:
    """Which of the two leads, in which epoch."""

    def __init__(self, base: str) -> None:
        self.nodes = [Node(f"{base}/alpha"), Node(f"{base}/beta")]
        self.epoch = Epoch(1, 0)
        self.session: Session | None = None

    @property
    def leader(self) -> Node:
        return self.nodes[self.epoch.slot]

    @property
    def follower(self) -> Node:
        return self.nodes[1 - self.epoch.slot]

    def swap(self) -> None:
        """The follower leads from now on, in an epoch of its own."""
        self.epoch = Epoch(self.epoch.counter + 1, 1 - self.epoch.slot)
        before: History = self.leader.history
        self.leader.history = before.append(Generation(self.epoch, before.number))
        self.session = None

    def connect(self, spec: FolderSpec) -> Session:
        """The session that there is, or a new one."""
        if self.session is None:
            self.session = Session(self.leader, self.follower, spec, self.epoch)
        return self.session

    def update(
        self,
        spec: FolderSpec,
        changes: Changes,
        *,
        accept: bool,
        stop: Callable[[str], Callable[[], object]],
    ) -> Done:
        """One update; what the follower refuses comes again, whole."""
        session = self.connect(spec)
        try:
            done = session.update(changes, accept=accept, stop=stop)
        except ReplicationError:
            session.refused()
            done = session.update(EVERYTHING, accept=accept, stop=stop)
        if done.crashed or done.cut:
            self.session = None
        return done

    def close(self) -> None:
        for node in self.nodes:
            node.close()
