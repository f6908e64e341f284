"""Heartbeats and updates between simulated nodes; the content of a folder is one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbs.core import events as ev
from sbs.core.history import DIGEST_BYTES, Generation, History

if TYPE_CHECKING:
    from sbs.testing.simnode import SimNode

ACTIVE = ("app",)
"""The one service of a simulated node."""


class Updates:
    """What the runtime of a node does on its session, beside the role machine."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._session: int | None = None
        self._first = True
        self._sending = False
        self._finishing = False
        self.journaling: bool = False
        """A generation is being committed, whatever becomes of its connection."""

    def lead(self, number: int) -> None:
        """A session as leader begins: its first update follows at once (R20)."""
        self._session, self._first = number, True
        self._sending = self._finishing = False
        self.beat(number)
        self._update(number)

    def beat(self, number: int) -> None:
        """Send heartbeats for as long as the connection stands."""
        node = self._node
        peer = node.pair.peer(node)
        if node.send(number, lambda: peer.heard(number)):
            node.later(node.settings.heartbeat_interval_s, lambda: self.beat(number))

    def finish(self, number: int) -> None:
        """Run the last update of a handover."""
        self._finishing = True
        if number != self._session or not self._node.send(number, lambda: None):
            self._node.post(ev.FinalUpdateEnded(done=False))
        elif not self._sending:
            self._update(number)

    def ended(self, number: int) -> None:
        """The connection is gone; a last update on it can no longer succeed."""
        if number == self._session:
            self._session = None
            if self._finishing:
                self._node.post(ev.FinalUpdateEnded(done=False))

    def _update(self, number: int) -> None:
        """Send a generation, if there is something to send."""
        node = self._node
        if number != self._session or number != node.model.session or self._sending:
            return
        history = node.model.durable.history
        digest = node.disk.tree.to_bytes(DIGEST_BYTES, "big")
        if not self._first and history.entries[-1].digest == digest:
            self._done(number)
            return
        generation = Generation(node.model.primacy, history.number + 1, digest)
        node.post(ev.GenerationProposed(generation))
        self._sending = True
        peer, tree = node.pair.peer(node), node.disk.tree
        proposal = history.append(generation)
        node.send(number, lambda: peer.take(number, proposal, tree))

    def take(self, number: int, history: History, tree: int) -> None:
        """Journal a generation that arrived, then acknowledge it."""
        node = self._node

        def journaled() -> None:
            self.journaling = False
            node.disk.tree, node.disk.journal = tree, history
            node.post(ev.GenerationHeld(history, ACTIVE))
            peer = node.pair.peer(node)
            node.send(number, lambda: peer.taken(number, history.entries[-1]))

        if self.journaling:  # one at a time, whatever session it is of
            node.later(0.001, lambda: self.take(number, history, tree))
        elif number == node.model.session:
            self.journaling = True
            node.within(node.speeds.update_s, journaled)

    def taken(self, number: int, generation: Generation) -> None:
        """The follower holds it."""
        if number != self._session:
            return
        self._sending = self._first = False
        self._node.post(ev.GenerationAcknowledged(generation))
        if self._finishing:
            self._update(number)
        else:
            self._done(number)

    def _done(self, number: int) -> None:
        if self._finishing:
            self._node.post(ev.FinalUpdateEnded(done=True))
        else:
            self._node.later(self._node.speeds.period_s, lambda: self._update(number))
