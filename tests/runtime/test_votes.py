"""Policy quorum on nodes of one program, with a witness in memory (B3)."""

from __future__ import annotations

from pathlib import Path

import attrs

from sbs.config import FailoverSettings, WitnessSettings
from sbs.core.claim import Role
from sbs.testing.nodes import FAILOVER, MemoryPair, memory_pair, wait_until
from sbs.testing.services import FakeController
from sbs.testing.witnesses import MemoryWitness

WITNESS = WitnessSettings(adapter="folder", path="/nowhere", lease_s=0.5, pair="p")
VOTING: FailoverSettings = attrs.evolve(FAILOVER, stop_bound_s=0.1)


async def start(pair: MemoryPair) -> None:
    for node in (pair.alpha, pair.beta):
        node.config = attrs.evolve(node.config, witness=WITNESS, failover=VOTING)
        await node.start()
    await pair.wait_in_step(pair.alpha)


def runs(pair: MemoryPair) -> list[str]:
    """The nodes of which a service runs."""
    found = []
    for node in (pair.alpha, pair.beta):
        controller = node.controller
        assert isinstance(controller, FakeController)
        if any(state.running for state in controller.present.values()):
            found.append(node.name)
    return found


async def test_a_cut_off_primary_stops_and_the_other_takes_over(tmp_path: Path) -> None:
    """B3: never two; the old one follows when it can be heard again."""
    witness = MemoryWitness()
    async with memory_pair(tmp_path, witness=witness.open) as pair:
        await start(pair)
        await wait_until(lambda: runs(pair) == ["alpha"], "alpha serves")
        assert witness.holder("p").startswith(pair.alpha.node.model.settings.node_id)
        pair.cut()
        await pair.beta.wait_alarm("no-vote")
        assert pair.alpha.role is Role.PRIMARY, "the witness's vote is enough"
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: runs(pair) == ["beta"], "beta serves")
        pair.heal()
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)


async def test_without_the_witness_the_pair_goes_on_and_a_lone_primary_stops(
    tmp_path: Path,
) -> None:
    """B3: losing two of three stops the services; a vote that comes back starts them."""
    witness = MemoryWitness()
    async with memory_pair(tmp_path, witness=witness.open) as pair:
        await start(pair)
        witness.reachable = False
        await pair.alpha.wait_alarm("witness-lost")
        assert pair.alpha.role is Role.PRIMARY
        await pair.beta.kill()
        await pair.alpha.wait_alarm("no-vote")
        await wait_until(lambda: runs(pair) == [], "no service runs")
        witness.reachable = True
        await pair.alpha.wait_role(Role.PRIMARY)
        await wait_until(lambda: runs(pair) == ["alpha"], "alpha serves again")


async def test_the_witness_is_told_when_a_node_ends(tmp_path: Path) -> None:
    """B3: the next start need not wait for the vote to run out."""
    witness = MemoryWitness()
    async with memory_pair(tmp_path, witness=witness.open) as pair:
        await start(pair)
        await pair.beta.stop()
        await wait_until(lambda: witness.holder("p"), "the witness's vote is with alpha")
        await pair.alpha.stop()
        assert witness.holder("p") == ""
