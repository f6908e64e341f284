"""Virtual time and a faulty network for simulations: seeded, single-threaded, no event loop."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import attrs

Action: TypeAlias = Callable[[], None]


class Clock:
    """Runs actions in the order of their virtual times; equal times in the order of asking."""

    def __init__(self) -> None:
        self.now: float = 0.0
        self._order = itertools.count()
        self._queue: list[tuple[float, int, Action]] = []

    def at(self, time: float, action: Action) -> None:
        """Run ``action`` at ``time``, or now if that has passed."""
        heapq.heappush(self._queue, (max(time, self.now), next(self._order), action))

    def after(self, delay_s: float, action: Action) -> None:
        """Run ``action`` in ``delay_s`` seconds, 0 or more."""
        self.at(self.now + delay_s, action)

    def run_until(self, time: float) -> None:
        """Run everything that is due up to ``time``, and arrive there."""
        while self._queue and self._queue[0][0] <= time:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = time


@attrs.frozen(kw_only=True)
class Faults:
    """How bad a network is.

    Args:
        delay_s: shortest and longest way of a packet.
        loss: share of packets lost, 0 to below 1; a lost packet is sent again.
        retransmit_s: after how long, on an open connection (Linux: 0.2 s at least).
        retransmit_dial_s: after how long a lost connection request is sent again (Linux: 1 s).
    """

    delay_s: tuple[float, float] = (0.0001, 0.001)
    loss: float = 0.0
    retransmit_s: float = 0.2
    retransmit_dial_s: float = 1.0


class Network:
    """Carries packets between two sides, numbered 0 and 1; either direction may be cut.

    What is sent while a direction is cut arrives when it is healed, as TCP would repeat it,
    unless its connection was given up meanwhile.
    """

    def __init__(self, clock: Clock, random: Random, faults: Faults) -> None:
        self._clock = clock
        self._random = random
        self.faults = faults
        self._cut = [False, False]
        self._stalled: tuple[list[Action], list[Action]] = ([], [])

    def cut(self, sender: int) -> None:
        """Nothing that ``sender`` sends arrives any more."""
        self._cut[sender] = True

    def heal(self, *senders: int) -> None:
        """Everything arrives again, also what was sent meanwhile.

        Args:
            senders: only what these send; both if none is named.
        """
        for sender in senders or (0, 1):
            self._cut[sender] = False
            for action in self._stalled[sender]:
                self._clock.after(self._random.uniform(*self.faults.delay_s), action)
            self._stalled[sender].clear()

    def send(self, sender: int, arrive: Action, *, dial: bool = False) -> None:
        """Carry one packet from ``sender``; ``arrive`` runs when it gets there."""
        if self._cut[sender]:
            self._stalled[sender].append(arrive)
            return
        delay_s = self._random.uniform(*self.faults.delay_s)
        again_s = self.faults.retransmit_dial_s if dial else self.faults.retransmit_s
        while self._random.random() < self.faults.loss:
            delay_s += again_s
            again_s *= 2
        self._clock.after(delay_s, arrive)


class Connection:
    """A simulated TCP connection: packets of one side arrive in order, or not at all."""

    def __init__(self, number: int, network: Network, clock: Clock) -> None:
        self.number = number
        self.open: list[bool] = [True, True]
        self._network = network
        self._clock = clock
        self._sent: tuple[list[Action], list[Action]] = ([], [])
        self._arrived: tuple[set[int], set[int]] = (set(), set())
        self._next = [0, 0]

    def send(self, sender: int, arrive: Action) -> None:
        """Send a packet; ``arrive`` runs after all that were sent before on this side."""
        if not self.open[sender]:
            return
        position = len(self._sent[sender])
        self._sent[sender].append(arrive)
        self._network.send(sender, lambda: self._arrive(sender, position))

    def _arrive(self, sender: int, position: int) -> None:
        self._arrived[sender].add(position)
        while self._next[sender] in self._arrived[sender]:
            arrive = self._sent[sender][self._next[sender]]
            self._next[sender] += 1
            if self.open[1 - sender]:
                arrive()

    def close(self, side: int, lost: Action) -> None:
        """Close one side; ``lost`` runs at the other when it learns of it, if it is still open."""
        self.send(side, lost)
        self.open[side] = False
