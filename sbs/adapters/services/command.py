"""Services that other programs start and stop: OpenRC, a container engine, init scripts (B30).

Each service has three commands: ``start``, ``stop``, and ``status``, whose exit code 0 means that
it runs. It outlives SBS, and its deadline (B3) is kept by a task of SBS, which a frozen SBS does
not run; ``docs/services.md`` says what follows.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from sbs.adapters.services.commanded import Commanded
from sbs.adapters.services.nursery import open_inner_nursery
from sbs.errors import ServiceError
from sbs.ports import ServiceController, ServiceState, Unit

POLL_S: Final = 2.0
"""From one look at the services that should run to the next: nobody tells of their end."""

DEADLINE_LOOK_S: Final = 0.25
"""How often the time is looked at while a deadline stands: trio's clock stops in suspend."""

MAX_AT_ONCE: Final = 8
"""Status commands that run at the same time: a look costs a process each."""


def boottime() -> float:
    """The clock of deadlines, which goes on in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class CommandController:
    """A :class:`sbs.ports.ServiceController` for commands; made by :func:`open_controller`."""

    def __init__(self, units: Sequence[Unit], nursery: trio.Nursery) -> None:
        self._services = {unit.name: Commanded(unit=unit, changed=self._notify) for unit in units}
        self._nursery = nursery
        self._deadline: tuple[float, float] = (math.inf, 0.0)
        self._waiting = trio.CancelScope()
        self._changed = trio.Event()
        self._changes = 0
        self._changes_seen = 0

    @property
    def dies_with_node(self) -> bool:
        """False: whatever starts the services keeps them when SBS dies (B31)."""
        return False

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """See :meth:`sbs.ports.ServiceController.start`; the start command gets ``environment``."""
        service = self._service(name)
        async with service.lock:
            await self._heed(service)
            if boottime() >= self._deadline[0]:
                raise ServiceError(f"service {name!r}: not started: its time here has passed")
            with trio.CancelScope() as service.scope:
                await service.start(environment)
                return
        raise ServiceError(f"service {name!r}: not started: it was stopped meanwhile")

    async def stop(self, name: str, timeout_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.stop`.

        The stop command learns its grace as ``SBS_GRACE_S``; to use force after it is its task.
        Once begun it is finished, also if this call is cancelled.
        """
        service = self._service(name)
        await trio.lowlevel.checkpoint()
        service.scope.cancel()
        await self._finish(partial(self._stop, service, timeout_s))

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of every configured unit, as it was at the last look."""
        await trio.lowlevel.checkpoint()
        return {name: service.state for name, service in self._services.items()}

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.guard`; only for as long as SBS is not frozen."""
        await trio.lowlevel.checkpoint()
        self._expire()  # what has passed cannot be taken back
        self._waiting.cancel()
        self._waiting = trio.CancelScope()
        self._deadline = (math.inf if deadline_at is None else deadline_at, grace_s)
        if deadline_at is not None:
            self._nursery.start_soon(self._wait_deadline, self._waiting)

    async def bequeath(self, testament: bytes) -> None:
        """See :meth:`sbs.ports.ServiceController.bequeath`.

        Nothing is told: when SBS is dead the services may run on, and nobody is left to end them.
        """
        del testament
        await trio.lowlevel.checkpoint()

    async def wait_changed(self) -> None:
        """Return when some state may have changed since the last call of this method."""
        await trio.lowlevel.checkpoint()
        while self._changes_seen == self._changes:
            await self._changed.wait()
        self._changes_seen = self._changes

    def _service(self, name: str) -> Commanded:
        if (service := self._services.get(name)) is None:
            known = ", ".join(self._services) or "none"
            raise ServiceError(f"no service {name!r}; configured are: {known}")
        return service

    def _notify(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = trio.Event()

    async def _finish(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have something done to its end, even if whoever waits for it is cancelled."""
        ended = trio.Event()
        failures: list[ServiceError] = []

        async def do() -> None:
            try:
                await work()
            except ServiceError as error:
                failures.append(error)
            finally:
                ended.set()

        self._nursery.start_soon(do)
        await ended.wait()
        if failures:
            raise failures[0]

    async def _stop(self, service: Commanded, timeout_s: float) -> None:
        async with service.lock:
            service.overdue = None
            service.set(active=False)
            if await service.may_run():
                await service.end(timeout_s)
            service.set(running=False, detail="stopped")

    # The deadline.

    async def _wait_deadline(self, scope: trio.CancelScope) -> None:
        with scope:
            while (left_s := self._deadline[0] - boottime()) > 0:  # noqa: ASYNC110 - suspend
                await trio.sleep(min(left_s, DEADLINE_LOOK_S))
            self._expire()

    def _expire(self) -> None:
        """If the deadline has passed, have every service ended."""
        if boottime() < self._deadline[0]:
            return
        for service in self._services.values():
            if service.overdue is None and (service.may_matter or service.lock.locked()):
                service.overdue = self._deadline
                service.scope.cancel()
                self._nursery.start_soon(self._heed_alone, service)

    async def _heed_alone(self, service: Commanded) -> None:
        async with service.lock:
            await self._heed(service)

    async def _heed(self, service: Commanded) -> None:
        """End what had its time; one that was active stays so."""
        if service.overdue is None:
            return
        (deadline_at, grace_s), service.overdue = service.overdue, None
        if not await service.may_run():
            return
        try:
            await service.end(max(0.0, deadline_at + grace_s - boottime()))
        except ServiceError as error:
            service.note_doubt(f"its time here has passed: {error}")
        else:
            service.set(detail="its time here had passed: stopped")

    # What goes on beside.

    async def poll_forever(self) -> None:
        """Look again and again at what should run."""
        limiter = trio.CapacityLimiter(MAX_AT_ONCE)
        while True:
            await trio.sleep(POLL_S)
            async with trio.open_nursery() as nursery:
                for service in self._services.values():
                    if service.active or service.running:
                        nursery.start_soon(self._poll, service, limiter)

    async def _poll(self, service: Commanded, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            if service.lock.locked():  # a start or an end looks by itself
                return
            async with service.lock:
                with trio.CancelScope() as service.scope:
                    try:
                        await service.look()
                    except ServiceError as error:
                        service.note_doubt(str(error))

    async def stop_strays(self) -> None:
        """Stop what runs already: nobody but SBS starts services (R30).

        Raises:
            ServiceError: it is not known, or something does not stop.
        """
        for service in self._services.values():
            async with service.lock:
                if await service.look():
                    await service.end_stray()
                    service.set(running=False, detail="stopped")

    async def close(self) -> None:
        """Stop what runs, at once.

        Raises:
            ServiceError: something does not stop.
        """
        self._waiting.cancel()
        failures: list[str] = []

        async def end(service: Commanded) -> None:
            try:
                await self._stop(service, 0.0)
            except ServiceError as error:
                failures.append(str(error))

        async with trio.open_nursery() as nursery:
            for service in self._services.values():
                if service.may_matter or service.lock.locked():
                    service.scope.cancel()
                    nursery.start_soon(end, service)
        if failures:
            raise ServiceError("; ".join(failures))


@asynccontextmanager
async def open_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AsyncGenerator[ServiceController, None]:
    """Open the command adapter: the entry point ``command`` (R30, B30).

    What still runs of the units is stopped first.

    Args:
        units: each with ``start``, ``stop`` and ``status``.
        held_fds: not held: that they refuse would prove nothing, since the services outlive SBS.

    Returns:
        A context manager; leaving it stops what still runs.

    Raises:
        ServiceError: a command is missing, or what runs already is not known or does not stop;
            on leaving: something does not stop.
    """
    del held_fds
    for unit in units:
        missing = [name for name in ("start", "stop", "status") if not getattr(unit, name)]
        if missing:
            raise ServiceError(
                f"service {unit.name!r}: the adapter 'command' needs start, stop and status, each "
                f'a command such as ["rc-service", "web", "start"]; missing: {", ".join(missing)}'
            )
    async with open_inner_nursery() as nursery:
        controller = CommandController(units, nursery)
        await controller.stop_strays()
        nursery.start_soon(controller.poll_forever)
        try:
            yield controller
        finally:
            # Bounded within; the services must not survive a cancelled node.
            with trio.CancelScope(shield=True):
                await controller.close()
            nursery.cancel_scope.cancel()
