"""A node that is cancelled, at whatever moment, leaves nothing behind."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import trio

from sbs.core.claim import Role
from sbs.runtime.lasting.state import StateStore
from sbs.testing.nodes import MemoryNode, wait_until
from tests.runtime.rig import recorded_pair, running


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def check_nothing_is_left(node: MemoryNode) -> None:
    state_dir = node.config.node.state_dir
    StateStore(state_dir).close()  # its lock is free
    assert "control.sock" not in os.listdir(state_dir)


async def start(node: MemoryNode, moment: random.Random) -> None:
    """Start a node, which may be cancelled before it serves."""
    with trio.move_on_after(moment.uniform(0, 0.02)) as scope:
        await node.start()
    if scope.cancelled_caught:
        assert not node.running


@pytest.mark.parametrize("seed", range(30))
async def test_cancelled_node_leaves_nothing_and_starts_again(seed: int, tmp_path: Path) -> None:
    """B31, B20: tasks, threads, descriptors, socket and lock are gone; the data is whole."""
    moment = random.Random(seed)
    async with recorded_pair(tmp_path) as (pair, _):
        nodes = (pair.alpha, pair.beta)
        tasks = trio.lowlevel.current_statistics().tasks_living
        opened = descriptors()
        for number in range(8):
            pair.alpha.write(f"d/{number}", f"{number}" * moment.choice((10, 400_000)))
        for node in nodes:
            await node.start()
        await trio.sleep(moment.uniform(0, 0.15))
        for node in moment.sample(nodes, 2):
            await node.kill()
            check_nothing_is_left(node)
        assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        assert descriptors() == opened
        await pair.start()
        await pair.beta.wait_file("d/7", pair.alpha.read("d/7") or "")


@pytest.mark.parametrize("seed", range(10))
async def test_node_cancelled_while_it_starts(seed: int, tmp_path: Path) -> None:
    moment = random.Random(seed)
    async with recorded_pair(tmp_path) as (pair, _):
        opened = descriptors()
        await start(pair.alpha, moment)
        if pair.alpha.running:
            await pair.alpha.kill()
        check_nothing_is_left(pair.alpha)
        assert descriptors() == opened
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)


@pytest.mark.parametrize("seed", range(10))
async def test_node_cancelled_while_it_hands_over(seed: int, tmp_path: Path) -> None:
    """R8: one node serves in the end, with all data, wherever the handover was cut."""
    moment = random.Random(seed)
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        pair.alpha.write("last", "word")
        await pair.alpha.node.stop()
        await trio.sleep(moment.uniform(0, 0.03))
        await pair.alpha.kill()
        check_nothing_is_left(pair.alpha)
        await wait_until(lambda: len(running(pair.beta)) == 2, "beta serves")
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
