from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from sbs.errors import ServiceError
from sbs.ports import ServiceController, ServiceState, Unit
from sbs.testing.services import (
    Call,
    FakeController,
    check_service_controller,
    open_fake_controller,
)

UNIT = Unit(name="printer-1")


async def crash(controller: ServiceController, name: str) -> None:
    assert isinstance(controller, FakeController)
    controller.crash(name)


async def read_environment(controller: ServiceController, name: str) -> Mapping[str, str]:
    assert isinstance(controller, FakeController)
    return controller.environments[name]


async def test_fake_passes_the_conformance_check() -> None:
    assert isinstance(FakeController([UNIT]), ServiceController)
    await check_service_controller(open_fake_controller, UNIT, crash, read_environment)


async def test_fake_records_calls_and_fails_on_demand() -> None:
    controller = FakeController([UNIT], dies_with_node=False)
    assert not controller.dies_with_node
    controller.fail_start("printer-1", "out of paper")
    with pytest.raises(ServiceError, match=r"'printer-1'.*out of paper"):
        await controller.start("printer-1", {"SBS_EPOCH": "2"})
    controller.allow_start("printer-1")
    await controller.start("printer-1", {"SBS_EPOCH": "4"})
    await controller.stop("printer-1", 3.0)
    assert controller.calls == [
        Call(method="start", name="printer-1", environment={"SBS_EPOCH": "2"}),
        Call(method="start", name="printer-1", environment={"SBS_EPOCH": "4"}),
        Call(method="stop", name="printer-1", timeout_s=3.0),
    ]
    with pytest.raises(ServiceError, match="does not run"):
        controller.crash("printer-1")


class ForgetsCrashed(FakeController):
    def _set(self, name: str, *, active: bool, running: bool, detail: str) -> None:
        super()._set(name, active=active and running, running=running, detail=detail)


class TellsNobody(FakeController):
    async def wait_changed(self) -> None:
        await super().wait_changed()
        await super().wait_changed()


class LosesEnvironment(FakeController):
    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        await super().start(name, {})


class TakesAnyName(FakeController):
    def _state(self, name: str) -> ServiceState:
        return self._states.get(name, ServiceState(active=False, running=False))


class NeverEnds(FakeController):
    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        await trio.lowlevel.checkpoint()


class StartsTooLate(FakeController):
    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        deadline_at, self._deadline_at = self._deadline_at, math.inf
        await super().start(name, environment)
        self._deadline_at = deadline_at


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (ForgetsCrashed, "after the deadline"),
        (TellsNobody, "must wake wait_changed"),
        (LosesEnvironment, "SBS_EPOCH must be '2'"),
        (TakesAnyName, "unknown unit must raise ServiceError"),
        (NeverEnds, "an end must wake"),
        (StartsTooLate, "nothing must start while a deadline has passed"),
    ],
)
async def test_check_finds_a_broken_controller(
    broken: type[FakeController], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbs.testing.services.CHANGE_BOUND_S", 0.5)

    @asynccontextmanager
    async def open_broken(
        units: Sequence[Unit], held_fds: Sequence[int]
    ) -> AsyncGenerator[FakeController, None]:
        yield broken(units)

    with pytest.raises(AssertionError, match=says):
        await check_service_controller(open_broken, UNIT, crash, read_environment)
