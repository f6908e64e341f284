"""Random faults for a simulated pair: a time of trouble, then peace in which it must settle."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sbs.core import events as ev
from sbs.testing.simclock import Faults
from sbs.testing.simpair import SimPair

LATE_S = 16
"""For so long what began in the time of trouble may still end, or be healed."""


STABLE_S = 3.0
"""A pair that has settled must still be so after this."""


@attrs.frozen(kw_only=True)
class Trouble:
    """Which faults happen, and for how long.

    Args:
        duration_s: of the time of trouble.
        pause_s: shortest and longest time between two faults.
        settle_s: peace after it, at the end of which the pair must have settled.
        partitions: cut the network, in one direction or both.
        witness: take the witness away, from both nodes or from one.
        operator: pause, resume, and take over by force.
        strangers: a node does not know the other's certificate for a while.
    """

    duration_s: float = 20.0
    pause_s: tuple[float, float] = (0.0, 2.5)
    settle_s: float = 30.0
    partitions: bool = True
    witness: bool = False
    operator: bool = False
    strangers: bool = False


def run_trouble(pair: SimPair, trouble: Trouble) -> None:
    """Start both nodes, trouble them, then heal everything and demand that they settle.

    Raises:
        InvariantError: a promise was broken, or they did not settle.
    """
    random, clock = pair.random, pair.clock
    for node in pair.nodes:
        clock.after(random.uniform(0.0, 3.0), node.start)
    ends_at = clock.now + trouble.duration_s
    tickets = iter(range(1, 10_000))

    def crash() -> None:
        random.choice(pair.nodes).crash()

    def start() -> None:
        random.choice(pair.nodes).start()

    def freeze() -> None:
        node = random.choice(pair.nodes)
        node.freeze()
        clock.after(random.uniform(0.0, 4.0), node.thaw)

    def cut() -> None:
        for side in random.choice(((0,), (1,), (0, 1))):
            pair.network.cut(side)
        clock.after(random.uniform(0.0, 5.0), pair.network.heal)

    def stop() -> None:
        random.choice(pair.nodes).post(ev.StopAsked())

    def switchover() -> None:
        random.choice(pair.nodes).post(ev.SwitchoverAsked(next(tickets)))

    def write() -> None:
        for node in pair.nodes:
            node.write()

    def crash_in_a_step() -> None:
        random.choice(pair.nodes).fuse = random.randrange(6)

    def witness_away() -> None:
        pair.witness.up = False
        clock.after(random.uniform(0.0, 8.0), lambda: _witness_back(pair))

    def witness_cut() -> None:
        pair.witness.reached[random.randrange(2)] = False
        clock.after(random.uniform(0.0, 8.0), lambda: _witness_back(pair))

    def pause() -> None:
        random.choice(pair.nodes).post(ev.PauseAsked(next(tickets), on=random.random() < 0.4))

    def force() -> None:
        random.choice(pair.nodes).post(ev.TakeoverAsked(next(tickets), force=True))

    def forget() -> None:
        pair.known[random.randrange(2)] = False
        clock.after(random.uniform(0.0, 8.0), lambda: _acquaint(pair))

    faults: list[Callable[[], None]] = [crash, start, start, freeze, stop, switchover, write, write]
    faults += [crash_in_a_step] * trouble.operator
    faults += [cut] * trouble.partitions
    faults += [witness_away, witness_cut] * trouble.witness
    faults += [pause, force] * trouble.operator
    faults += [forget] * trouble.strangers
    while clock.now < ends_at:
        pair.run(random.uniform(*trouble.pause_s))
        random.choice(faults)()
    _peace(pair, trouble)


def _peace(pair: SimPair, trouble: Trouble) -> None:
    pair.network.heal()
    pair.network.faults = Faults()  # loss can look like silence at any time
    for second in range(LATE_S):  # what was cut before may be healed late
        pair.clock.after(second, lambda: _witness_back(pair))
    _acquaint(pair)
    for node in pair.nodes:
        node.fuse = None
        node.thaw()
        node.start()
        for second in range(1, LATE_S):
            pair.clock.after(second, node.start)  # one that was just ending
    ends_at = pair.clock.now + trouble.settle_s
    pair.run(LATE_S)
    while pair.clock.now < ends_at and not pair.promises.hold:
        pair.run(1.0)
    pair.run(STABLE_S)
    pair.promises.settled()


def _acquaint(pair: SimPair) -> None:
    pair.known = [True, True]


def _witness_back(pair: SimPair) -> None:
    pair.witness.up = True
    pair.witness.reached = [True, True]
