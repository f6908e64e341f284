"""Runs of the simulator that one seed determines, and what is collected over many of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from random import Random

import attrs

from sbs.core.claim import Mode, Policy
from sbs.core.events import Event
from sbs.core.role import TABLE, Settings, State
from sbs.testing.schedules import Trouble, run_trouble
from sbs.testing.simclock import Faults
from sbs.testing.simnode import InvariantError, Speeds
from sbs.testing.simpair import SimPair

MODES = tuple((first, second) for first in Mode for second in Mode)
POLICIES = (Policy.AVAILABILITY, Policy.QUORUM, Policy.PROTECT, Policy.QUORUM)
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

SEEDS_PER_JOB = 250
"""Few enough for two processes to end together."""

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


def declared_moves() -> set[Move]:
    """The changes of state that the machine's table allows."""
    return {
        (before, after)
        for before, rules in TABLE.items()
        for rule in rules.values()
        for after in rule.leads_to
        if after is not before
    }


def troubled_pair(seed: int) -> tuple[SimPair, Trouble]:
    """The pair, its network, its machines and its trouble that belong to a seed."""
    random = Random(f"trouble {seed}")
    policy = POLICIES[seed // len(MODES) % len(POLICIES)]
    lease_s, stop_bound_s = random.choice((1.0, 3.0)), random.choice((0.2, 1.0))
    fence, alone = random.random() < 0.1, random.random() < 0.1

    def tune(settings: Settings) -> Settings:
        return attrs.evolve(
            settings,
            policy=policy,
            lease_s=lease_s,
            stop_bound_s=stop_bound_s,
            fence=fence,
            start_alone=not alone,
            priority=random.choice((100, 100, 150)),
            failback=random.random() < 0.9,
            failback_delay_s=random.choice((0.0, 3.0, 10.0)),
            services_die=random.random() < 0.8,
        )

    quorum = policy is Policy.QUORUM
    speeds = random.choice(MACHINES)
    if quorum:  # services that outlive the bound break its promise
        speeds = attrs.evolve(speeds, service_s=(0.001, stop_bound_s))
    pair = SimPair(
        seed,
        modes=MODES[seed % len(MODES)],
        faults=random.choice(NETWORKS),
        speeds=speeds,
        tune=tune,
        watching_witness=random.random() < 0.5,
    )
    for node in pair.nodes:
        node.rate = 1 + random.uniform(-1, 1) * node.settings.max_clock_drift
    pause_s = random.choice(((0.0, 2.5), (0.0, 0.5), (0.0, 0.1), (0.0, 6.0)))
    trouble = Trouble(
        pause_s=pause_s,
        partitions=random.random() < 0.7,
        settle_s=60.0,
        witness=quorum,
        operator=random.random() < 0.4,
    )
    return pair, trouble


def strange_pair(seed: int) -> tuple[SimPair, Trouble]:
    """The same pair, whose nodes do not always know each other (B62)."""
    pair, trouble = troubled_pair(seed)
    return pair, attrs.evolve(trouble, strangers=True)


def early_pair(seed: int) -> tuple[SimPair, Trouble]:
    """What belonged to a seed before there were policies: for the bugs that were found so."""
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


def run_all(seeds: range, jobs: int) -> Seen:
    """Trouble many pairs in several processes; a broken promise does not end the others."""
    parts = [seeds[start : start + SEEDS_PER_JOB] for start in range(0, len(seeds), SEEDS_PER_JOB)]
    seen = Seen()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        for part in pool.map(run_seeds, parts):
            seen.runs += part.runs
            seen.steps |= part.steps
            seen.broken += part.broken
    return seen


def run_seeds(seeds: Iterable[int]) -> Seen:
    """The same in this process."""
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
