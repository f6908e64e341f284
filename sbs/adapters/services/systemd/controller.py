"""Services as units of systemd: the entry point ``systemd`` (R30, R32, B30, B31).

The units are PID 1's children. So that they die with SBS, and heed a deadline while it is frozen,
there is a fencer (``fencer.py``) in a scope of its own, and the units are bound to that scope.
``docs/systemd.md`` says what is guaranteed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from sbs.adapters.services.systemd import binding, orders
from sbs.adapters.services.systemd.bus import MANAGER, ROOT, Bus, Job
from sbs.adapters.services.systemd.fastening import Fastening
from sbs.adapters.services.systemd.manual import make_manual
from sbs.adapters.services.systemd.names import find_units
from sbs.adapters.services.systemd.unit import GONE, Watched, runs, state_of
from sbs.errors import ServiceError
from sbs.log import ERROR, INFO, WARNING, Log
from sbs.ports import ServiceController, ServiceState, Unit

MAX_GRACE_S: Final = 86_400.0
"""Longest grace of a stop: a day is more than any service needs."""

MAX_UNITS: Final = 256
"""Most services of a node, as of every adapter; all of them are arguments of the fencer."""

STRANGER_S: Final = 5.0
"""Grace of a unit that ran before SBS did."""

_log = Log(__name__)
_STRAY = _log.event(
    "unit-stray",
    WARNING,
    "{unit} runs, and SBS did not start it: it is stopped",
    "Nothing but SBS may start it: take it out of what does, a timer or another unit, say.",
)
_LEASH_GONE = _log.event(
    "units-fencer-gone",
    ERROR,
    "the fencer is gone; every service is killed",
    "Somebody, or a lack of memory, killed the process that guards the units; there is a "
    "new one at once, and what ended is started again. Find out who.",
)
_NOT_KILLED = _log.event(
    "unit-not-killed",
    ERROR,
    "{error}",
    "A unit may still run although it must not. Look at it with `systemctl status`, and end it.",
)
_UNLEARNT = _log.event(
    "unit-unknown",
    WARNING,
    "{unit}: {error}",
    "Somebody started or stopped the unit with `systemctl`, and SBS could not find out "
    "which. Look at `sbs status`; `sbs unit start` or `stop` says what you mean.",
)
_CHANGED = _log.event(
    "unit-changed",
    INFO,
    "{unit} was {state}",
    "Somebody did it with `systemctl`; SBS takes it over, and the other node would do the "
    "same after a takeover.",
)


class SystemdController:
    """A :class:`sbs.ports.ServiceController` for units; made by :func:`open_controller`.

    Args:
        held_fds: kept open by the fencer until every unit is gone.
        nursery: of what runs beside.
    """

    def __init__(self, held_fds: Sequence[int], nursery: trio.Nursery) -> None:
        self._bus = Bus(self._heed)
        self._nursery = nursery
        self._bus_scope = trio.CancelScope(shield=True)
        self._units: dict[str, Watched] = {}
        self._by_unit: dict[str, Watched] = {}
        self._fastening = Fastening(self._bus, self._by_unit, held_fds, nursery, self._mark_expired)
        self._closing = False
        self._learning = 0
        """Jobs of others that have ended, and are not understood yet."""
        self._changes = 0
        self._changes_seen = 0
        self._changed = trio.Event()

    @property
    def dies_with_node(self) -> bool:
        """True: the fencer kills every unit when SBS dies, and then lets go of the port (B31)."""
        return True

    # Opening and closing.

    async def open(self, units: Sequence[Unit]) -> None:
        """Bind the units to SBS, make their start manual, and stop those that run (R30).

        Raises:
            ServiceError: a unit is missing or belongs to another SBS, or systemd refuses.
        """
        self._nursery.start_soon(self._run_bus)
        found = await find_units(self._bus, units)
        if len(found) > MAX_UNITS:
            raise ServiceError(f"{len(found)} services: at most {MAX_UNITS} are allowed")
        for name, unit in found.items():
            await self._add(name, unit)
        await make_manual(self._bus, self._by_unit)
        await self._fastening.begin()
        self._nursery.start_soon(self._keep_fastened)
        for row in await self._bus.rows([*self._by_unit]):
            if row.active not in GONE:
                _STRAY(unit=row.unit)
                await self.stop(self._by_unit[row.unit].name, STRANGER_S)

    async def _run_bus(self) -> None:
        """Keep the bus for as long as :meth:`close` needs it."""
        with self._bus_scope:
            await self._bus.run()

    async def _add(self, name: str, unit: str) -> None:
        (row,) = await self._bus.rows([unit])
        if row.load != "loaded":
            raise ServiceError(f"service {name!r}: {unit} is {row.load}; systemd has to load it")
        if other := self._by_unit.get(row.unit):
            raise ServiceError(f"service {name!r}: {unit} is {other.name!r}, too; name it once")
        await self._check_owner(row.unit)
        watched = Watched(name=name, unit=row.unit, path=row.path)
        self._units[name] = self._by_unit[row.unit] = watched
        await self._bus.watch(row.unit, row.path)

    async def _check_owner(self, unit: str) -> None:
        """Refuse a unit that another running SBS has bound to itself."""
        scope = binding.bound_to(unit)
        for row in await self._bus.rows([scope]) if scope else ():
            if row.active == "active":
                raise ServiceError(f"{unit} belongs to another SBS that runs here, see {scope}")

    async def _keep_fastened(self) -> None:
        """When the fencer is gone, and SBS is not, every unit goes, too; then there is another."""
        while True:
            await self._fastening.wait_gone()
            if self._closing:
                return
            _LEASH_GONE()
            self._mark("killed: the fencer is gone")
            async with trio.open_nursery() as nursery:
                for watched in self._units.values():
                    nursery.start_soon(self._kill, watched)
            await self._fastening.renew()
            self._notify()

    async def _kill(self, watched: Watched) -> None:
        binding.forbid(watched.unit)
        try:
            await orders.stop(self._bus, watched, 0.0)
        except ServiceError as error:
            _NOT_KILLED(error=error)

    async def close(self) -> None:
        """Kill what runs; return when the units and the fencer are gone.

        Raises:
            ServiceError: systemd refuses, or does not answer.
        """
        self._closing = True
        try:
            await self._fastening.end()
        finally:
            self._bus_scope.cancel()

    # The port.

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """See :meth:`sbs.ports.ServiceController.start`.

        Returns when systemd's job is done: for ``Type=notify`` that is when the service says that
        it is ready, at most its ``TimeoutStartSec=``. ``environment`` is added to the unit's own.
        """
        watched = self._watched(name)
        await self._fastening.current()
        async with watched.requests:
            binding.permit(watched.unit, environment)
            # Looked at after the permit was given: a fencer that acts from here on takes it back.
            if self._fastening.expired:
                binding.forbid(watched.unit)
                raise ServiceError(
                    f"service {name!r}: not started: the time until which services may run here "
                    "has passed"
                )
            watched.cause = ""
            await orders.start(self._bus, watched)
            watched.active = True
            self._notify()

    async def stop(self, name: str, timeout_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.stop`; ``timeout_s`` is 0 to MAX_GRACE_S."""
        if not 0 <= timeout_s <= MAX_GRACE_S:
            raise ServiceError(
                f"service {name!r}: timeout_s {timeout_s}: allowed is 0 to {MAX_GRACE_S:g}"
            )
        watched = self._watched(name)
        await trio.lowlevel.checkpoint()
        async with watched.requests:
            binding.forbid(watched.unit)
            await orders.stop(self._bus, watched, timeout_s)
            watched.active, watched.cause = False, ""
            self._notify()

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of every configured unit, a pattern's units one by one."""
        await trio.lowlevel.checkpoint()
        found: dict[str, ServiceState] = {}
        rows = await self._bus.rows([*self._by_unit])
        # The bus keeps the order: of a stop that shows in these rows the job was heard of before.
        while self._learning:
            await self._changed.wait()
        for row in rows:
            watched = self._by_unit[row.unit]
            found[watched.name] = await state_of(self._bus, watched, row)
        return {name: found[name] for name in self._units}

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.guard`; the fencer does it."""
        await self._fastening.guard(deadline_at, grace_s)

    async def bequeath(self, testament: bytes) -> None:
        """See :meth:`sbs.ports.ServiceController.bequeath`; the fencer does it."""
        await self._fastening.bequeath(testament)

    async def wait_changed(self) -> None:
        """Return when some state may have changed since the last call of this method."""
        await trio.lowlevel.checkpoint()
        while self._changes_seen == self._changes:
            await self._changed.wait()
        self._changes_seen = self._changes

    # What happens by itself.

    def _heed(self, job: Job | None) -> None:
        """A unit may have changed; if a job of somebody else ended, see what it was."""
        watched = None if job is None else self._by_unit.get(job.unit)
        if job is not None and watched is not None and not watched.is_own(job.path):
            self._learning += 1
            self._nursery.start_soon(self._learn, watched, job)
        self._notify()

    async def _learn(self, watched: Watched, job: Job) -> None:
        """R32: an operator started the unit, or stopped it, with systemd's own tools."""
        try:
            if job.result == "done":
                await self._take_over(watched)
        except ServiceError as error:
            _UNLEARNT(unit=watched.unit, error=error)
        finally:
            self._learning -= 1
            self._notify()

    async def _take_over(self, watched: Watched) -> None:
        """Count a unit as active if it runs, and not if it does not, unless nobody meant that."""
        (row,) = await self._bus.rows([watched.unit])
        system = await self._bus.property(ROOT, MANAGER, "SystemState")
        if system == "stopping":
            return  # the machine stops, and with it the unit: nobody meant this one
        if watched.cause or watched.requests.locked() or self._fastening.expired or self._closing:
            return
        if watched.active != runs(row):
            watched.active = runs(row)
            _CHANGED(unit=watched.unit, state="started" if watched.active else "stopped")

    def _mark_expired(self) -> None:
        self._mark("its time here had passed")

    def _mark(self, cause: str) -> None:
        """Units that run now will be ended by SBS's own doing: that is no operator's stop."""
        for watched in self._units.values():
            if watched.active:
                watched.cause = cause
        self._notify()

    def _watched(self, name: str) -> Watched:
        if (watched := self._units.get(name)) is None:
            known = ", ".join(self._units) or "none"
            raise ServiceError(f"no service {name!r}; configured are: {known}")
        return watched

    def _notify(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AsyncGenerator[ServiceController, None]:
    """Open the systemd adapter: the entry point ``systemd`` (R30, B30, B31).

    Args:
        units: what may be started, at most :data:`MAX_UNITS` units; ``printer-1`` means
            ``printer-1.service``, and a pattern such as ``printer-*`` the units that exist now.
        held_fds: descriptors that the fencer keeps open until every unit is gone.

    Returns:
        A context manager; leaving it kills what still runs and ends the fencer.

    Raises:
        ServiceError: systemd does not run here or refuses, a unit is missing, SBS is not root.
    """
    binding.systemctl()
    if os.geteuid() != 0:
        raise ServiceError("the adapter 'systemd' needs root: it binds units to SBS")
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            controller = SystemdController(held_fds, nursery)
            try:
                await controller.open(units)
                yield controller
            finally:
                # Bounded within; the services must not survive a cancelled node.
                with trio.CancelScope(shield=True):
                    await controller.close()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The nursery is an inner matter: hand out what the caller's block raised as it was.
        if len(group.exceptions) != 1:
            raise
        failure = group.exceptions[0]
    if failure is not None:
        raise failure
