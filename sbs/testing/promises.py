"""What a simulated pair must keep: checked whenever services begin, and when it has settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbs.core.alarm import Alarm
from sbs.core.claim import Mode, Policy
from sbs.core.effects import Via
from sbs.core.epoch import Epoch
from sbs.core.role import Model, State

if TYPE_CHECKING:
    from sbs.testing.simnode import SimNode
    from sbs.testing.simpair import SimPair


class Promises:
    """Watches a :class:`~sbs.testing.simpair.SimPair`; a broken promise ends the run."""

    def __init__(self, pair: SimPair) -> None:
        self._pair = pair
        self._used: dict[int, SimNode] = {}
        self._excused: set[Epoch] = set()
        self._released: dict[int, int] = {}
        self._forced = [False, False]
        self._silent = [False, False]

    def released(self, node: SimNode) -> None:
        """A node tells its follower that the role is free."""
        self._released[node.side] = node.disk.tree

    def claiming(self, node: SimNode, before: Model) -> None:
        """A node decides to lead."""
        via = node.model.via
        if via is not Via.RENEWED:
            self._forced[node.side] = via is Via.FORCED
            self._silent[node.side] = node.model.durable.on_silence
        if via is not None and via.unasked and before.durable.pause.on:
            self._pair.fail(f"B6: {node.settings.name} takes over although takeovers are paused")

    def serving(self, node: SimNode, epoch: Epoch) -> None:
        """A node's services begin to run."""
        self._check_epoch(node, epoch)
        self._check_alone(node, epoch)
        if node.model.via is Via.RELEASED:
            self._check_handover(node, epoch)
        self._used[epoch.number] = node

    def _check_epoch(self, node: SimNode, epoch: Epoch) -> None:
        """B2: no number is used twice, and a node's own only grow."""
        name = node.settings.name
        if epoch.number in self._used:
            self._pair.fail(f"SBS_EPOCH {epoch.number} was used twice")
        if any(used > epoch.number for used, user in self._used.items() if user is node):
            self._pair.fail(f"the services of {name} saw a newer epoch than {epoch} before")
        if node.disk.durable.epoch < epoch or not node.disk.durable.held:
            self._pair.fail(f"{name} serves in {epoch}, which is not durable")

    def _check_alone(self, node: SimNode, epoch: Epoch) -> None:
        """B1, B3: services run on both nodes only where one of them had heard nothing of the other.

        And under ``protect`` and ``quorum`` never, unless an operator has forced it.
        """
        peer = self._pair.peer(node)
        if peer.serving is None or any(self._forced):
            return
        if node.settings.policy is not Policy.AVAILABILITY:
            self._pair.fail(f"{node.settings.name} serves in {epoch} beside {peer.serving}")
        if not any(self._silent) and peer.serving not in self._excused:
            self._pair.fail(
                f"{node.settings.name} serves in {epoch} beside {peer.settings.name} "
                f"in {peer.serving}, and neither was silent"
            )
        self._excused |= {epoch, peer.serving}

    def _check_handover(self, node: SimNode, epoch: Epoch) -> None:
        """R8: what was written before the stop is there, and the epoch is the newest of all."""
        tree = self._released[1 - node.side]
        if node.disk.tree != tree:
            self._pair.fail(f"the handover lost writes: {node.disk.tree} instead of {tree}")
        if any(used > epoch.number for used in self._used):
            self._pair.fail(f"took the role over in {epoch}, which is not the newest")

    @property
    def hold(self) -> bool:
        """Whether :meth:`settled` would be content."""
        try:
            self.settled()
        except AssertionError:
            return False
        return True

    def settled(self) -> None:
        """Peace has lasted: the pair stands as its modes say, with one state of the folders."""
        pair = self._pair
        modes = [node.settings.mode for node in pair.nodes]
        clash = modes[0] is modes[1] and modes[0] is not Mode.SYMMETRIC
        if clash:
            self._check_clash(modes[0])
            return
        if not pair.settled and self._waits_for_a_person():
            return
        if not pair.settled:
            pair.fail("not settled")
        (primary,) = pair.serving
        if primary.serving is None or primary.serving.number != max(self._used):
            pair.fail(f"settled in {primary.serving}, but {max(self._used)} was used before")
        for node in pair.nodes:
            owed = node.settings.mode is Mode.PRIMARY_ONLY and primary.settings.failback
            held_back = Alarm.FLAPPING in primary.alarms or primary.disk.durable.pause.on
            owed = owed and not held_back
            if owed and primary is not node:
                pair.fail(f"R4: {node.settings.name} is not primary")
        trees = [node.disk.tree for node in pair.nodes]
        if trees[0] != trees[1]:
            pair.fail(f"settled, but the folders differ: {trees}")

    def _waits_for_a_person(self) -> bool:
        """Under ``protect``, or paused, both may wait; then an alarm says what to do."""
        pair = self._pair
        stuck = [
            node for node in pair.nodes if node.model.state in (State.WAITING, State.CANDIDATE)
        ]
        paused = any(node.disk.durable.pause.on for node in pair.nodes)
        protect = pair.nodes[0].settings.policy is Policy.PROTECT
        return (protect or paused) and all(node.alarms for node in stuck) and bool(stuck)

    def _check_clash(self, mode: Mode) -> None:
        """R6: the same "only" mode on both: one runs, the other refused."""
        running = [node for node in self._pair.nodes if node.running]
        if len(running) != 1 or not self._pair.peer(running[0]).refusal:
            self._pair.fail("R6: not just one of two nodes with one mode was refused")
        expected = State.PRIMARY if mode is Mode.PRIMARY_ONLY else State.WAITING
        settings = running[0].settings
        alone = settings.policy is Policy.AVAILABILITY and settings.start_alone
        forced = running[0].disk.durable.held or running[0].disk.durable.pause.on
        if alone and not forced and running[0].model.state is not expected:
            self._pair.fail(f"R6: the one that runs is not {expected.name}")
