"""The application's services: which start, and who has to know when that changes (R30 to R32)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import attrs
import trio

from sbs.config import Config
from sbs.core.alarm import Alarm
from sbs.core.epoch import Epoch
from sbs.errors import RefusedError, ServiceError
from sbs.ports import ServiceController, ServiceState, Unit
from sbs.runtime.alarms import Alarms
from sbs.runtime.serving.guardian import Guardian

MAX_NAMED: Final = 20
"""Services that an alarm names which the other node has and this one has not."""


def matched(units: Sequence[Unit], names: Iterable[str]) -> tuple[Unit, ...]:
    """The units that a controller has, each with the settings of the entry that means it.

    Args:
        units: as configured; some adapters take a name for a pattern.
        names: of what the controller has.
    """
    exact = {unit.name: unit for unit in units}
    found: list[Unit] = []
    for name in names:
        unit = exact.get(name) or next(unit for unit in units if fnmatchcase(name, unit.name))
        found.append(attrs.evolve(unit, name=name))
    return tuple(found)


class Services:
    """The configured units under one controller; one start or stop of all at a time.

    Args:
        units: of this node, patterns resolved, see :func:`matched`.
        controller: starts and stops them.
        alarms: told what fails.
        stop_bound_s: grace of a stop.
        environment: of every service, besides ``SBS_EPOCH``.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        controller: ServiceController,
        alarms: Alarms,
        *,
        stop_bound_s: float,
        environment: Mapping[str, str],
    ) -> None:
        self._units = {unit.name: unit for unit in units}
        self._controller = controller
        self._alarms = alarms
        self._stop_bound_s = stop_bound_s
        self._environment = environment
        self.guardian: Guardian = Guardian(controller, stop_bound_s)
        self._lock = trio.Lock()
        self._epoch: Epoch | None = None
        """Of the primacy whose services may run now."""
        self._failed: dict[str, str] = {}
        """Why services are not running which should be; another node may start them."""
        self._withheld: tuple[str, ...] = ()
        """Those that the licence does not allow here; another node may start them (R41)."""
        self._down: dict[str, str] = {}
        """How services ended that should run."""
        self._given_up: Mapping[str, str] = {}
        """What is told of services that are not started again (B32)."""
        self._unstable: Sequence[str] = ()
        """What is told of services that end again and again (B32)."""
        self._starting = trio.CancelScope()
        self.restarts: dict[str, int] = {}
        """How often each was started again since the node's start (B32)."""

    @classmethod
    async def of(cls, config: Config, controller: ServiceController, alarms: Alarms) -> Services:
        """The services of a node as it is configured.

        Raises:
            ServiceError: the controller cannot say which it has.
        """
        return cls(
            matched(config.services.unit, await controller.states()),
            controller,
            alarms,
            stop_bound_s=config.failover.stop_bound_s,
            environment={"SBS_NODE": config.node.name},
        )

    @property
    def die_with_node(self) -> bool:
        """Whether no service outlives SBS (B31)."""
        return self._controller.dies_with_node

    @property
    def enabled(self) -> tuple[str, ...]:
        """The units that start when this node becomes primary directly."""
        return tuple(name for name, unit in self._units.items() if unit.enabled)

    async def start(
        self, names: Sequence[str], epoch: Epoch, *, withhold: bool = False
    ) -> tuple[str, ...]:
        """Start services for a primacy; what fails is an alarm, and the rest starts.

        Args:
            names: of the services.
            epoch: of the primacy.
            withhold: start none before :meth:`start_withheld` (R41).

        Returns:
            the names that are active now, as :meth:`active` says.
        """
        async with self._lock:
            await self.guardian.settle()  # how long they may run is known before they do
            self._epoch = epoch
            self._given_up = {}
            unknown = [name for name in names if name not in self._units]
            self._failed = {name: f"{name}: not configured here" for name in unknown[:MAX_NAMED]}
            if len(unknown) > MAX_NAMED:
                self._failed[""] = f"and {len(unknown) - MAX_NAMED} more"
            known = tuple(name for name in names if name in self._units)
            self._withheld = known if withhold else ()
            return await self._start_each(() if withhold else known, epoch)

    async def _start_each(self, names: Sequence[str], epoch: Epoch) -> tuple[str, ...]:
        for name in names:
            try:
                await self._controller.start(name, self._environment_of(epoch))
            except ServiceError as error:
                self._failed[name] = str(error)
        self._report()
        states = await self._controller.states()
        self.check_running(states)
        return self.active(states)

    @property
    def withheld(self) -> bool:
        """Whether services wait for :meth:`start_withheld`."""
        return bool(self._withheld)

    async def start_withheld(self) -> None:
        """Start what was withheld, unless the services were given back meanwhile."""
        async with self._lock:
            if self._epoch is None:
                return
            names, self._withheld = self._withheld, ()
            with trio.CancelScope() as self._starting:
                await self._start_each(names, self._epoch)

    def _report(self) -> None:
        """Raise or clear the alarms: what is given up has one of its own (B32)."""
        given_up, why = self._given_up, {**self._down, **self._failed}
        self._alarms.tell(Alarm.SERVICE_UNSTABLE, self._unstable)
        self._alarms.tell(
            Alarm.SERVICE_GIVEN_UP,
            [f"{why[name]}; {text}" for name, text in given_up.items() if name in why],
        )
        for code, texts in (
            (Alarm.SERVICE_FAILED, self._failed),
            (Alarm.SERVICE_DOWN, self._down),
        ):
            self._alarms.tell(code, [texts[name] for name in texts if name not in given_up])

    @property
    def given_up(self) -> Mapping[str, str]:
        """What :meth:`give_up` was told, but for those that an operator took in hand since."""
        return self._given_up

    def give_up(self, texts: Mapping[str, str]) -> None:
        """Have an alarm of its own tell of the services that are not started again (B32).

        Args:
            texts: of all of them, by name: what was tried, and what to do.
        """
        self._given_up = texts
        self._report()

    def tell_unstable(self, texts: Sequence[str]) -> None:
        """Have an alarm tell of services that end again and again, until they are stopped (B32).

        Args:
            texts: of all of them.
        """
        self._unstable = () if self._epoch is None else texts
        self._report()

    def _environment_of(self, epoch: Epoch) -> dict[str, str]:
        return {**self._environment, "SBS_EPOCH": str(epoch.number)}

    async def stop(self) -> None:
        """Stop every service; return when nothing runs."""
        self._epoch = None  # what waits for its turn to start something shall not
        self._starting.cancel()
        async with self._lock:
            self._failed = {}
            self._withheld = ()
            self._given_up = {}
            self._unstable = ()
            failures: list[str] = []
            async with trio.open_nursery() as nursery:
                for name in self._units:
                    nursery.start_soon(self._stop_one, name, failures)
            self._alarms.tell(Alarm.SERVICE_NOT_STOPPED, failures)
            self._down = {}
            self._report()

    async def _stop_one(self, name: str, failures: list[str]) -> None:
        try:
            await self._controller.stop(name, self._stop_bound_s)
        except ServiceError as error:
            failures.append(str(error))

    async def start_one(self, name: str) -> None:
        """Start one service as its operator asks.

        Raises:
            RefusedError: this node gave the services back meanwhile.
            ServiceError: it is unknown or cannot be started.
        """
        async with self._lock:
            await self._start_again(name)

    async def restart_one(self, name: str) -> None:
        """Stop and start one service as its operator asks; it counts as active all the while.

        Raises:
            RefusedError: this node gave the services back meanwhile.
            ServiceError: it is unknown, or cannot be stopped or started.
        """
        async with self._lock:
            self._serving_epoch()
            await self._controller.stop(name, self._stop_bound_s)
            try:
                await self._start_again(name)
            except ServiceError as error:
                self._failed[name] = str(error)
                self._report()
                raise

    async def restart(self, name: str) -> str:
        """Start a service again that does not run and should (B32).

        Returns:
            why it could not be started; empty if it was, or shall not run any more.
        """
        async with self._lock:
            if name not in self.missing(await self._controller.states()):
                return ""
            try:
                await self._start_again(name)
            except RefusedError:
                return ""
            except ServiceError as error:
                self._failed[name] = str(error)
                self._report()
                return str(error)
            self.restarts[name] = self.restarts.get(name, 0) + 1
            return ""

    async def _start_again(self, name: str) -> None:
        epoch = self._serving_epoch()
        with trio.CancelScope() as self._starting:
            await self._controller.start(name, self._environment_of(epoch))
            self._forget(name)
            return
        raise RefusedError(f"{name} is not started: the services are being stopped; see sbs status")

    def missing(self, states: Mapping[str, ServiceState]) -> Sequence[str]:
        """The services that should run here and do not, by these states."""
        if self._epoch is None:
            return ()
        return [
            name
            for name, state in states.items()
            if (state.active and not state.running) or name in self._failed
        ]

    async def stop_one(self, name: str) -> None:
        """Stop one service as its operator asks; a takeover will not start it.

        Raises:
            RefusedError: this node gave the services back meanwhile.
            ServiceError: it is unknown or cannot be stopped.
        """
        async with self._lock:
            self._serving_epoch()
            await self._controller.stop(name, self._stop_bound_s)
            self._forget(name)

    def _serving_epoch(self) -> Epoch:
        """B2: nothing starts between the stop of a handover and the next primacy."""
        if self._epoch is None:
            raise RefusedError("the services run on the other node now; run this there")
        return self._epoch

    def _forget(self, name: str) -> None:
        """Whether it runs is as the controller says from now on."""
        self._failed.pop(name, None)
        self._down.pop(name, None)
        self._withheld = tuple(other for other in self._withheld if other != name)
        self._given_up = {each: text for each, text in self._given_up.items() if each != name}
        self._report()

    async def wait_changed(self) -> None:
        """Return when a state may have changed."""
        await self._controller.wait_changed()

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of each unit at this moment, also while they are being started or stopped."""
        return await self._controller.states()

    async def settled_states(self) -> Mapping[str, ServiceState]:
        """The state of each unit, read while none is being started or stopped."""
        async with self._lock:
            return await self._controller.states()

    def active(self, states: Mapping[str, ServiceState]) -> tuple[str, ...]:
        """Those that a takeover starts (R32): one that could not start here was not stopped."""
        unstarted = {*self._failed, *self._withheld}
        return tuple(name for name, state in states.items() if state.active or name in unstarted)

    def check_running(self, states: Mapping[str, ServiceState]) -> None:
        """Raise or clear the alarm for services that should run and do not."""
        self._down = {
            name: f"{name}: {state.detail or 'not running'}"
            for name, state in states.items()
            if state.active and not state.running
        }
        self._report()
