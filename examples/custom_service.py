"""A service adapter of one's own: here a service is a task of this very program.

    python examples/custom_service.py

A package announces such an adapter as an entry point of the group ``sbs.services``; the
configuration then names it as ``services.adapter``. The program checks the adapter against the
promises of ``sbs.ServiceController``, then runs it under a pair of nodes in memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from sbs import Role, ServiceController, ServiceError, ServiceState, Unit
from sbs.testing.nodes import memory_pair, wait_until
from sbs.testing.services import check_service_controller

IDLE = ServiceState(active=False, running=False, detail="stopped")


class TaskController:
    """Fulfils :class:`sbs.ServiceController`; a nursery holds the services."""

    dies_with_node = True  # a task cannot outlive its program

    def __init__(self, units: Sequence[Unit], nursery: trio.Nursery) -> None:
        self.environments: dict[str, Mapping[str, str]] = {}
        self.scopes: dict[str, trio.CancelScope] = {}
        self._states = {unit.name: IDLE for unit in units}
        self._nursery = nursery
        self._changed = trio.Event()
        self._guard = trio.CancelScope()
        self._expired = False

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """Start the task, unless it runs."""
        if self._expired:
            raise ServiceError(f"service {name!r}: not started: its time has passed")
        if not self._state(name).running:
            self.environments[name] = environment
            self.scopes[name] = trio.CancelScope()
            self._set(name, ServiceState(active=True, running=True, detail="a task"))
            self._nursery.start_soon(self._work, name, self.scopes[name])
        await trio.lowlevel.checkpoint()

    async def stop(self, name: str, timeout_s: float) -> None:
        """Cancel the task; it has no need of the time it is given."""
        del timeout_s
        self._state(name)
        await trio.lowlevel.checkpoint()
        if name in self.scopes:
            self.scopes.pop(name).cancel()
        self._set(name, IDLE)

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of each unit."""
        await trio.lowlevel.checkpoint()
        return dict(self._states)

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """Stop everything at the deadline; a frozen program's tasks are frozen with it."""
        del grace_s
        self._guard.cancel()
        self._guard = trio.CancelScope()
        self._expired = False
        if deadline_at is not None:
            left_s = deadline_at - time.clock_gettime(time.CLOCK_BOOTTIME)
            self._nursery.start_soon(self._expire, max(0.0, left_s), self._guard)
        await trio.lowlevel.checkpoint()

    async def _expire(self, left_s: float, guard: trio.CancelScope) -> None:
        with guard:
            await trio.sleep(left_s)
            self._expired = True
            for scope in self.scopes.values():
                scope.cancel()

    async def bequeath(self, testament: bytes) -> None:
        """Nobody outlives this program to tell it."""
        del testament
        await trio.lowlevel.checkpoint()

    async def wait_changed(self) -> None:
        """Wait for a change."""
        await self._changed.wait()
        self._changed = trio.Event()

    async def _work(self, name: str, scope: trio.CancelScope) -> None:
        with scope:
            await trio.sleep_forever()  # the service's work
        if self.scopes.get(name) is scope:  # not stopped: it ended by itself, and stays active
            self._set(name, ServiceState(active=True, running=False, detail="ended by itself"))

    def _state(self, name: str) -> ServiceState:
        if name not in self._states:
            raise ServiceError(f"no service {name!r}; configured are: {', '.join(self._states)}")
        return self._states[name]

    def _set(self, name: str, state: ServiceState) -> None:
        self._states[name] = state
        self._changed.set()


@asynccontextmanager
async def open_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AsyncGenerator[TaskController, None]:
    """The entry point; nothing need be held open for services that cannot survive."""
    del held_fds
    async with trio.open_nursery() as nursery:
        yield TaskController(units, nursery)
        nursery.cancel_scope.cancel()


async def crash(controller: ServiceController, name: str) -> None:
    """For the check: let a service end by itself."""
    assert isinstance(controller, TaskController)
    controller.scopes[name].cancel()
    await trio.lowlevel.checkpoint()


async def read_environment(controller: ServiceController, name: str) -> Mapping[str, str]:
    """For the check: what reached the service."""
    assert isinstance(controller, TaskController)
    return controller.environments[name]


async def main() -> None:
    """Check the adapter, then let it be taken over."""
    await check_service_controller(open_controller, Unit(name="printer"), crash, read_environment)
    print("the adapter keeps its promises")
    with tempfile.TemporaryDirectory() as directory:
        async with memory_pair(directory, services=open_controller) as pair:
            for node in (pair.alpha, pair.beta):
                services = attrs.evolve(node.config.services, unit=(Unit(name="printer"),))
                node.config = attrs.evolve(node.config, services=services)
            await pair.start()
            print(f"{pair.alpha.name} is {pair.alpha.role.value}")
            await pair.alpha.kill()
            await pair.beta.wait_role(Role.PRIMARY)
            controller = pair.beta.controller
            assert isinstance(controller, TaskController)
            await wait_until(lambda: controller.scopes, "the service runs")
            epoch = controller.environments["printer"]["SBS_EPOCH"]
            print(f"{pair.beta.name} has taken over, with SBS_EPOCH {epoch}")


if __name__ == "__main__":
    trio.run(main)
