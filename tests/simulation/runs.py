"""Runs of the simulator that one seed determines, and what is collected over many of them."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import attrs

from sbs.core.claim import Mode
from sbs.core.events import Event
from sbs.core.role import Settings, State
from sbs.testing.schedules import Trouble, run_trouble
from sbs.testing.simclock import Faults
from sbs.testing.simnode import InvariantError, Speeds
from sbs.testing.simpair import SimPair

MODES = tuple((first, second) for first in Mode for second in Mode)
GOOD_MODES = (
    (Mode.SYMMETRIC, Mode.SYMMETRIC),
    (Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY),
    (Mode.BACKUP_ONLY, Mode.PRIMARY_ONLY),
)
NETWORKS = (
    Faults(),
    Faults(delay_s=(0.0, 0.05), loss=0.02),
    Faults(delay_s=(0.001, 0.3), loss=0.05),
)
MACHINES = (
    Speeds(),
    Speeds(save_s=(0.1, 1.0), service_s=(0.1, 3.0), update_s=(0.1, 1.0)),
    Speeds(save_s=(0.01, 1.0), service_s=(0.0, 0.01), update_s=(0.0, 0.01)),
)

Move = tuple[State, State]


@attrs.define
class Seen:
    """What happened over many runs."""

    runs: int = 0
    steps: set[tuple[State, type[Event], State]] = attrs.field(factory=set)
    broken: list[str] = attrs.field(factory=list)

    @property
    def moves(self) -> set[Move]:
        """The changes of state among the steps."""
        return {(before, after) for before, _, after in self.steps if before is not after}


def troubled_pair(seed: int) -> tuple[SimPair, Trouble]:
    """The pair, its network, its machines and its trouble that belong to a seed."""
    random = Random(f"trouble {seed}")

    def tune(settings: Settings) -> Settings:
        return attrs.evolve(
            settings,
            priority=random.choice((100, 100, 150)),
            failback=random.random() < 0.9,
            failback_delay_s=random.choice((0.0, 3.0, 10.0)),
            services_die=random.random() < 0.8,
        )

    pair = SimPair(
        seed,
        modes=MODES[seed % len(MODES)],
        faults=random.choice(NETWORKS),
        speeds=random.choice(MACHINES),
        tune=tune,
    )
    pause_s = random.choice(((0.0, 2.5), (0.0, 0.5), (0.0, 0.1)))
    return pair, Trouble(pause_s=pause_s, partitions=random.random() < 0.7, settle_s=45.0)


def run_seed(seed: int) -> SimPair:
    """Trouble the pair of a seed.

    Raises:
        InvariantError: a promise was broken; the text names the seed.
    """
    pair, trouble = troubled_pair(seed)
    run_trouble(pair, trouble)
    return pair


def run_seeds(seeds: Iterable[int]) -> Seen:
    """Trouble many pairs; a broken promise does not end the others."""
    seen = Seen()
    for seed in seeds:
        pair, trouble = troubled_pair(seed)
        try:
            run_trouble(pair, trouble)
        except InvariantError as error:
            seen.broken.append(str(error))
        seen.runs += 1
        seen.steps |= pair.seen
    return seen


def started_together(seed: int) -> SimPair:
    """Must show 4: both nodes started within 50 ms, on a network that delays and loses packets.

    Returns:
        the pair when it has settled.

    Raises:
        InvariantError: it did not settle in time, or a promise was broken before.
    """
    random = Random(f"start {seed}")
    pair = SimPair(
        seed,
        modes=random.choice(GOOD_MODES),
        faults=Faults(
            delay_s=(0.0, random.choice((0.001, 0.02, 0.1))), loss=random.choice((0, 0.01, 0.1))
        ),
    )
    for node in random.sample(pair.nodes, 2):
        pair.clock.at(random.uniform(0.0, 0.05), node.start)
    bound_s = 0.05 + pair.nodes[0].settings.probe_timeout_s + 1.0
    while not pair.settled and pair.clock.now < bound_s:
        pair.run(0.01)
    if not pair.settled:
        pair.fail(f"not settled {bound_s} s after the first start")
    return pair
