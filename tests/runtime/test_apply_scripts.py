from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from sbs.core.epoch import Epoch
from sbs.core.history import Generation
from sbs.runtime.updating.apply_scripts import ApplyScripts


def generation(number: int) -> Generation:
    return Generation(Epoch(1, 0), number, bytes(32))


async def test_scripts_run_once_for_what_came_during_a_run() -> None:
    """R25: nothing waits for a slow script, and the newest generation always gets its run."""
    runs: list[int] = []
    gate = trio.Event()

    async def run(due: Generation) -> None:
        runs.append(due.number)
        await gate.wait()

    scripts = ApplyScripts(run)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scripts.run_forever)
        await scripts.wait_idle()
        for number in (1, 2, 3):
            scripts.applied(generation(number))
            await wait_all_tasks_blocked()
        assert runs == [1]
        gate.set()
        await scripts.wait_idle()
        assert runs == [1, 3]
        nursery.cancel_scope.cancel()


async def test_what_waits_for_the_scripts_waits_for_all_of_them() -> None:
    """R25: services start after the import of the last generation."""
    gates = [trio.Event(), trio.Event()]
    ended: list[str] = []

    async def run(due: Generation) -> None:
        await gates[due.number].wait()
        ended.append(f"run {due.number}")

    async def wait() -> None:
        await scripts.wait_idle()
        ended.append("wait")

    scripts = ApplyScripts(run)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scripts.run_forever)
        scripts.applied(generation(0))
        await wait_all_tasks_blocked()
        nursery.start_soon(wait)
        scripts.applied(generation(1))
        gates[0].set()
        await wait_all_tasks_blocked()
        assert ended == ["run 0"]
        gates[1].set()
        await wait_all_tasks_blocked()
        assert ended == ["run 0", "run 1", "wait"]
        nursery.cancel_scope.cancel()
