"""B32: what ended is started again within limits; then it is an alarm, or the role goes away."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
import trio

from sbs.config import ServiceSettings
from sbs.core.claim import Role
from sbs.runtime.alarms import StandingAlarm
from sbs.testing.nodes import UNITS, MemoryNode, MemoryPair, memory_pair, wait_until
from sbs.testing.services import FakeController

QUICK = ServiceSettings(unit=UNITS, restart_limit=2, restart_period_s=600.0, restart_delay_s=0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbs.runtime.serving.attendant.LOOK_S", 0.05)


def fake(node: MemoryNode) -> FakeController:
    assert isinstance(node.controller, FakeController)
    return node.controller


def configure(pair: MemoryPair, settings: ServiceSettings) -> None:
    for node in (pair.alpha, pair.beta):
        node.config = attrs.evolve(node.config, services=settings)


def runs(node: MemoryNode, name: str) -> bool:
    return fake(node).present[name].running


async def crash_often(node: MemoryNode, name: str, times: int) -> None:
    for turn in range(times):
        await wait_until(lambda: runs(node, name), f"{name} runs, turn {turn}")
        fake(node).crash(name, f"exited with code {turn}")


async def restarts(node: MemoryNode) -> dict[str, int]:
    return {**(await node.node.status()).services.restarts}


async def test_crashed_service_is_started_again(tmp_path: Path) -> None:
    """B32: with the token of the present primacy, counted in the status; the alarm ends."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, QUICK)
        await pair.start()
        before = fake(pair.alpha).environments["printer-1"]
        fake(pair.alpha).crash("printer-1")
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it runs again")
        assert fake(pair.alpha).environments["printer-1"] == before
        await pair.alpha.wait_no_alarm("service-down")
        assert await restarts(pair.alpha) == {"printer-1": 1}


async def test_past_the_limit_the_alarm_stays(tmp_path: Path) -> None:
    """B32, R32: it counts as active, and the other services are left alone."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, QUICK)
        await pair.start()
        await crash_often(pair.alpha, "printer-1", 3)
        assert await pair.alpha.wait_alarm("service-given-up") == (
            "printer-1: exited with code 2; given up after 2 restarts within 600 s; mend it, then "
            "sbs unit start printer-1; if the mistake is in the configuration file: restart SBS"
        )
        assert "service-down" not in pair.alpha.alarms
        assert await restarts(pair.alpha) == {"printer-1": 2}
        assert pair.alpha.node.model.durable.active == ("printer-1", "printer-2")
        assert runs(pair.alpha, "printer-2")
        assert pair.alpha.role is Role.PRIMARY
        await pair.alpha.node.start_unit("printer-1")
        await pair.alpha.wait_no_alarm("service-given-up")
        fake(pair.alpha).crash("printer-1")  # its operator's start has begun a new count
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it is started again")


async def test_what_ends_again_and_again_is_told_though_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B32: found by a newcomer; the alarm is one, and stays while it runs and ends."""
    monkeypatch.setattr("sbs.core.restarts.APART_S", 0.1)
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, restart_limit=100))
        await pair.start()
        await crash_often(pair.alpha, "printer-1", 1)
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it runs again")
        await trio.sleep(0.2)
        assert "service-unstable" not in pair.alpha.alarms  # once is an accident
        await crash_often(pair.alpha, "printer-1", 1)
        text = await pair.alpha.wait_alarm("service-unstable")
        assert text.startswith("printer-1: it ended again within 600 s, and was started again")
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it runs again")
        await pair.alpha.wait_no_alarm("service-down")
        (before,) = unstable(pair.alpha)
        await crash_often(pair.alpha, "printer-1", 1)
        await pair.alpha.wait_alarm("service-down")
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it runs again")
        await pair.alpha.wait_no_alarm("service-down")
        assert unstable(pair.alpha) == [before]
        await pair.alpha.node.stop_unit("printer-1")
        await pair.alpha.wait_no_alarm("service-unstable")


def unstable(node: MemoryNode) -> list[StandingAlarm]:
    return [each for each in node.node.alarms.standing if each.code == "service-unstable"]


async def test_what_is_unstable_ends_with_the_primacy_or_after_a_period(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B32"""
    monkeypatch.setattr("sbs.core.restarts.APART_S", 0.0)
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, restart_limit=100))
        await pair.start()
        await crash_often(pair.alpha, "printer-1", 2)
        await pair.alpha.wait_alarm("service-unstable")
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it runs again")
        await pair.alpha.node.switchover()
        assert "service-unstable" not in pair.alpha.alarms
        await pair.alpha.kill()
        await pair.beta.kill()
        configure(pair, attrs.evolve(QUICK, restart_limit=100, restart_period_s=1.0))
        await pair.start()
        leader = pair.alpha if pair.alpha.role is Role.PRIMARY else pair.beta
        await crash_often(leader, "printer-1", 2)
        await leader.wait_alarm("service-unstable")
        await leader.wait_no_alarm("service-unstable")
        assert runs(leader, "printer-1")


async def test_operators_start_begins_a_new_count_even_if_it_ends_at_once(tmp_path: Path) -> None:
    """B32"""
    async with memory_pair(tmp_path) as pair:
        configure(pair, QUICK)
        await pair.start()
        await crash_often(pair.alpha, "printer-1", 3)
        await pair.alpha.wait_alarm("service-given-up")
        await pair.alpha.node.start_unit("printer-1")
        fake(pair.alpha).crash("printer-1")  # before anybody looks
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it is started again")
        assert "service-given-up" not in pair.alpha.alarms


async def test_what_cannot_be_started_is_given_up_too(tmp_path: Path) -> None:
    """B32: until its operator stops it."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, QUICK)
        await pair.start()
        fake(pair.beta).fail_start("printer-1", "no driver")
        await pair.alpha.node.switchover()
        text = await pair.beta.wait_alarm("service-given-up")
        assert "cannot start: no driver; given up after 2 restarts within 600 s; mend it" in text
        assert "service-failed" not in pair.beta.alarms
        await pair.beta.node.stop_unit("printer-1")
        await pair.beta.wait_no_alarm("service-given-up")


async def test_another_primacy_ends_what_was_given_up(tmp_path: Path) -> None:
    """B32: the role goes and comes back; it is started anew."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, restart_limit=0))
        await pair.start()
        fake(pair.alpha).crash("printer-1")
        await pair.alpha.wait_alarm("service-given-up")
        await pair.alpha.node.switchover()
        await pair.alpha.wait_no_alarm("service-given-up")
        await pair.wait_in_step(pair.beta)
        await pair.beta.node.switchover()
        await wait_until(lambda: runs(pair.alpha, "printer-1"), "it runs again")
        assert "service-given-up" not in pair.alpha.alarms


async def test_no_restart_where_the_manager_does_it(tmp_path: Path) -> None:
    """B32: ``restart_limit = 0``; the alarm ends when the manager has started it."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, restart_limit=0))
        await pair.start()
        fake(pair.alpha).crash("printer-1", "gone")
        assert "restart_limit is 0" in await pair.alpha.wait_alarm("service-given-up")
        assert not runs(pair.alpha, "printer-1")
        assert await restarts(pair.alpha) == {}
        await fake(pair.alpha).start("printer-1", {})
        await pair.alpha.wait_no_alarm("service-given-up")


async def test_failed_start_is_tried_again(tmp_path: Path) -> None:
    """B32: what cannot be started now may be a moment later."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, restart_limit=100))
        await pair.start()
        fake(pair.beta).fail_start("printer-1", "no driver")
        await pair.alpha.node.switchover()
        assert "no driver" in await pair.beta.wait_alarm("service-failed")
        fake(pair.beta).allow_start("printer-1")
        await pair.beta.wait_no_alarm("service-failed")
        assert runs(pair.beta, "printer-1")


async def test_operators_stop_ends_the_restarts(tmp_path: Path) -> None:
    """R32, B32: it shall not run."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, restart_delay_s=0.5))
        await pair.start()
        fake(pair.alpha).crash("printer-1")
        await pair.alpha.wait_alarm("service-down")
        await pair.alpha.node.stop_unit("printer-1")
        await pair.alpha.wait_no_alarm("service-down")
        await wait_until(
            lambda: pair.alpha.node.model.durable.active == ("printer-2",), "the list is told"
        )
        await trio.sleep(0.7)  # it would have been due
        assert not runs(pair.alpha, "printer-1")


async def test_service_that_cannot_run_moves_the_role_once(tmp_path: Path) -> None:
    """B32: to the other node, where it is started; failing there too, it does not come back."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, on_failure="handover", restart_limit=1))
        await pair.start()
        await crash_often(pair.alpha, "printer-1", 2)
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: runs(pair.beta, "printer-1"), "it runs on beta")
        await pair.wait_in_step(pair.beta)
        assert pair.alpha.role.value == "secondary"
        await crash_often(pair.beta, "printer-1", 2)
        await wait_until(
            lambda: "not handed over" in pair.beta.alarms.get("service-given-up", ""), "it says so"
        )
        text = pair.beta.alarms["service-given-up"]
        assert "the other node handed the role over less than 3600 s ago" in text
        assert [pair.alpha.role.value, pair.beta.role.value] == ["secondary", "primary"]
        await pair.beta.node.switchover()  # by hand; alpha remembers that it gave the role away
        await pair.wait_in_step(pair.alpha)
        await crash_often(pair.alpha, "printer-1", 2)
        await wait_until(
            lambda: "not handed over" in pair.alpha.alarms.get("service-given-up", ""), "it says so"
        )
        assert pair.alpha.role.value == "primary"


async def test_role_waits_for_a_secondary_that_can_take_it(tmp_path: Path) -> None:
    """B32: without one the alarm stands, and when it comes the role goes."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, on_failure="handover", restart_limit=0))
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)
        await wait_until(lambda: pair.alpha.node.model.state.value == "primary", "it serves")
        fake(pair.alpha).crash("printer-1")
        await wait_until(
            lambda: "no secondary" in pair.alpha.alarms.get("service-given-up", ""), "it says so"
        )
        await pair.beta.start()
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: runs(pair.beta, "printer-1"), "it runs on beta")


async def test_pause_keeps_the_role(tmp_path: Path) -> None:
    """B6, B32: nothing moves by itself in maintenance."""
    async with memory_pair(tmp_path) as pair:
        configure(pair, attrs.evolve(QUICK, on_failure="handover", restart_limit=0))
        await pair.start()
        await pair.alpha.node.pause()
        fake(pair.alpha).crash("printer-1")
        await wait_until(
            lambda: "takeovers are paused" in pair.alpha.alarms.get("service-given-up", ""),
            "it says so",
        )
        await pair.alpha.node.resume()
        await pair.beta.wait_role(Role.PRIMARY)
