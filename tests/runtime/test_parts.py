"""Alarms, slots, services and loop, each by itself."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from sbs.core import events as ev
from sbs.core.address import Address
from sbs.core.alarm import Alarm
from sbs.core.effects import Durable, Effect, Exit
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.role import Model, Settings, State
from sbs.errors import RefusedError, ServiceError
from sbs.ports import Unit
from sbs.runtime.alarms import Alarms
from sbs.runtime.lasting.slots import first_slot
from sbs.runtime.loop import MAX_INBOX, RoleLoop
from sbs.runtime.serving.services import Services, matched
from sbs.testing.services import FakeController

# Alarms.


def test_alarm_keeps_its_time_and_takes_a_new_text() -> None:
    times = iter([5.0, 3.0])
    alarms = Alarms(lambda: next(times))
    alarms.raise_(Alarm.WATCH_FAILED, "one")
    alarms.raise_(Alarm.LICENCE, "x")
    alarms.raise_(Alarm.WATCH_FAILED, "two")
    assert [(each.code, each.text, each.since) for each in alarms.standing] == [
        ("licence", "x", 3.0),
        ("watch-failed", "two", 5.0),
    ]
    alarms.clear(Alarm.WATCH_FAILED)
    alarms.clear(Alarm.INSECURE)
    assert [each.code for each in alarms.standing] == ["licence"]
    alarms.tell(Alarm.LICENCE, ("y", "z"))
    assert alarms.text(Alarm.LICENCE) == "y; z"
    alarms.tell(Alarm.LICENCE, ())
    assert alarms.standing == ()


# Slots.


@pytest.mark.parametrize(
    ("listen", "peer", "slot"),
    [
        ("10.0.0.1:1", "10.0.0.2:1", 0),
        ("10.0.0.10:1", "10.0.0.9:1", 1),
        ("127.0.0.1:2", "127.0.0.1:1", 1),
        ("localhost:1", "127.0.0.1:2", 0),
        ("alpha:1", "beta:1", 0),
        ("[::1]:1", "127.0.0.1:1", 1),
        ("0.0.0.0:1", "127.0.0.1:2", 0),
        ("[::]:2", "127.0.0.1:1", 1),
    ],
)
async def test_nodes_choose_different_slots(listen: str, peer: str, slot: int) -> None:
    """B2."""
    ours, theirs = Address.parse(listen), Address.parse(peer)
    assert await first_slot(ours, theirs) == slot
    if "0.0.0.0" not in listen and "::]" not in listen:
        assert await first_slot(theirs, ours) == 1 - slot


async def test_slot_without_a_route_rests_on_the_configuration() -> None:
    peer = Address.parse("name.invalid:1")
    assert await first_slot(Address.parse("0.0.0.0:1"), peer) in (0, 1)


# Services.

UNITS = [Unit(name="a"), Unit(name="b", enabled=False)]


def services(controller: FakeController, alarms: Alarms) -> Services:
    return Services(UNITS, controller, alarms, stop_bound_s=1.0, environment={"X": "y"})


def codes(alarms: Alarms) -> list[str]:
    return [alarm.code for alarm in alarms.standing]


async def test_services_start_with_the_epoch_and_stop_all() -> None:
    """B2."""
    controller, alarms = FakeController(UNITS), Alarms()
    under = services(controller, alarms)
    assert under.enabled == ("a",)
    assert await under.start(["b", "a"], Epoch(4, 1)) == ("a", "b")
    assert controller.environments["a"] == {"X": "y", "SBS_EPOCH": "9"}
    await under.stop()
    assert {call.timeout_s for call in controller.calls if call.method == "stop"} == {1.0}
    assert not any(state.active for state in (await under.states()).values())


def test_a_pattern_gives_its_settings_to_the_units_it_meant() -> None:
    """An entry of its own comes before any pattern."""
    units = [Unit(name="printer-*", enabled=False), Unit(name="printer-1"), Unit(name="[w]eb")]
    found = matched(units, ["printer-1", "printer-2", "web"])
    assert found == (
        Unit(name="printer-1"),
        Unit(name="printer-2", enabled=False),
        Unit(name="web"),
    )


async def test_units_start_neither_before_nor_after_a_primacy() -> None:
    """B2: the order of an operator that comes during the handover is refused, not late."""
    controller, alarms = FakeController(UNITS), Alarms()
    under = services(controller, alarms)
    with pytest.raises(RefusedError):
        await under.start_one("a")
    await under.start([], Epoch(1, 0))
    await under.start_one("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(under.stop)
        await trio.testing.wait_all_tasks_blocked()
        for call in (under.start_one, under.stop_one):
            with pytest.raises(RefusedError, match="other node"):
                await call("b")
    assert [call.method for call in controller.calls][-2:] == ["stop", "stop"]


async def test_unknown_unit_is_an_error() -> None:
    under = services(FakeController(UNITS), Alarms())
    await under.start([], Epoch(1, 0))
    with pytest.raises(ServiceError, match="no service 'c'"):
        await under.start_one("c")


async def test_what_is_restarted_counts_as_active_whatever_becomes_of_it() -> None:
    """R32"""
    controller, alarms = FakeController(UNITS), Alarms()
    under = services(controller, alarms)
    await under.start(["a"], Epoch(1, 0))
    await under.restart_one("a")
    assert [call.method for call in controller.calls] == ["start", "stop", "start"]
    controller.fail_start("a")
    with pytest.raises(ServiceError, match="cannot start"):
        await under.restart_one("a")
    states = await under.states()
    assert under.active(states) == ("a",)
    assert under.missing(states) == ["a"]
    assert codes(alarms) == ["service-failed"]
    await under.stop()
    assert under.missing(states) == ()


async def test_what_is_withheld_counts_as_active_until_it_is_stopped() -> None:
    """R32, R41"""
    controller, alarms = FakeController(UNITS), Alarms()
    under = services(controller, alarms)
    assert await under.start(["a", "b", "c"], Epoch(1, 0), withhold=True) == ("a", "b")
    assert controller.calls == []
    await under.stop_one("b")
    assert under.active(await under.states()) == ("a",)
    await under.start_withheld()
    assert [call.name for call in controller.calls if call.method == "start"] == ["a"]
    assert not under.withheld
    await under.stop()
    await under.start(["a"], Epoch(2, 0), withhold=True)
    await under.stop()
    await under.start_withheld()
    assert not (await under.states())["a"].running
    assert not under.withheld


async def test_failed_start_is_an_alarm_until_the_operator_mends_it() -> None:
    controller, alarms = FakeController(UNITS), Alarms()
    under = services(controller, alarms)
    controller.fail_start("a")
    assert await under.start(["a", "b", "c"], Epoch(1, 0)) == ("a", "b")
    assert codes(alarms) == ["service-failed"]
    assert "c: not configured here" in alarms.standing[0].text
    controller.allow_start("a")
    await under.start_one("a")
    assert "a" not in alarms.standing[0].text.split(":")[0]
    await under.stop()
    assert codes(alarms) == []


class Immortal(FakeController):
    async def stop(self, name: str, timeout_s: float) -> None:
        await super().stop(name, timeout_s)
        if name == "a":
            raise ServiceError("service 'a' survives the kill")


async def test_service_that_survives_its_stop_is_an_alarm() -> None:
    controller, alarms = Immortal(UNITS), Alarms()
    under = services(controller, alarms)
    await under.start(["a", "b"], Epoch(1, 0))
    await under.stop()
    assert codes(alarms) == ["service-not-stopped"]
    assert ("stop", "b") in [(call.method, call.name) for call in controller.calls]


async def test_crash_is_an_alarm_until_it_runs_again() -> None:
    controller, alarms = FakeController(UNITS), Alarms()
    under = services(controller, alarms)
    await under.start(["a"], Epoch(1, 0))
    controller.crash("a", "exited with code 5")
    states = await under.settled_states()
    under.check_running(states)
    assert under.active(states) == ("a",)
    assert alarms.standing[0].text == "a: exited with code 5"
    await under.start_one("a")
    under.check_running(await under.states())
    assert codes(alarms) == []


# Loop.


async def test_a_loop_that_has_ended_settles_at_once() -> None:
    settings = Settings(node_id="0" * 32, name="a", probe_timeout_s=60.0)
    model = Model(settings=settings, durable=Durable(slot=0, epoch=NO_EPOCH))
    loop = RoleLoop(model, lambda effect: None, lambda number: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run)
        await loop.post(ev.PauseAsked(1, on=True))
        await loop.settle()
        assert loop.model.durable.pause.on
        loop.end()
        nursery.start_soon(loop.post, ev.Heard())
        nursery.start_soon(loop.settle)
        nursery.start_soon(loop.settle)
    await loop.settle()


def role_loop(effects: list[Effect]) -> RoleLoop:
    settings = Settings(node_id="0" * 32, name="a", heartbeat_interval_s=0.01)
    model = Model(settings=settings, durable=Durable(slot=0, epoch=NO_EPOCH))
    return RoleLoop(model, effects.append, lambda _: None)


async def test_loop_performs_and_ends() -> None:
    effects: list[Effect] = []
    loop = role_loop(effects)

    def perform(effect: Effect) -> None:
        effects.append(effect)
        if isinstance(effect, Exit):
            loop.end()

    loop._perform = perform
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run)
        await loop.post(ev.StopAsked())
    assert loop.model.state is State.STOPPED
    assert isinstance(effects[-1], Exit)
    assert loop.ended
    for _ in range(MAX_INBOX + 1):
        await loop.post(ev.StopAsked())  # means nothing any more, and waits for nobody


async def test_inbox_is_bounded() -> None:
    loop = role_loop([])
    for _ in range(MAX_INBOX):
        await loop.post(ev.Heard())
    with trio.move_on_after(0.01) as scope:
        await loop.post(ev.Heard())
    assert scope.cancelled_caught


async def test_time_in_which_the_node_did_not_run_is_no_silence(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    loop = role_loop([])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run)
        await trio.sleep(0.015)
        autojump_clock.autojump_threshold = 1000.0
        autojump_clock.jump(100.0)
        autojump_clock.autojump_threshold = 0.0
        await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    assert "did not run for 100" in caplog.text
