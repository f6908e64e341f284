"""Services as supervised processes: the embedded default (B30, B31).

The processes are children of the fencer (``fencer.py``), never of SBS. trio starts processes from
worker threads, and the kernel delivers PR_SET_PDEATHSIG when the *thread* that forked ends, so SBS
cannot bind the services to its own life that way; the fencer has one thread, and can.
"""

from __future__ import annotations

import itertools
import math
import shlex
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import assert_never

import trio

from sbs.adapters.services.channel import (
    Channel,
    Exited,
    Failed,
    Report,
    Started,
    bequeath_message,
    guard_message,
    start_message,
    stop_message,
)
from sbs.adapters.services.nursery import open_inner_nursery
from sbs.adapters.services.run import Run, Service, describe_exit
from sbs.errors import ServiceError
from sbs.log import ERROR, Log
from sbs.ports import ServiceController, ServiceState, Unit

START_BOUND_S = 10.0
"""How long the fencer may take to execute a program: milliseconds, unless the disk hangs."""

KILL_BOUND_S = 5.0
"""How long a killed process may take to vanish; one that takes longer hangs in the kernel."""

CLOSE_BOUND_S = 5.0
"""How long leaving the context waits for the fencer before it is killed in its turn."""

LAG_S = 0.1
"""How late the fencer may be to end what had its time before it is killed: it looks at once."""

MAX_GRACE_S = 86_400.0
"""Longest grace of a stop: a day is more than any service needs."""

MAX_UNITS = 256
"""Most services of a node: the fencer has two descriptors for each, of 1024 by default."""

_log = Log(__name__)
_FROZEN = _log.event(
    "fencer-frozen",
    ERROR,
    "the fencer does not end services whose time has passed: it is killed",
    "The process that guards the services stood still; they end with it. Find out what "
    "stops it: a debugger, a frozen control group, a lack of memory.",
)
_GONE = _log.event(
    "fencer-gone",
    ERROR,
    "the fencer is gone ({how}), every service with it",
    "Somebody, or a lack of memory, killed the process that guards the services; they are "
    "started again. Find out who.",
)


def boottime() -> float:
    """The clock of deadlines, which goes on in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ProcessController:
    """A :class:`sbs.ports.ServiceController` for processes; made by :func:`open_controller`."""

    def __init__(
        self, units: Sequence[Unit], held_fds: Sequence[int], nursery: trio.Nursery
    ) -> None:
        self._services = {unit.name: Service(unit=unit) for unit in units}
        self._held_fds = tuple(held_fds)
        self._nursery = nursery
        self._listening = trio.CancelScope()
        self._numbers = itertools.count(1)
        self._runs: dict[int, Run] = {}
        self._channel: Channel | None = None
        self._spawning = trio.Lock()
        self._guard: tuple[float | None, float] = (None, 0.0)
        self._watch = trio.CancelScope()
        self._testament = b""
        self._closing = False
        self._changed = trio.Event()
        self._changes = 0
        self._changes_seen = 0

    @property
    def dies_with_node(self) -> bool:
        """True: the fencer kills every service when SBS dies (B31)."""
        return True

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """See :meth:`sbs.ports.ServiceController.start`; ``environment`` reaches the process."""
        service = self._service(name)
        await self._finish_stop(service)
        with trio.move_on_after(START_BOUND_S):
            async with service.requests:
                run = service.current or await self._launch(service, environment)
            await run.settled.wait()
            if run.pid:
                return
            command = shlex.join(service.unit.command)
            raise ServiceError(f"service {name!r}: cannot start {command}: {run.failure}")
        raise ServiceError(
            f"service {name!r}: not started after {START_BOUND_S:g} s; the fencer, or the disk "
            "that holds the program, does not answer"
        )

    async def stop(self, name: str, timeout_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.stop`; ``timeout_s`` is 0 to MAX_GRACE_S."""
        if not 0 <= timeout_s <= MAX_GRACE_S:
            raise ServiceError(
                f"service {name!r}: timeout_s {timeout_s}: allowed is 0 to {MAX_GRACE_S:g}"
            )
        service = self._service(name)
        bound_s = timeout_s + KILL_BOUND_S
        with trio.move_on_after(bound_s):
            async with service.requests:
                run = service.current
                if run is None:
                    service.active = False
                    service.detail = "stopped"
                    self._notify()
                    return
                await self._request_stop(run, timeout_s)
            await run.ended.wait()
            return
        raise ServiceError(
            f"service {name!r}: something of it still runs {KILL_BOUND_S:g} s after SIGKILL; "
            "see which process hangs in the kernel (state D)"
        )

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of every configured unit."""
        await trio.lowlevel.checkpoint()
        return {name: service.state for name, service in self._services.items()}

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.guard`; the fencer does it."""
        channel = await self.open_channel()
        self._expire()
        self._guard = (deadline_at, grace_s)
        self._watch.cancel()
        self._watch = trio.CancelScope()
        if deadline_at is not None:
            bound_s = max(0.0, deadline_at - boottime()) + grace_s + LAG_S
            self._nursery.start_soon(self._watch_fencer, bound_s, self._watch)
        await channel.send(guard_message(deadline_at, grace_s))

    def _expire(self) -> None:
        """Mark what the deadline ends: that cannot be taken back, even if it is moved now."""
        deadline_at, grace_s = self._guard
        if deadline_at is None or boottime() < deadline_at:
            return
        for run in self._runs.values():
            bound_at = trio.current_time() + grace_s + KILL_BOUND_S
            run.expiry_bound_at = min(run.expiry_bound_at, bound_at)

    async def _watch_fencer(self, bound_s: float, scope: trio.CancelScope) -> None:
        """Kill a fencer that is frozen itself: at its end the keepers kill their services (B3)."""
        with scope:
            await trio.sleep(bound_s)
            if self._runs and self._channel is not None:
                _FROZEN()
                self._channel.process.kill()

    async def bequeath(self, testament: bytes) -> None:
        """See :meth:`sbs.ports.ServiceController.bequeath`; the fencer does it."""
        self._testament = testament
        if testament or self._channel is not None:
            channel = await self.open_channel()
            await channel.send(bequeath_message(testament))

    async def wait_changed(self) -> None:
        """Return when some state may have changed since the last call of this method."""
        await trio.lowlevel.checkpoint()
        while self._changes_seen == self._changes:
            await self._changed.wait()
        self._changes_seen = self._changes

    def _service(self, name: str) -> Service:
        if (service := self._services.get(name)) is None:
            known = ", ".join(self._services) or "none"
            raise ServiceError(f"no service {name!r}; configured are: {known}")
        return service

    def _notify(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = trio.Event()

    async def _finish_stop(self, service: Service) -> None:
        """Wait for an end under way, perhaps a cancelled stop: it cannot be taken back."""
        await trio.lowlevel.checkpoint()
        self._expire()
        run = service.current
        if run is None or run.bound_at == math.inf:
            return
        with trio.move_on_at(run.bound_at):
            await run.ended.wait()
            return
        raise ServiceError(f"service {service.unit.name!r}: its last run does not end; stop it")

    async def _request_stop(self, run: Run, timeout_s: float) -> None:
        """Send the request to stop; from then on the run ends, whoever waits for it."""
        was_active, was_bound_at = run.service.active, run.stop_bound_at
        bound_at = trio.current_time() + timeout_s + KILL_BOUND_S
        run.service.active = False
        run.stop_bound_at = min(was_bound_at, bound_at)
        sent = False
        try:
            await run.channel.send(stop_message(run.number, timeout_s))
            sent = True
        finally:
            if not sent:  # cancelled: it runs on
                run.service.active, run.stop_bound_at = was_active, was_bound_at
        self._notify()

    async def _launch(self, service: Service, environment: Mapping[str, str]) -> Run:
        """Send the request to start; the run settles when the fencer answers."""
        number = next(self._numbers)
        try:
            message = start_message(number, service.unit.command, environment)
        except ServiceError as error:
            raise ServiceError(f"service {service.unit.name!r}: {error}") from error
        channel = await self.open_channel()
        run = Run(number=number, service=service, channel=channel)
        service.run = self._runs[number] = run
        sent = False
        try:
            await channel.send(message)
            sent = True
        finally:
            if not sent:
                self._end(run, "not started")
        return run

    async def open_channel(self) -> Channel:
        """The channel to the fencer; a fencer is started when there is none."""
        async with self._spawning:
            if self._channel is None:
                channel = await Channel.spawn(self._held_fds)
                if self._guard[0] is not None:  # a fencer after one that was lost
                    await channel.send(guard_message(*self._guard))
                if self._testament:
                    await channel.send(bequeath_message(self._testament))
                self._channel = channel
                self._nursery.start_soon(self._listen, self._channel)
            return self._channel

    async def _listen(self, channel: Channel) -> None:
        """Take in reports until the fencer and its services are gone."""
        self._listening = trio.CancelScope(shield=True)
        with self._listening:
            async for report in channel.reports():
                self._take_in(report)
            code = await channel.process.wait()
            self._channel = None
            self._notify()
            if not self._closing:
                _GONE(how=describe_exit(code))
        channel.close()
        for run in [run for run in self._runs.values() if run.channel is channel]:
            self._end(run, "killed: the fencer is gone")

    def _take_in(self, report: Report) -> None:
        run = self._runs[report.run]
        match report:
            case Started(pid=pid):
                run.pid = pid
                run.settled.set()
                run.service.active = not run.is_stopping
                run.service.detail = f"process {pid}"
                self._notify()
            case Exited(code=code):
                self._expire()
                self._end(run, run.describe_end(code))
            case Failed(text=text):
                self._end(run, text)
            case _:
                assert_never(report)

    def _end(self, run: Run, detail: str) -> None:
        del self._runs[run.number]
        run.failure = run.service.detail = detail
        run.settled.set()
        run.ended.set()
        self._notify()

    async def close(self) -> None:
        """Kill what runs; return when services and fencer are gone.

        Raises:
            ServiceError: something survives even the kill.
        """
        self._closing = True
        self._watch.cancel()
        channel = self._channel
        if channel is None:
            return
        await channel.send(bequeath_message(b""))  # an end in order is nobody's business
        channel.end()
        with trio.move_on_after(CLOSE_BOUND_S):
            await self._wait_gone()
            return
        # A stopped or stuck fencer: its keepers see its end and kill the services.
        channel.process.kill()
        with trio.move_on_after(KILL_BOUND_S):
            await self._wait_gone()
            return
        self._listening.cancel()
        alive = ", ".join(run.service.unit.name for run in self._runs.values())
        raise ServiceError(f"services survive even SIGKILL: {alive}; look for state D processes")

    async def _wait_gone(self) -> None:
        while self._channel is not None:
            await self._changed.wait()


@asynccontextmanager
async def open_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AsyncGenerator[ServiceController, None]:
    """Open the process adapter: the entry point ``process`` (R30, B30, B31).

    Args:
        units: what may be started, at most :data:`MAX_UNITS`; each needs a command.
        held_fds: descriptors the fencer keeps open until every service is dead.

    Returns:
        A context manager; leaving it kills what still runs and ends the fencer.

    Raises:
        ServiceError: a unit has no command, there are too many, or no fencer can be started;
            on leaving: something survives even the kill.
    """
    if len(units) > MAX_UNITS:
        raise ServiceError(f"{len(units)} services: at most {MAX_UNITS} are allowed")
    for unit in units:
        if not unit.command:
            raise ServiceError(
                f"service {unit.name!r}: the adapter 'process' needs its command, for example "
                'command = ["python3", "-m", "http.server"]'
            )
    async with open_inner_nursery() as nursery:
        controller = ProcessController(units, held_fds, nursery)
        try:
            await controller.open_channel()
            yield controller
        finally:
            # Bounded within; the services must not survive a cancelled node.
            with trio.CancelScope(shield=True):
                await controller.close()
