"""What stands around a simulated node: witness, fencer with its testament, fence hook."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.testament import SECRET_BYTES, Will

if TYPE_CHECKING:
    from sbs.testing.simclock import Clock
    from sbs.testing.simnode import SimNode

LINGER_S = 1.0
"""How long a testament is told (``docs/architecture.md``)."""

ANSWER_S = (0.0005, 0.01)
"""Way of a question to the witness, or of its answer, on a good day."""

SLOW_S = (0.0, 3.0)
"""On a bad one."""


class SimWitness:
    """A witness in virtual time; its clock is the true one.

    Args:
        clock: of the simulation.
        watches: it sees records change, and no clock, as the folder adapter does.
    """

    def __init__(self, clock: Clock, *, watches: bool = False) -> None:
        self.up: bool = True
        self.reached: list[bool] = [True, True]
        self._clock = clock
        self._watches = watches
        self._holder = ""
        self._until = 0.0
        self._ttl_s = 0.0
        self._counter = 0
        self._seen: list[tuple[int, float]] = [(-1, 0.0), (-1, 0.0)]

    @property
    def holder(self) -> str:
        """Who has the vote, or had it last."""
        return self._holder

    def answers(self, side: int) -> bool:
        """Whether a node can talk to it now."""
        return self.up and self.reached[side]

    def acquire(self, side: int, holder: str, ttl_s: float, replaces: str) -> bool:
        """As :meth:`sbs.ports.Witness.acquire`."""
        now = self._clock.now
        if self._holder not in {"", holder, replaces} and not self._ran_out(side, ttl_s, now):
            return False
        self._holder, self._until, self._ttl_s = holder, now + ttl_s, ttl_s
        self._counter += 1
        return True

    def _ran_out(self, side: int, ttl_s: float, now: float) -> bool:
        if not self._watches:
            return now >= self._until
        counter, since = self._seen[side]
        if counter != self._counter:
            self._seen[side] = (self._counter, now)
            return False
        return now >= since + max(ttl_s, self._ttl_s)

    def release(self, holder: str) -> None:
        """As :meth:`sbs.ports.Witness.release`."""
        if self._holder == holder:
            self._holder = ""
            self._counter += 1


@attrs.define
class Surroundings:
    """Beside one life of a node's SBS; the fencer outlives it for a moment.

    Args:
        node: whose.
        life: number of the life.
    """

    node: SimNode
    life: int
    guard: float = math.inf
    secret: bytes = b""
    dead_at: float = math.inf

    def holder(self, term: int) -> str:
        """The node's name at the witness."""
        return f"{self.node.side}.{self.life}.{term}"

    def tells(self, now: float) -> bytes:
        """The testament, if it is told now."""
        return self.secret if self.dead_at <= now < self.dead_at + LINGER_S else b""

    def perform(
        self, effect: ef.Guard | ef.AskWitness | ef.LeaveWitness | ef.Fence | ef.SendWelcome
    ) -> None:
        """Begin an effect."""
        match effect:
            case ef.Guard(until):
                self._watch(until)
            case ef.AskWitness():
                self._ask(effect)
            case ef.LeaveWitness(term):
                self._leave(term)
            case ef.Fence():
                self.node.within((0.01, 1.0), self._fence)
            case ef.SendWelcome(number):
                self._bequeath(number)

    def _watch(self, until: float) -> None:
        self.guard = until
        if until < math.inf:
            self.node.pair.clock.at(self.node.true_time(until), lambda: self._expire(until))

    def _expire(self, until: float) -> None:
        """The fencer acts, also for an SBS that is frozen."""
        node = self.node
        bound_s = node.settings.stop_bound_s
        if self.guard == until and node.serving is not None and node.life == self.life:
            end_s = node.random.uniform(0.0, bound_s)
            node.pair.clock.after(end_s, lambda: self._end(until))

    def _end(self, until: float) -> None:
        if self.guard == until and self.node.life == self.life:
            self.node.serving = None

    def _ask(self, question: ef.AskWitness) -> None:
        node, witness = self.node, self.node.pair.witness
        open_question = [True]

        def arrive() -> None:
            if witness.answers(node.side):
                holder = self.holder(question.term)
                granted = witness.acquire(node.side, holder, question.ttl_s, question.replaces)
                answer = ev.WitnessAnswered(
                    serial=question.serial, granted=granted, holder=witness.holder
                )
                self._travel(lambda: tell(answer))

        def tell(answer: ev.WitnessAnswered) -> None:
            heard = bool(answer.error) or witness.answers(node.side)
            if heard and open_question[0] and node.life == self.life:
                open_question[0] = False
                node.awake(lambda: post(answer))

        def post(answer: ev.WitnessAnswered) -> None:
            if node.life == self.life:
                node.post(answer)

        late = ev.WitnessAnswered(serial=question.serial, granted=False, error="no answer")
        node.later(question.within_s, lambda: tell(late))
        self._travel(arrive)

    def _travel(self, arrive: Callable[[], None]) -> None:
        random = self.node.random
        way_s = random.uniform(*(ANSWER_S if random.random() < 0.9 else SLOW_S))
        self.node.pair.clock.after(way_s, arrive)

    def _leave(self, term: int) -> None:
        node, witness = self.node, self.node.pair.witness

        def arrive() -> None:
            if witness.answers(node.side):
                witness.release(self.holder(term))

        self._travel(arrive)

    def _fence(self) -> None:
        alive = self.node.pair.peer(self.node).running
        self.node.post(ev.FenceEnded("it is on" if alive else ""))

    def _bequeath(self, number: int) -> None:
        node = self.node
        name = f"{node.pair.seed} {node.side} {self.life} {number}"
        self.secret = hashlib.sha256(name.encode()).digest()[:SECRET_BYTES]
        will = Will(hashlib.sha256(self.secret).digest(), self.holder(node.model.votes.term))
        node.say(number, ev.WillTold(number, will))
