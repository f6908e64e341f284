from __future__ import annotations

import attrs

from sbs.core.claim import Mode
from sbs.core.effects import Durable
from sbs.core.epoch import NO_EPOCH
from sbs.core.role import State
from sbs.testing.simpair import SimPair
from tests.simulation.runs import started_together

STARTS = 10_000


def test_two_nodes_started_in_one_instant_settle_with_one_primary() -> None:
    """B1: skew 0 to 50 ms, delayed and lost packets; within ``probe_timeout_s`` + 1 s."""
    primaries = set()
    for seed in range(STARTS):
        pair = started_together(seed)
        (primary,) = pair.serving
        primaries.add(primary.side)
        if Mode.PRIMARY_ONLY in (modes := [node.settings.mode for node in pair.nodes]):
            assert modes[primary.side] is Mode.PRIMARY_ONLY, f"seed {seed}"
    assert primaries == {0, 1}


def test_nodes_of_one_slot_agree_on_two() -> None:
    """B2: two nodes set up with the same slot never use one number."""
    for seed in range(100):
        pair = SimPair(seed)
        for node in pair.nodes:
            node.disk.durable = Durable(slot=0, epoch=NO_EPOCH)
            node.model = attrs.evolve(node.model, durable=node.disk.durable)
            pair.clock.at(pair.random.uniform(0.0, 0.05), node.start)
        pair.run(4.0)
        assert pair.settled, f"seed {seed}"
        assert {node.disk.durable.slot for node in pair.nodes} == {0, 1}
        for node in (*pair.serving, *pair.nodes):
            node.crash()
            node.start()
            pair.run(10.0)
            assert pair.settled, f"seed {seed}"


def test_the_same_seed_is_the_same_run() -> None:
    def told(seed: int) -> list[object]:
        pair = started_together(seed)
        pair.nodes[0].crash()
        pair.run(10.0)
        return [pair.clock.now, *(node.told for node in pair.nodes)]

    assert told(4) == told(4)
    assert told(4) != told(5)


def test_a_lone_node_is_primary() -> None:
    """R1, R3: the first to run is primary."""
    pair = SimPair(1)
    pair.nodes[1].start()
    pair.run(1.0)
    assert pair.settled
    assert pair.nodes[1].model.state is State.PRIMARY
    pair.nodes[0].start()
    pair.run(1.0)
    assert pair.settled
    assert pair.nodes[0].model.state is State.SECONDARY
