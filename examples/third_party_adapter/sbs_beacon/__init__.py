"""Each service is a TCP port that answers every call with the node, its epoch and the service.

The ports are tasks of SBS's own program: they die with it, and freeze with it. Whoever needs a
deadline that a frozen SBS keeps as well (docs/roles.md, policy ``quorum``) needs another process.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from sbs import ServiceController, ServiceError, ServiceState, Unit

STOPPED = ServiceState(active=False, running=False, detail="stopped")


class Beacon:
    """One service."""

    def __init__(self, unit: Unit) -> None:
        if len(unit.command) != 1 or not unit.command[0].rpartition(":")[2].isdecimal():
            raise ServiceError(
                f"service {unit.name!r}: the adapter 'beacon' needs command = "
                f'["HOST:PORT"], not {list(unit.command)}'
            )
        self.name = unit.name
        host, _, port = unit.command[0].rpartition(":")
        self.host, self.port = host, int(port)
        self.state = STOPPED
        self.environment: Mapping[str, str] = {}
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.ended.set()

    async def serve(self, listeners: list[trio.SocketListener]) -> None:
        """Answer until the scope is cancelled."""
        words = [self.environment.get(key, "-") for key in ("SBS_NODE", "SBS_EPOCH")]
        line = f"{' '.join(words)} {self.name}\n".encode()

        async def answer(stream: trio.SocketStream) -> None:
            async with stream:
                try:
                    await stream.send_all(line)
                except trio.BrokenResourceError:
                    return  # the caller has gone

        with self.scope:
            await trio.serve_listeners(answer, listeners)


class BeaconController:
    """Fulfils :class:`sbs.ServiceController`."""

    dies_with_node = True

    def __init__(self, units: Sequence[Unit], nursery: trio.Nursery) -> None:
        self.beacons = {unit.name: Beacon(unit) for unit in units}
        self._nursery = nursery
        self._changed = trio.Event()
        self._guard = trio.CancelScope()
        self._deadline_at: float | None = None

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """Listen; return when callers are answered."""
        beacon = self._beacon(name)
        await trio.lowlevel.checkpoint()
        if self._left_s() <= 0:
            raise ServiceError(f"service {name!r}: not started: its time here has passed")
        if beacon.state.running:
            return
        await beacon.ended.wait()  # the last run lets go of its port
        try:
            listeners = await trio.open_tcp_listeners(beacon.port, host=beacon.host)
        except OSError as error:
            raise ServiceError(f"service {name!r}: {error}") from error
        beacon.environment = environment
        beacon.scope, beacon.ended = trio.CancelScope(), trio.Event()
        detail = f"serves {beacon.host}:{beacon.port}"
        self._set(beacon, ServiceState(active=True, running=True, detail=detail))
        self._nursery.start_soon(self._run, beacon, listeners)

    async def _run(self, beacon: Beacon, listeners: list[trio.SocketListener]) -> None:
        try:
            await beacon.serve(listeners)
        finally:
            beacon.ended.set()
        if beacon.state.running:  # nobody has stopped it
            ended = ServiceState(active=True, running=False, detail="ended by itself")
            self._set(beacon, ended)

    async def stop(self, name: str, timeout_s: float) -> None:
        """Close the port; it has no need of its time.

        "Return when nothing of it runs any more": a cancelled scope still has its port for a
        moment, which the conformance check finds.
        """
        del timeout_s
        beacon = self._beacon(name)
        await trio.lowlevel.checkpoint()
        self._set(beacon, STOPPED)
        beacon.scope.cancel()
        await beacon.ended.wait()

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of each unit."""
        await trio.lowlevel.checkpoint()
        return {name: beacon.state for name, beacon in self.beacons.items()}

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """Close every port at the deadline."""
        del grace_s
        await trio.lowlevel.checkpoint()
        self._expire()  # one that has passed is heeded before it is moved
        self._deadline_at = deadline_at
        self._guard.cancel()
        self._guard = trio.CancelScope()
        if deadline_at is not None:
            self._nursery.start_soon(self._wait_deadline, self._guard)

    async def _wait_deadline(self, scope: trio.CancelScope) -> None:
        with scope:
            while (left_s := self._left_s()) > 0:  # noqa: ASYNC110 - time is nobody's event
                await trio.sleep(min(left_s, 0.25))  # a suspend stops trio's clock
            self._expire()

    def _left_s(self) -> float:
        if self._deadline_at is None:
            return float("inf")
        return self._deadline_at - time.clock_gettime(time.CLOCK_BOOTTIME)

    def _expire(self) -> None:
        if self._left_s() > 0:
            return
        for beacon in self.beacons.values():
            if beacon.state.running:
                detail = "its time here had passed"
                self._set(beacon, ServiceState(active=True, running=False, detail=detail))
                beacon.scope.cancel()

    async def bequeath(self, testament: bytes) -> None:
        """Nobody outlives the program to tell it."""
        del testament
        await trio.lowlevel.checkpoint()

    async def wait_changed(self) -> None:
        """Wait for a change."""
        await self._changed.wait()
        self._changed = trio.Event()

    def _beacon(self, name: str) -> Beacon:
        if name not in self.beacons:
            raise ServiceError(f"no service {name!r}; configured are: {', '.join(self.beacons)}")
        return self.beacons[name]

    def _set(self, beacon: Beacon, state: ServiceState) -> None:
        beacon.state = state
        self._changed.set()


@asynccontextmanager
async def open_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AsyncGenerator[ServiceController, None]:
    """The entry point; nothing need be held open for services that cannot survive."""
    del held_fds
    async with trio.open_nursery() as nursery:
        yield BeaconController(units, nursery)
        nursery.cancel_scope.cancel()
