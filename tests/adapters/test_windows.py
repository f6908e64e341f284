"""The adapter of the Windows service manager, over a service manager in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from sbs.adapters.services import load
from sbs.adapters.services.windows import controller as controller_module
from sbs.adapters.services.windows import status as status_module
from sbs.adapters.services.windows.controller import (
    EXPIRED,
    MAX_GRACE_S,
    MAX_UNITS,
    WindowsController,
    control,
)
from sbs.adapters.services.windows.environment import merge
from sbs.adapters.services.windows.status import (
    MAX_HINT_S,
    MIN_HINT_S,
    Patience,
    ServiceStatus,
    State,
)
from sbs.errors import ConfigError, ServiceError
from sbs.ports import ServiceController, ServiceState, Unit, guard_clock
from sbs.testing.services import check_service_controller

UNIT = Unit(name="a")
GRACE_S = 5.0


class FakeJob:
    """The processes of a fake service."""

    def __init__(self, service: FakeService) -> None:
        self._service = service
        self.pid = service.pid
        self.closed = False

    def is_empty(self) -> bool:
        lives = self._service.pid == self.pid and not self._service.is_dead
        return not lives and self._service.child_of != self.pid

    def kill(self) -> None:
        if self._service.pid == self.pid and not self._service.is_dead:
            self._service.crash()
        self._service.child_of = 0

    def close(self) -> None:
        self.closed = True
        self.kill()


class FakeService:
    """A service in memory.

    Args:
        steps: how often a look finds it starting, before it runs.
        hangs_in_start: it never gets beyond the first step.
        heeds_stop: it stops when asked.
        exit_code: of a start that fails.
    """

    def __init__(
        self,
        *,
        steps: int = 0,
        hangs_in_start: bool = False,
        heeds_stop: bool = True,
        exit_code: int = 0,
        dependents: Sequence[str] = (),
    ) -> None:
        self.steps = steps
        self.hangs_in_start = hangs_in_start
        self.heeds_stop = heeds_stop
        self.exit_code = exit_code
        self.dependents = dependents
        self.status = ServiceStatus(state=State.STOPPED, exit_code=1077)
        self.environment: Mapping[str, str] = {}
        self.child_of = 0
        self.is_dead = False
        self.left = 0

    @property
    def pid(self) -> int:
        return self.status.pid

    def crash(self) -> None:
        self.status = ServiceStatus(state=State.STOPPED, exit_code=1067)

    def crash_unnoticed(self) -> None:
        """As :meth:`crash`, but the service manager sees it only when it tries to talk to it."""
        self.is_dead = True

    def notice(self) -> None:
        if self.is_dead:
            self.is_dead = False
            self.crash()

    def look(self) -> ServiceStatus:
        if self.status.state is State.START_PENDING and not self.hangs_in_start:
            self.left -= 1
            if self.left < 0 and self.exit_code:
                self.status = ServiceStatus(state=State.STOPPED, exit_code=self.exit_code)
            elif self.left < 0:
                self.status = ServiceStatus(state=State.RUNNING, pid=self.pid)
        elif self.status.state is State.STOP_PENDING:
            self.status = ServiceStatus(state=State.STOPPED)
        return self.status


class FakeManager:
    """The calls of a service manager, in memory; each may come from any thread."""

    def __init__(self, **services: FakeService) -> None:
        self.services = services
        self.calls: list[str] = []
        self.jobs: list[FakeJob] = []
        self._pids = iter(range(100, 10_000))
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> FakeService:
        if name not in self.services:
            raise ServiceError(f"service {name!r}: Service does not exist (error 1060)")
        return self.services[name]

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(10):
            while not holds():  # noqa: ASYNC110 - the fake tells nobody
                await trio.sleep(0.001)

    def prepare(self, name: str) -> None:
        with self._lock:
            self[name].environment = {}
            self.calls.append(f"prepare {name}")

    def status(self, name: str) -> ServiceStatus:
        with self._lock:
            return self[name].look()

    def start(self, name: str, environment: Mapping[str, str]) -> bool:
        with self._lock:
            service = self[name]
            self.calls.append(f"start {name}")
            if service.status.state is not State.STOPPED:
                service.notice()
                return False
            service.environment = {**environment}
            service.left = service.steps
            service.status = ServiceStatus(state=State.START_PENDING, pid=next(self._pids))
            return True

    def adopt(self, name: str, pid: int) -> FakeJob | None:
        with self._lock:
            if self[name].pid != pid:
                return None
            self.jobs.append(FakeJob(self[name]))
            return self.jobs[-1]

    def dependents(self, name: str) -> Sequence[str]:
        with self._lock:
            return [d for d in self[name].dependents if self[d].status.state is not State.STOPPED]

    def ask_to_stop(self, name: str) -> bool:
        with self._lock:
            service = self[name]
            self.calls.append(f"ask {name}")
            service.notice()
            if service.heeds_stop and service.status.state is State.RUNNING:
                service.status = ServiceStatus(state=State.STOP_PENDING, pid=service.pid)
            return service.status.state is not State.START_PENDING


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in memory takes any time."""
    monkeypatch.setattr(controller_module, "POLL_S", 0.001)
    monkeypatch.setattr(controller_module, "WATCH_S", 0.01)


async def state(controller: ServiceController) -> ServiceState:
    return (await controller.states())["a"]


async def test_adapter_passes_the_conformance_check() -> None:
    """R30, R32, B30, with starts that take steps; a real service manager is in tests/windows."""
    manager = FakeManager(a=FakeService(steps=2))

    @asynccontextmanager
    async def opened(
        units: Sequence[Unit], held_fds: Sequence[int]
    ) -> AsyncGenerator[ServiceController, None]:
        async with control(manager, units) as controller:
            yield controller

    async def crash(controller: ServiceController, name: str) -> None:
        manager[name].crash()

    async def read_environment(controller: ServiceController, name: str) -> Mapping[str, str]:
        return manager[name].environment

    await check_service_controller(opened, UNIT, crash, read_environment)
    assert all(job.closed for job in manager.jobs)


def pending(checkpoint: int, hint_s: float) -> ServiceStatus:
    return ServiceStatus(
        state=State.START_PENDING, pid=1, checkpoint=checkpoint, wait_hint_s=hint_s
    )


@pytest.mark.parametrize(
    ("looks", "bound_at"),
    [
        ([(0.0, pending(0, 30.0))], 30.0),
        ([(0.0, pending(1, 30.0)), (29.0, pending(1, 30.0))], 30.0),  # no progress
        ([(0.0, pending(1, 30.0)), (29.0, pending(1, 90.0))], 30.0),  # another hint is none
        ([(0.0, pending(2, 30.0)), (29.0, pending(1, 30.0))], 30.0),  # nor is a step back
        ([(0.0, pending(1, 30.0)), (29.0, pending(2, 30.0))], 59.0),
        ([(0.0, pending(1, 30.0)), (29.0, pending(2, 20.0)), (48.0, pending(3, 60.0))], 108.0),
        ([(0.0, pending(0, 0.0))], MIN_HINT_S),
        ([(0.0, pending(0, 2**32 / 1000))], MAX_HINT_S),
        ([(0.0, pending(9, 30.0)), (5.0, ServiceStatus(state=State.STOP_PENDING))], 15.0),
    ],
)
def test_each_step_may_take_what_the_service_hints(
    looks: list[tuple[float, ServiceStatus]], bound_at: float
) -> None:
    """R30: the rule of the service manager for pending states."""
    (at, first), *others = looks
    patience = Patience.with_step(first, at)
    for at, status in others:
        patience = patience.after(status, at)
    assert patience.bound_at == pytest.approx(bound_at)


async def test_start_without_progress_is_given_up_and_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R30: what starts too late must not run when nobody expects it any more."""
    monkeypatch.setattr(status_module, "MIN_HINT_S", 0.05)
    manager = FakeManager(a=FakeService(hangs_in_start=True))
    async with control(manager, [UNIT]) as controller:
        with pytest.raises(ServiceError, match="'a': start pending without progress"):
            await controller.start("a", {})
        assert manager["a"].status.state is State.STOPPED
        assert not (await state(controller)).active


async def test_start_that_fails_says_why() -> None:
    manager = FakeManager(a=FakeService(exit_code=1069))
    async with control(manager, [UNIT]) as controller:
        with pytest.raises(ServiceError, match=r"'a': cannot start: error 1069: .*log on"):
            await controller.start("a", {})
        assert await state(controller) == ServiceState(
            active=False, running=False, detail="not started"
        )


async def test_what_an_operator_stops_is_not_active_and_what_crashes_is() -> None:
    """R32: the exit code tells the two apart."""
    manager = FakeManager(a=FakeService())
    async with control(manager, [UNIT]) as controller:
        await controller.start("a", {})
        manager.ask_to_stop("a")
        while (await state(controller)).running:
            await controller.wait_changed()
        assert await state(controller) == ServiceState(
            active=False, running=False, detail="stopped"
        )
        await controller.start("a", {})
        manager["a"].crash()
        assert await state(controller) == ServiceState(
            active=True, running=False, detail="error 1067: its process ended unexpectedly"
        )


async def test_an_end_that_the_service_manager_has_not_noticed() -> None:
    """R32: the job is empty at once, and the next start comes before the service manager looks."""
    manager = FakeManager(a=FakeService())
    async with control(manager, [UNIT]) as controller:
        await controller.start("a", {})
        manager["a"].crash_unnoticed()
        assert await state(controller) == ServiceState(
            active=True, running=False, detail="error 1067: its process ended unexpectedly"
        )
        await controller.start("a", {})
        assert (await state(controller)).running
        manager["a"].crash_unnoticed()
        await controller.stop("a", GRACE_S)
        assert not (await state(controller)).active


async def test_what_an_operator_starts_is_active_and_dies_with_sbs() -> None:
    """R32, B31"""
    manager = FakeManager(a=FakeService())
    async with control(manager, [UNIT]) as controller:
        manager.start("a", {})
        with trio.fail_after(10):
            while not (await state(controller)).running:
                await controller.wait_changed()
        assert (await state(controller)).active
        (job,) = manager.jobs
        assert not job.closed
    assert job.closed
    assert manager["a"].status.state is State.STOPPED


async def test_what_runs_before_sbs_is_stopped() -> None:
    """R30: SBS alone starts services."""
    manager = FakeManager(a=FakeService())
    manager.start("a", {})
    async with control(manager, [UNIT]) as controller:
        assert await state(controller) == ServiceState(
            active=False, running=False, detail="stopped"
        )
    assert manager.calls == ["start a", "prepare a", "ask a"]


async def test_unknown_service_is_refused_before_anything_starts() -> None:
    with pytest.raises(ServiceError, match=r"'b'.*1060"):
        async with control(FakeManager(a=FakeService()), [Unit(name="b")]):
            raise AssertionError("must not open")


async def test_what_needs_a_service_is_stopped_before_it() -> None:
    """R30: Windows refuses to stop a service that another needs."""
    manager = FakeManager(
        a=FakeService(dependents=["c", "b"]), b=FakeService(), c=FakeService(), d=FakeService()
    )
    async with control(manager, [UNIT]) as controller:
        await controller.start("a", {})
        for name in "bcd":
            manager.start(name, {})
            manager.status(name)
        manager.calls.clear()
        await controller.stop("a", GRACE_S)
        assert manager.calls == ["ask c", "ask b", "ask a"]
        assert manager["d"].status.state is State.RUNNING


async def test_a_service_that_does_not_stop_is_killed_with_its_children() -> None:
    """B31: inside the bound."""
    manager = FakeManager(a=FakeService(heeds_stop=False))
    async with control(manager, [UNIT]) as controller:
        await controller.start("a", {})
        manager["a"].child_of = manager["a"].pid
        await controller.stop("a", 0.05)
        assert manager.calls.count("ask a") == 1
        assert manager.jobs[-1].is_empty()
        assert await state(controller) == ServiceState(
            active=False, running=False, detail="stopped"
        )


async def test_a_child_that_outlives_its_service_is_killed() -> None:
    """B31: stopped is when nothing of it runs."""
    manager = FakeManager(a=FakeService())
    async with control(manager, [UNIT]) as controller:
        await controller.start("a", {})
        manager["a"].child_of = manager["a"].pid
        await controller.stop("a", 0.05)
        assert manager["a"].child_of == 0


async def test_a_second_stop_cuts_the_grace_of_the_first() -> None:
    manager = FakeManager(a=FakeService(heeds_stop=False))
    async with control(manager, [UNIT]) as controller, trio.open_nursery() as nursery:
        await controller.start("a", {})
        nursery.start_soon(controller.stop, "a", MAX_GRACE_S)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(10):
            await controller.stop("a", 0.0)


async def test_a_deadline_that_passes_in_a_start_undoes_it() -> None:
    """B3"""
    manager = FakeManager(a=FakeService(steps=100_000))
    async with control(manager, [UNIT]) as controller, trio.open_nursery() as nursery:

        async def start() -> None:
            with pytest.raises(ServiceError, match="stopped while it started"):
                await controller.start("a", {})

        nursery.start_soon(start)
        await manager.until(lambda: manager["a"].pid > 0)
        await controller.guard(guard_clock(), 0.0)
    assert manager["a"].status.state is State.STOPPED


async def test_after_the_deadline_the_detail_says_so() -> None:
    """B3"""
    manager = FakeManager(a=FakeService())
    async with control(manager, [UNIT]) as controller:
        await controller.start("a", {})
        await controller.guard(guard_clock() + 0.01, GRACE_S)
        with trio.fail_after(10):
            while (await state(controller)).running:
                await controller.wait_changed()
        assert await state(controller) == ServiceState(active=True, running=False, detail=EXPIRED)


async def test_what_an_operator_starts_after_the_deadline_is_stopped() -> None:
    """B3"""
    manager = FakeManager(a=FakeService())
    async with control(manager, [UNIT]) as controller:
        await controller.guard(guard_clock(), GRACE_S)
        manager.start("a", {})
        await manager.until(lambda: manager.calls[-1] == "ask a")
        await manager.until(lambda: manager["a"].status.state is State.STOPPED)
        assert not (await state(controller)).running


async def test_promises_nothing_of_a_refused_connection() -> None:
    """B31: docs/windows.md says why."""
    async with control(FakeManager(a=FakeService()), [UNIT]) as controller:
        assert isinstance(controller, WindowsController)
        assert not controller.dies_with_node


@pytest.mark.parametrize("timeout_s", [-1.0, math.inf, math.nan])
async def test_grace_out_of_range_is_refused(timeout_s: float) -> None:
    async with control(FakeManager(a=FakeService()), [UNIT]) as controller:
        with pytest.raises(ServiceError, match="allowed is 0 to 86400"):
            await controller.stop("a", timeout_s)


def test_without_pywin32_the_error_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"services.adapter = 'windows'.*install sbs\[windows\]"):
        load("windows")


async def test_too_many_units_are_refused() -> None:
    units = [Unit(name=str(number)) for number in range(MAX_UNITS + 1)]
    with pytest.raises(ServiceError, match="at most 256"):
        async with control(FakeManager(), units):
            raise AssertionError("must not open")


def test_environment_keeps_what_others_wrote() -> None:
    """B2: SBS_EPOCH of the last start is replaced."""
    present = ["Path=C:\\x", "SBS_EPOCH=2", "OTHER=a=b"]
    assert merge(present, {"SBS_EPOCH": "4", "PATH": "D:\\"}) == [
        "OTHER=a=b",
        "SBS_EPOCH=4",
        "PATH=D:\\",
    ]


@pytest.mark.parametrize(("name", "value"), [("", "a"), ("a=b", "c"), ("a", "b\0c"), ("a\0", "b")])
def test_environment_that_cannot_be_written_is_refused(name: str, value: str) -> None:
    with pytest.raises(ServiceError, match="environment variable"):
        merge([], {name: value})
