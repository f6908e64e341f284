"""Services under the Windows service manager, as SBS sees and moves them (R30, R32, B31).

The service manager owns the processes; SBS puts each into a job object of its own, which kills
it when SBS ends, however it ends. ``docs/windows.md`` says where that has gaps.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import trio

from sbs.adapters.services.nursery import open_inner_nursery
from sbs.adapters.services.windows.calls import Calls
from sbs.adapters.services.windows.life import Ending, Life
from sbs.adapters.services.windows.status import Patience, ServiceStatus, State
from sbs.errors import ServiceError
from sbs.log import ERROR, WARNING, Log
from sbs.ports import ServiceState, Unit, guard_clock

POLL_S: Final = 0.05
"""From look to look while a service starts or stops."""

WATCH_S: Final = 0.5
"""From look to look otherwise: so late a crash is noticed, and a process that others started.
Windows could tell (NotifyServiceStatusChange), but pywin32 has no such call."""

OPEN_GRACE_S: Final = 30.0
"""Grace for what runs before SBS does: nothing runs before it is decided who leads."""

KILL_BOUND_S: Final = 5.0
"""How long a killed process may take to vanish; one that takes longer hangs in the kernel."""

MAX_START_S: Final = 3600.0
"""Longest start, however much progress the service reports."""

MAX_GRACE_S: Final = 86_400.0
"""Longest grace of a stop: a day is more than any service needs."""

MAX_UNITS: Final = 256
"""Most services of a node: each look at them all is a call for each."""

EXPIRED: Final = "its time here had passed"

_log = Log(__name__)
_TROUBLE = _log.event(
    "windows-service-unknown",
    ERROR,
    "{error}",
    "The service manager does not tell about a service, or refuses an order; the text "
    "says why. SBS asks again.",
)
_STRAY = _log.event(
    "windows-service-stray",
    WARNING,
    "service {service!r} runs before SBS has decided who leads: stopped",
    "Somebody started it. Nothing but SBS may start it: leave its start type at manual.",
)
_Answer = TypeVar("_Answer")


class WindowsController:
    """A :class:`sbs.ports.ServiceController`; made by :func:`control`.

    Args:
        calls: the service manager.
        units: what may be started; a unit's name is the short name of a service.
        nursery: stops and looks go on there, whoever waits for them.
    """

    def __init__(self, calls: Calls, units: Sequence[Unit], nursery: trio.Nursery) -> None:
        self._calls = calls
        self._lives = {unit.name: Life(name=unit.name) for unit in units}
        self._nursery = nursery
        self._deadline_at = math.inf
        self._grace_s = 0.0
        self._watch_deadline = trio.CancelScope()
        self._changed = trio.Event()
        self._changes = 0
        self._changes_seen = 0

    @property
    def dies_with_node(self) -> bool:
        """False: SBS's port refuses at once when it dies, while its services are being killed.

        And one that is just being started may be in no job yet. So a refusal proves nothing.
        """
        return False

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """See :meth:`sbs.ports.ServiceController.start`; returns when the service says it runs.

        ``environment`` is written to the service's registry key, where it stays.
        """
        life = self._life(name)
        await trio.lowlevel.checkpoint()
        async with life.starting:
            while life.ending is not None:  # perhaps a cancelled stop: it cannot be taken back
                await life.ending.done.wait()
            if self._is_expired:
                raise ServiceError(f"service {name!r}: not started: {EXPIRED}")
            await self._launch(life, environment)

    async def _launch(self, life: Life, environment: Mapping[str, str]) -> None:
        status = await self._look(life)
        if status.state is State.STOP_PENDING:
            status = await self._wait_while(life, State.STOP_PENDING)
        if status.state is State.STOPPED:
            await self._have_started(life, environment)
            status = await self._look(life)
        if status.state is State.START_PENDING:
            status = await self._wait_while(life, State.START_PENDING)
        if self._is_expired:
            self._expire()
        if life.ending is not None:
            await life.ending.done.wait()
            raise ServiceError(f"service {life.name!r}: it was stopped while it started")
        if status.state in {State.STOPPED, State.STOP_PENDING}:
            raise ServiceError(f"service {life.name!r}: cannot start: {status.describe()}")
        self._notify()

    async def _have_started(self, life: Life, environment: Mapping[str, str]) -> None:
        """Have the service manager start it; what is left of an earlier run is killed."""
        life.release()
        with trio.move_on_after(KILL_BOUND_S):
            while True:
                life.is_launching = True
                try:
                    # Not abandoned: nothing that SBS has started may be forgotten.
                    began = await trio.to_thread.run_sync(self._calls.start, life.name, environment)
                finally:
                    life.is_launching = False
                    life.launches += 1
                if began or (await self._look(life)).state is not State.STOPPED:
                    return
                await trio.sleep(POLL_S)
        raise ServiceError(
            f"service {life.name!r}: not started: Windows has not noticed in {KILL_BOUND_S:g} s "
            "that its last process has ended"
        )

    async def _wait_while(self, life: Life, state: State) -> ServiceStatus:
        """The first status that is another one; a service that makes no progress is killed."""
        give_up_at = trio.current_time() + MAX_START_S
        status = await self._look(life)
        patience = Patience.with_step(status, trio.current_time())
        while status.state is state:
            await trio.sleep(POLL_S)
            status = await self._look(life)
            patience = patience.after(status, trio.current_time())
            if trio.current_time() >= min(patience.bound_at, give_up_at):
                await self._end(life, grace_s=0.0).done.wait()
                raise ServiceError(
                    f"service {life.name!r}: {state.words} without progress: it was killed; its "
                    "own log may say why"
                )
        return status

    async def stop(self, name: str, timeout_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.stop`; ``timeout_s`` is 0 to MAX_GRACE_S.

        Services that need this one are stopped first, whether SBS knows them or not.
        """
        if not 0 <= timeout_s <= MAX_GRACE_S:
            raise ServiceError(
                f"service {name!r}: timeout_s {timeout_s}: allowed is 0 to {MAX_GRACE_S:g}"
            )
        life = self._life(name)
        await trio.lowlevel.checkpoint()
        ending = self._end(life, grace_s=timeout_s)
        life.active, life.note = False, "stopped"
        await ending.done.wait()
        if ending.failure:
            raise ServiceError(ending.failure)

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of every configured unit; also what others do to them is seen.

        Stopped with exit code 0 is stopped by an operator, any other end is a crash (R32).
        """
        for life in self._lives.values():
            await self._look(life)
        return {name: life.state for name, life in self._lives.items()}

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.guard`; a task of SBS does it, so not if frozen.

        Args:
            deadline_at: by :func:`sbs.ports.guard_clock`.
            grace_s: 0 or more.
        """
        await trio.lowlevel.checkpoint()
        self._watch_deadline.cancel()
        self._watch_deadline = trio.CancelScope()
        self._deadline_at = math.inf if deadline_at is None else deadline_at
        self._grace_s = grace_s
        if self._is_expired:
            self._expire()
        elif deadline_at is not None:
            self._nursery.start_soon(self._wait_deadline, self._watch_deadline)

    async def _wait_deadline(self, scope: trio.CancelScope) -> None:
        with scope:
            while (left_s := self._deadline_at - guard_clock()) > 0:  # noqa: ASYNC110 - a clock
                await trio.sleep(left_s)
            self._expire()

    @property
    def _is_expired(self) -> bool:
        return guard_clock() >= self._deadline_at

    def _expire(self) -> None:
        """End what runs, and what is just being started."""
        for life in self._lives.values():
            if life.status.state is not State.STOPPED or life.starting.locked():
                self._end(life, grace_s=self._grace_s)
                life.note = EXPIRED

    async def bequeath(self, testament: bytes) -> None:
        """See :meth:`sbs.ports.ServiceController.bequeath`: nothing is held, so nobody is told."""
        del testament
        await trio.lowlevel.checkpoint()

    async def wait_changed(self) -> None:
        """Return when some state may have changed since the last call of this method.

        What others do is noticed within WATCH_S.
        """
        await trio.lowlevel.checkpoint()
        while self._changes_seen == self._changes:
            await self._changed.wait()
        self._changes_seen = self._changes

    def _life(self, name: str) -> Life:
        if (life := self._lives.get(name)) is None:
            known = ", ".join(self._lives) or "none"
            raise ServiceError(f"no service {name!r}; configured are: {known}")
        return life

    def _notify(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = trio.Event()

    async def _call(self, function: Callable[..., _Answer], *arguments: object) -> _Answer:
        """Call the service manager; a call that hangs holds up nobody who gives it up."""
        return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)

    async def _look(self, life: Life) -> ServiceStatus:
        """How a service stands; a process that is in no job comes into one."""
        async with life.looking:
            while True:
                launches = life.launches
                status = await self._call(self._calls.status, life.name)
                if launches == life.launches:  # else it may be an answer from before a start
                    break
            if status.pid not in {0, life.adopted_pid}:
                job = await trio.to_thread.run_sync(self._calls.adopt, life.name, status.pid)
                life.adopt(status.pid, job)
            if life.take_in(status):
                self._notify()
            return life.status

    async def _watch(self) -> None:
        """Look again and again, for what others do, and what happens by itself."""
        while True:
            await trio.sleep(WATCH_S)
            for life in self._lives.values():
                trouble = ""
                try:
                    await self._look(life)
                except ServiceError as error:
                    trouble = str(error)
                    if trouble != life.trouble:
                        _TROUBLE(error=trouble)
                life.trouble = trouble
            if self._is_expired:  # none is started now, by nobody
                self._expire()

    def _end(self, life: Life, *, grace_s: float) -> Ending:
        """Have a service end, and all of it; from then on it does, whoever waits for that."""
        kill_at = trio.current_time() + grace_s
        if life.ending is None:
            life.ending = Ending(grace=trio.CancelScope(deadline=kill_at))
            self._nursery.start_soon(self._carry_out, life, life.ending)
        else:
            life.ending.grace.deadline = min(life.ending.grace.deadline, kill_at)
        return life.ending

    async def _carry_out(self, life: Life, ending: Ending) -> None:
        with trio.CancelScope(shield=True):  # bounded within
            try:
                with ending.grace:
                    await self._stop_in_order(life)
                await self._kill(life, ending)
            except ServiceError as error:
                ending.failure = str(error)
        life.ending = None
        ending.done.set()
        self._notify()

    async def _stop_in_order(self, life: Life) -> None:
        """Stop what needs it, then it; return when nothing of it is left."""
        asked = False
        while not await self._see_gone(life):
            if not asked and life.status.state is not State.STOPPED:
                asked = await self._ask(life.name)
            await trio.sleep(POLL_S)

    async def _see_gone(self, life: Life) -> bool:
        await self._look(life)
        return life.is_gone

    async def _ask(self, name: str) -> bool:
        for dependent in await self._call(self._calls.dependents, name):
            await self._call(self._calls.ask_to_stop, dependent)
            while await self._is_up(dependent):  # noqa: ASYNC110 - Windows tells nobody
                await trio.sleep(POLL_S)
        return await self._call(self._calls.ask_to_stop, name)

    async def _is_up(self, name: str) -> bool:
        return (await self._call(self._calls.status, name)).state is not State.STOPPED

    async def _kill(self, life: Life, ending: Ending) -> None:
        """Kill what is left of it, and what is started meanwhile."""
        with trio.move_on_after(KILL_BOUND_S):
            while not await self._see_gone(life):
                if life.job is not None:
                    life.job.kill()
                await trio.sleep(POLL_S)
            return
        ending.failure = (
            f"service {life.name!r}: something of it still runs {KILL_BOUND_S:g} s after it was "
            f"killed: {life.status.describe()}"
        )

    async def open(self) -> None:
        """Make the services SBS's (R30): started by hand only, and none runs yet.

        Raises:
            ServiceError: one is unknown, may not be changed, or does not end.
        """
        for life in self._lives.values():
            await self._call(self._calls.prepare, life.name)
            if (await self._look(life)).state is not State.STOPPED:
                _STRAY(service=life.name)
        await self._end_all(OPEN_GRACE_S)
        self._nursery.start_soon(self._watch)

    async def close(self) -> None:
        """Kill what runs.

        Raises:
            ServiceError: something survives even that.
        """
        self._watch_deadline.cancel()
        try:
            await self._end_all(0.0)
        finally:
            for life in self._lives.values():
                life.release()

    async def _end_all(self, grace_s: float) -> None:
        lives = self._lives.values()
        endings = [self._end(life, grace_s=grace_s) for life in lives]
        for life, ending in zip(lives, endings, strict=True):
            life.active = False
            await ending.done.wait()
        if failures := [ending.failure for ending in endings if ending.failure]:
            raise ServiceError("; ".join(failures))


@asynccontextmanager
async def control(calls: Calls, units: Sequence[Unit]) -> AsyncGenerator[WindowsController, None]:
    """Open a controller.

    Args:
        calls: the service manager.
        units: what may be started, at most MAX_UNITS.

    Returns:
        A context manager; leaving it kills what still runs.

    Raises:
        ServiceError: a service is unknown, may not be changed, or does not end.
    """
    if len(units) > MAX_UNITS:
        raise ServiceError(f"{len(units)} services: at most {MAX_UNITS} are allowed")
    async with open_inner_nursery() as nursery:
        controller = WindowsController(calls, units, nursery)
        try:
            await controller.open()
            yield controller
        finally:
            # Bounded within; the services must not survive a cancelled node.
            with trio.CancelScope(shield=True):
                await controller.close()
            nursery.cancel_scope.cancel()
