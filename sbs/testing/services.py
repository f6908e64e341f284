"""A service controller in memory, and what every service controller must fulfil."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal, TypeAlias

import attrs
import trio

from sbs.errors import ServiceError
from sbs.ports import ServiceController, ServiceFactory, ServiceState, Unit, guard_clock

Crash: TypeAlias = Callable[[ServiceController, str], Awaitable[None]]
"""Makes a running service end by itself, as a fault would; need not wait for the end."""

ReadEnvironment: TypeAlias = Callable[[ServiceController, str], Awaitable[Mapping[str, str]]]
"""Returns the environment a running service really has."""

CHANGE_BOUND_S = 10.0
"""How long a check waits for a service to start, end or change: far more than any should need."""

GRACE_S = 5.0
"""The grace given to services in checks."""

GUARD_S = 0.1
"""From now to the deadline in checks."""


@attrs.frozen(kw_only=True)
class Call:
    """One call that a :class:`FakeController` received."""

    method: Literal["start", "stop"]
    name: str
    environment: Mapping[str, str] = attrs.field(factory=dict[str, str])
    timeout_s: float = 0.0


class FakeController:
    """A :class:`sbs.ports.ServiceController` that only remembers.

    Args:
        units: the configured units.
        dies_with_node: what the property says.
    """

    def __init__(self, units: Sequence[Unit], *, dies_with_node: bool = True) -> None:
        self.calls: list[Call] = []
        self.environments: dict[str, Mapping[str, str]] = {}
        self._states = {unit.name: ServiceState(active=False, running=False) for unit in units}
        self._failures: dict[str, str] = {}
        self._dies_with_node = dies_with_node
        self._changed = trio.Event()
        self.testament: bytes = b""
        self._deadline_at = math.inf

    @property
    def dies_with_node(self) -> bool:
        """As given to the constructor."""
        return self._dies_with_node

    @property
    def present(self) -> Mapping[str, ServiceState]:
        """What :meth:`states` tells, without waiting."""
        self._left_s()
        return {**self._states}

    def fail_start(self, name: str, cause: str = "told to fail") -> None:
        """Let every later start of ``name`` fail, until :meth:`allow_start`."""
        self._failures[name] = cause

    def allow_start(self, name: str) -> None:
        """Undo :meth:`fail_start`."""
        self._failures.pop(name, None)

    def crash(self, name: str, detail: str = "exited with code 1") -> None:
        """Let a running service end by itself: it stays active (R32)."""
        if not self._state(name).running:
            raise ServiceError(f"service {name!r} does not run: it cannot crash")
        self._set(name, active=True, running=False, detail=detail)

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """See :meth:`sbs.ports.ServiceController.start`."""
        state = self._state(name)
        await trio.lowlevel.checkpoint()
        self.calls.append(Call(method="start", name=name, environment={**environment}))
        if self._left_s() <= 0:
            raise ServiceError(f"service {name!r}: not started: its time has passed")
        if (cause := self._failures.get(name)) is not None:
            raise ServiceError(f"service {name!r}: cannot start: {cause}")
        if not state.running:
            self.environments[name] = {**environment}
            self._set(name, active=True, running=True, detail="running")

    async def stop(self, name: str, timeout_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.stop`."""
        self._state(name)
        await trio.lowlevel.checkpoint()
        self.calls.append(Call(method="stop", name=name, timeout_s=timeout_s))
        self._set(name, active=False, running=False, detail="stopped")

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of every configured unit."""
        await trio.lowlevel.checkpoint()
        self._left_s()
        return {**self._states}

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.guard`; whoever looks or waits sees it heeded."""
        del grace_s
        await trio.lowlevel.checkpoint()
        self._deadline_at = math.inf if deadline_at is None else deadline_at
        self._changed.set()

    def _left_s(self) -> float:
        """How long services may run; when it is over, they do not."""
        left_s = self._deadline_at - guard_clock()
        if left_s <= 0:
            for name, state in self._states.items():
                if state.running:
                    self._set(name, active=True, running=False, detail="its time had passed")
        return left_s

    async def bequeath(self, testament: bytes) -> None:
        """See :meth:`sbs.ports.ServiceController.bequeath`; a fake is asked by the test."""
        await trio.lowlevel.checkpoint()
        self.testament = testament

    async def wait_changed(self) -> None:
        """Return when some state may have changed since the last call of this method."""
        left_s = self._left_s()
        with trio.move_on_after(math.inf if left_s <= 0 else left_s):
            await self._changed.wait()
        self._left_s()
        self._changed = trio.Event()

    def _state(self, name: str) -> ServiceState:
        if name not in self._states:
            raise ServiceError(f"no service {name!r}; configured are: {', '.join(self._states)}")
        return self._states[name]

    def _set(self, name: str, *, active: bool, running: bool, detail: str) -> None:
        self._states[name] = ServiceState(active=active, running=running, detail=detail)
        self._changed.set()


@asynccontextmanager
async def open_fake_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AsyncGenerator[FakeController, None]:
    """A :data:`sbs.ports.ServiceFactory` of fakes; nothing is held, for nothing can survive."""
    await trio.lowlevel.checkpoint()
    del held_fds
    yield FakeController(units)


async def check_service_controller(
    open_controller: ServiceFactory,
    unit: Unit,
    crash: Crash,
    read_environment: ReadEnvironment | None = None,
) -> None:
    """Check that a controller keeps the promises of :class:`sbs.ports.ServiceController`.

    Args:
        open_controller: the adapter.
        unit: one that can be started, runs until it is stopped, and stops within
            :data:`GRACE_S` when asked.
        crash: makes it end by itself.
        read_environment: shows what reached it; leave it out where services have none.

    Raises:
        AssertionError: a promise is broken; the text says which.
    """
    checks = (
        _check_start_stop,
        _check_changes,
        _check_cancelled_stop,
        _check_unknown,
        _check_guard,
    )
    for check in checks:
        async with open_controller([unit], []) as controller:
            await check(controller, unit.name)
    async with open_controller([unit], []) as controller:
        await _check_crash(controller, unit.name, crash)
    if read_environment is not None:
        async with open_controller([unit], []) as controller:
            await _check_environment(controller, unit.name, read_environment)


async def _require(
    controller: ServiceController, name: str, *, active: bool, running: bool, when: str
) -> None:
    states = await controller.states()
    assert list(states) == [name], f"states() must name every configured unit, not {list(states)}"
    state = states[name]
    assert state.active == active, f"{when}: active must be {active}, is {state}"
    assert state.running == running, f"{when}: running must be {running}, is {state}"
    assert "\n" not in state.detail, f"{when}: detail must be one line, is {state.detail!r}"


async def _check_start_stop(controller: ServiceController, name: str) -> None:
    await _require(controller, name, active=False, running=False, when="before the first start")
    await controller.stop(name, GRACE_S)
    await _require(controller, name, active=False, running=False, when="after a needless stop")
    for _ in range(2):
        await controller.start(name, {})
        await _require(controller, name, active=True, running=True, when="after start")
        before = (await controller.states())[name]
        await controller.start(name, {})
        after = (await controller.states())[name]
        assert before == after, f"start of a running service must change nothing: {after}"
        await controller.stop(name, GRACE_S)
        await _require(controller, name, active=False, running=False, when="after stop")
        await controller.stop(name, 0.0)
        await _require(controller, name, active=False, running=False, when="after a second stop")


async def _check_changes(controller: ServiceController, name: str) -> None:
    start, stop = partial(controller.start, name, {}), partial(controller.stop, name, GRACE_S)
    for what, act in (("start", start), ("stop", stop)):
        with trio.move_on_after(CHANGE_BOUND_S) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(controller.wait_changed)
                await act()
        assert not scope.cancelled_caught, f"{what} must wake wait_changed()"


async def _check_cancelled_stop(controller: ServiceController, name: str) -> None:
    for then_start in (True, False):
        await controller.start(name, {})
        with trio.CancelScope() as scope:
            scope.cancel()
            await controller.stop(name, GRACE_S)
        assert scope.cancelled_caught, "stop must heed a cancellation that came before it"
        async with trio.open_nursery() as nursery:
            # Another one, cancelled in the middle if it takes any time at all.
            nursery.start_soon(controller.stop, name, GRACE_S)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        if then_start:
            await controller.start(name, {})
            await _require(
                controller, name, active=True, running=True, when="started after a cancelled stop"
            )
        await controller.stop(name, GRACE_S)
        await _require(controller, name, active=False, running=False, when="after a second stop")


async def _check_unknown(controller: ServiceController, name: str) -> None:
    unknown = f"no-{name}"
    for what, call in (
        ("start", partial(controller.start, unknown, {})),
        ("stop", partial(controller.stop, unknown, GRACE_S)),
    ):
        try:
            await call()
        except ServiceError as error:
            text = str(error)
        else:
            raise AssertionError(f"{what} of an unknown unit must raise ServiceError")
        assert unknown in text, f"{what} of an unknown unit: the error must name it: {text}"
    await _require(controller, name, active=False, running=False, when="after unknown names")


async def _wait_until_not_running(controller: ServiceController, name: str) -> None:
    with trio.move_on_after(CHANGE_BOUND_S):
        while (await controller.states())[name].running:
            await controller.wait_changed()
        return
    raise AssertionError("an end must wake wait_changed() and show in states()")


async def _check_crash(controller: ServiceController, name: str, crash: Crash) -> None:
    await controller.start(name, {})
    await crash(controller, name)
    await _wait_until_not_running(controller, name)
    await _require(controller, name, active=True, running=False, when="after a crash (R32)")
    assert (await controller.states())[name].detail, "after a crash detail must say what happened"
    await controller.start(name, {})
    await _require(controller, name, active=True, running=True, when="started after a crash")
    await crash(controller, name)
    await _wait_until_not_running(controller, name)
    await controller.stop(name, GRACE_S)
    await _require(controller, name, active=False, running=False, when="stopped after a crash")


async def _check_guard(controller: ServiceController, name: str) -> None:
    def soon() -> float:
        return guard_clock() + GUARD_S

    await controller.start(name, {})
    await controller.guard(soon(), GRACE_S)
    await controller.guard(None, GRACE_S)
    await trio.sleep(2 * GUARD_S)
    await _require(controller, name, active=True, running=True, when="after a deadline was lifted")
    await controller.guard(soon(), GRACE_S)
    await _wait_until_not_running(controller, name)
    await _require(controller, name, active=True, running=False, when="after the deadline (B3)")
    assert (await controller.states())[name].detail, "after the deadline detail must say so"
    try:
        await controller.start(name, {})
    except ServiceError:
        await controller.guard(soon() + GRACE_S, GRACE_S)
    else:
        raise AssertionError("nothing must start while a deadline has passed")
    await controller.start(name, {})
    await _require(controller, name, active=True, running=True, when="after a new deadline")
    await controller.guard(0.0, 0.0)
    await _wait_until_not_running(controller, name)
    await controller.guard(None, GRACE_S)
    await controller.stop(name, GRACE_S)


async def _check_environment(
    controller: ServiceController, name: str, read_environment: ReadEnvironment
) -> None:
    for epoch in ("2", "5"):
        wanted = {"SBS_EPOCH": epoch, "SBS_CHECK": "\u00e4 = \n;$x"}
        await controller.start(name, wanted)
        found = await read_environment(controller, name)
        for key, value in wanted.items():
            assert found.get(key) == value, f"{key} must be {value!r}, is {found.get(key)!r}"
        await controller.stop(name, GRACE_S)
