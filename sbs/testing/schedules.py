"""Random faults for a simulated pair: a time of trouble, then peace in which it must settle."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from sbs.core import events as ev
from sbs.testing.simclock import Faults
from sbs.testing.simpair import SimPair


@attrs.frozen(kw_only=True)
class Trouble:
    """Which faults happen, and for how long.

    Args:
        duration_s: of the time of trouble.
        pause_s: shortest and longest time between two faults.
        settle_s: peace after it, at the end of which the pair must have settled.
        partitions: cut the network, in one direction or both.
    """

    duration_s: float = 20.0
    pause_s: tuple[float, float] = (0.0, 2.5)
    settle_s: float = 30.0
    partitions: bool = True


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

    faults: list[Callable[[], None]] = [crash, start, start, freeze, stop, switchover, write, write]
    if trouble.partitions:
        faults.append(cut)
    while clock.now < ends_at:
        pair.run(random.uniform(*trouble.pause_s))
        random.choice(faults)()
    _peace(pair, trouble)


def _peace(pair: SimPair, trouble: Trouble) -> None:
    pair.network.heal()
    pair.network.faults = Faults()  # loss can look like silence at any time
    for node in pair.nodes:
        node.thaw()
        node.start()
        for second in range(1, 16):
            pair.clock.after(second, node.start)  # one that was just ending
    pair.run(trouble.settle_s)
    pair.promises.settled()
