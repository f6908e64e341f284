"""A secondary on a disk that breaks: its session as a node runs it, and a primary that insists.

The disk is repaired after so many failures were told of. Whatever failed, the update has to be
taken in the end: by the same process, or by its next start where it had to give up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import attrs
import trio

from sbs.core.history import Generation
from sbs.core.messages import Commit, Committed, Failed, Folders, Listing, Message
from sbs.errors import ReplicationError, StateError
from sbs.replication.files.problems import Problem
from sbs.replication.following.target import CommitRecord
from sbs.runtime.linking.link import Link
from sbs.runtime.updating import follower
from sbs.runtime.updating.follower import Follower
from sbs.runtime.updating.follower_session import FollowerSession
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.tracker import Tracker
from tests.disk.standby import Prepared, Standby

MAX_TRIES: Final = 12
"""Of starts, and of sessions: a disk is repaired after fewer failures."""


@attrs.define
class Troubles:
    """What the administrator is told, and when the disk is repaired.

    Args:
        repair: mends it.
        after: so many failures.
    """

    repair: Callable[[], object]
    after: int
    texts: list[str] = attrs.field(factory=list[str])
    starts: int = 0
    """Of the node."""

    def tell(self, text: str) -> None:
        self.texts.append(text)
        if len(self.texts) == self.after:
            self.repair()


class Node:
    """What a follower asks of its node, a ``FollowerContext``."""

    def __init__(self, standby: Standby, troubles: Troubles) -> None:
        self._standby = standby
        self._troubles = troubles
        self.closing = False
        self.tracker = Tracker()
        self.done = trio.Event()

    async def held(self, record: CommitRecord) -> trio.Event:
        """As :mod:`sbs.runtime.saves` does: tried again until it is durable."""
        known = trio.Event()
        while not known.is_set():
            try:
                await trio.to_thread.run_sync(self._standby.save, record)
                known.set()
            except StateError as error:
                self._troubles.tell(str(error))
        return known

    def updated(self, update: LastUpdate | None, problems: tuple[Problem, ...]) -> None:
        # On a full disk it may not be known whether names fold; everything else is as it should be.
        assert all("folds names" in problem.text for problem in problems), problems
        self.done.set()

    def update_failed(self, text: str) -> None:
        self._troubles.tell(text)

    def applied(self, generation: Generation) -> None:
        pass


class Wire:
    """The follower's end of a link, without bytes."""

    def __init__(self) -> None:
        self._send, self.answers = trio.open_memory_channel[Message](1000)

    def post(self, message: Message) -> None:
        self._send.send_nowait(message)

    async def send(self, message: Message) -> None:
        await self._send.send(message)


class Primary:
    """Sends an update until it is taken."""

    def __init__(self, update: Prepared, wire: Wire) -> None:
        self._update = update
        self._wire = wire

    async def insist(self, session: FollowerSession) -> None:
        """One session."""
        epoch = self._update.commit.generation.epoch
        await session.take(Folders(epoch, self._update.folders))
        while not await self._answered(Listing):
            await session.take(Folders(epoch, self._update.folders))
        await self._send(session)
        while not await self._answered(Committed):
            await self._send(session)

    async def _send(self, session: FollowerSession) -> None:
        commit: Commit = self._update.commit
        for message in (self._update.begin, *self._update.contents, commit):
            await session.take(message)

    async def _answered(self, word: type[Message]) -> bool:
        """Whether the answer is this word, instead of a failure."""
        while True:
            answer = await self._wire.answers.receive()
            if isinstance(answer, Failed):
                return False
            if isinstance(answer, word) and getattr(answer, "last", True):
                return True


def endure(base: str, update: Prepared, troubles: Troubles) -> None:
    """Start a node until it holds the update, and has ended in order."""
    setattr(follower, "RETRY_S", 0.0)  # noqa: B010 - final for all but this process
    for _ in range(MAX_TRIES):
        troubles.starts += 1
        try:
            with Standby(base, update.folders) as standby:
                standby.recover()
                if standby.history.number < update.commit.generation.number:
                    trio.run(_follow, standby, update, troubles)
        except (ReplicationError, StateError) as error:
            troubles.tell(str(error))
        else:
            return
    raise AssertionError(f"not taken: {troubles.texts}")


async def _follow(standby: Standby, update: Prepared, troubles: Troubles) -> None:
    node = Node(standby, troubles)
    taker = Follower(standby.target, standby.own, (), standby.state_dir, node)
    epoch = update.commit.generation.epoch
    for _ in range(MAX_TRIES):
        wire = Wire()
        try:
            async with trio.open_nursery() as nursery:
                session = FollowerSession(taker, cast("Link", wire), epoch, update.history)
                nursery.start_soon(session.run)
                await Primary(update, wire).insist(session)
                await node.done.wait()
                nursery.cancel_scope.cancel()
        except* (ReplicationError, StateError) as group:  # a node closes the connection then
            troubles.tell(f"the connection ended: {group.exceptions}")
        if node.done.is_set():
            return
