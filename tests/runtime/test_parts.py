"""Alarms, slots, services, control socket and loop, each by itself."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from sbs.core import events as ev
from sbs.core.address import Address
from sbs.core.effects import Durable, Effect, Exit
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.guard import Cause, Held, Reason
from sbs.core.role import Model, Settings, State
from sbs.errors import NotRunningError, RefusedError, SbsError, ServiceError, StateError
from sbs.ports import Unit
from sbs.replication.leading.preview import Change, Preview, PreviewedChange
from sbs.runtime.alarms import Alarms
from sbs.runtime.lasting.slots import first_slot
from sbs.runtime.loop import MAX_INBOX, RoleLoop
from sbs.runtime.operating import client, control
from sbs.runtime.operating.requests import Operated, Requests
from sbs.runtime.operating.status import Status, Switchover
from sbs.runtime.serving.services import Services, matched
from sbs.runtime.updating.keeping import Restored, Standing
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.verifier import Verification
from sbs.testing.services import FakeController

# Alarms.


def test_alarm_keeps_its_time_and_takes_a_new_text() -> None:
    times = iter([5.0, 3.0])
    alarms = Alarms(lambda: next(times))
    alarms.raise_("a", "one")
    alarms.raise_("b", "x")
    alarms.raise_("a", "two")
    assert [(each.code, each.text, each.since) for each in alarms.standing] == [
        ("b", "x", 3.0),
        ("a", "two", 5.0),
    ]
    alarms.clear("a")
    alarms.clear("never raised")
    assert [each.code for each in alarms.standing] == ["b"]


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
    assert under.active(await under.states()) == ("a",)
    assert codes(alarms) == ["service-failed"]


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


# Control socket.


class FakeNode:
    def __init__(self) -> None:
        self.stopped = trio.Event()
        self.units: list[str] = []

    async def status(self) -> Status:
        raise SbsError("no status today")

    async def stop(self) -> None:
        self.stopped.set()

    async def switchover(self, *, dry_run: bool = False) -> Switchover:
        raise RefusedError("there is no secondary")

    async def takeover(self, *, force: bool) -> None:
        self.units.append(f"takeover {force}")

    async def pause(self) -> None:
        self.units.append("pause")

    async def resume(self) -> None:
        self.units.append("resume")

    async def sync(self, *, accepted: str = "", quick: bool = False) -> LastUpdate | None:
        await trio.lowlevel.checkpoint()
        if quick:
            self.units.append("quick")
        if accepted:
            raise RefusedError(f"{accepted} is not what is held")
        return LastUpdate(at=1.0, files=2, bytes=3, duration_s=4.0)

    async def verify(self, bytes_s: float = 0.0) -> Verification:
        self.units.append(f"verify {bytes_s}")
        return Verification(files=3)

    async def diff(self) -> Preview:
        await trio.lowlevel.checkpoint()
        reason = Reason("data", Cause.EMPTIED, "no file is left")
        return Preview(
            added=1,
            changed=0,
            unsure=0,
            deleted=0,
            bytes=3,
            held=Held(id="1234abcd", deletes=1, reasons=(reason,)),
            paths=(PreviewedChange(change=Change.ADD, folder="data", path="\udcff", bytes=3),),
        )

    async def start_unit(self, name: str, *, again: bool = False) -> None:
        self.units.append(f"{'-' if again else ''}+{name}")

    async def stop_unit(self, name: str) -> str:
        self.units.append(f"-{name}")
        return "no licence"


class FakeVersions:
    def look(self) -> Standing:
        return Standing(name="alpha", folders={"data": "/srv/data"}, newest=7, refusal="")

    async def restore(self, folder: str, path: str, generation: int) -> Restored:
        if folder != "data":
            raise RefusedError(f"no {folder}")
        return Restored.EDITED if (path, generation) == ("file", 5) else Restored.NOTHING


@asynccontextmanager
async def controlled(state_dir: Path) -> AsyncGenerator[FakeNode, None]:
    node: FakeNode = FakeNode()
    operated: Operated = node
    requests = Requests(operated, str(state_dir), FakeVersions())
    async with trio.open_nursery() as nursery, requests:
        nursery.start_soon(requests.serve_forever)
        yield node
        nursery.cancel_scope.cancel()
    assert client.SOCKET_NAME not in os.listdir(state_dir)


async def test_commands_reach_the_node(tmp_path: Path) -> None:
    async with controlled(tmp_path) as node:
        state_dir = str(tmp_path)
        assert await control.ask(state_dir, "sync") == {
            "at": 1.0,
            "files": 2,
            "bytes": 3,
            "duration_s": 4.0,
        }
        assert node.units == []
        await control.ask(state_dir, "sync", quick=True)
        assert node.units.pop() == "quick"
        with pytest.raises(RefusedError, match="1234 is not what is held"):
            await control.ask(state_dir, "sync", accept="1234")
        found = await control.ask(state_dir, "verify", bytes_s=7)
        assert (found["files"], found["paths"], node.units.pop()) == (3, [], "verify 7")
        with pytest.raises(SbsError, match="a number from 0"):
            await control.ask(state_dir, "verify", bytes_s="fast")
        assert await control.ask(state_dir, "diff") == {
            "added": 1,
            "changed": 0,
            "unsure": 0,
            "deleted": 0,
            "bytes": 3,
            "held": {
                "id": "1234abcd",
                "deletes": 1,
                "reasons": [{"folder": "data", "cause": "emptied", "text": "no file is left"}],
            },
            "paths": [{"change": "add", "folder": "data", "path": "\udcff", "bytes": 3}],
        }
        with pytest.raises(RefusedError, match="no secondary"):
            await control.ask(state_dir, "switchover")
        with pytest.raises(SbsError, match="no status today"):
            await control.ask(state_dir, "status")
        with pytest.raises(SbsError, match="unknown command 'dance'; this node knows status"):
            await control.ask(state_dir, "dance")
        assert await control.ask(state_dir, "unit-start", name="a") is None
        await control.ask(state_dir, "unit-start", name="a", again=True)
        assert await control.ask(state_dir, "unit-stop", name="a") == "no licence"
        await control.ask(state_dir, "takeover")
        await control.ask(state_dir, "takeover", force=True)
        await control.ask(state_dir, "pause")
        await control.ask(state_dir, "resume")
        units = ["+a", "-+a", "-a"]
        assert node.units == [*units, "takeover False", "takeover True", "pause", "resume"]
        held = Standing.from_json(await control.ask(state_dir, "folders"))
        assert held == FakeVersions().look()
        wanted: dict[str, Any] = {"folder": "data", "path": "file", "generation": 5}
        assert await control.ask(state_dir, "restore", **wanted) == Restored.EDITED
        with pytest.raises(RefusedError, match="no other"):
            await control.ask(state_dir, "restore", **wanted | {"folder": "other"})
        with pytest.raises(SbsError, match="generation True: allowed is an integer"):
            await control.ask(state_dir, "restore", **wanted | {"generation": True})


async def test_socket_is_for_the_nodes_account_alone(tmp_path: Path) -> None:
    async with controlled(tmp_path):
        assert os.stat(tmp_path / client.SOCKET_NAME).st_mode & 0o077 == 0


async def test_end_of_the_node_is_the_answer_to_stop(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        ended: list[str] = []

        async def ask() -> None:
            with pytest.raises(NotRunningError, match="ended before it answered"):
                await control.ask(str(tmp_path), "stop")
            ended.append("yes")

        async with controlled(tmp_path) as node:
            nursery.start_soon(ask)
            await node.stopped.wait()
            await trio.sleep(0.01)
            assert ended == []
    assert ended == ["yes"]


async def test_long_socket_path(tmp_path: Path) -> None:
    """A Unix socket's path holds 107 bytes; a state directory's holds more."""
    long = tmp_path.joinpath(*["d" * 60] * 5)
    long.mkdir(parents=True)
    assert len(str(long)) > client.MAX_SOCKET_PATH
    async with controlled(long):
        assert (await control.ask(str(long), "sync"))["files"] == 2


async def test_socket_of_a_killed_node_is_replaced(tmp_path: Path) -> None:
    (tmp_path / client.SOCKET_NAME).write_text("")
    async with controlled(tmp_path):
        assert (await control.ask(str(tmp_path), "sync"))["files"] == 2


async def test_no_node(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="no node is running"):
        await control.ask(str(tmp_path), "status")
    with pytest.raises(NotRunningError, match="no node is running"):
        await control.ask(str(tmp_path / "missing"), "status")
    listener = await control.bind(str(tmp_path))
    await listener.aclose()
    with pytest.raises(NotRunningError, match="no node is running"):
        await control.ask(str(tmp_path), "status")


async def test_node_that_does_not_answer(tmp_path: Path) -> None:
    listener = await control.bind(str(tmp_path))
    with pytest.raises(NotRunningError, match=r"did not answer in 0\.1 s"):
        await control.ask(str(tmp_path), "status", timeout_s=0.1)
    await listener.aclose()


async def test_socket_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / client.SOCKET_NAME).mkdir()
    with pytest.raises(StateError, match="control socket"):
        await control.bind(str(tmp_path))
    with pytest.raises(StateError, match="control socket"):
        await control.bind(str(tmp_path / "missing"))


async def test_cancelled_bind_leaves_no_socket(tmp_path: Path) -> None:
    opened = os.listdir("/proc/self/fd")
    with trio.CancelScope() as scope:
        scope.cancel()
        await control.bind(str(tmp_path))
    assert scope.cancelled_caught
    assert os.listdir("/proc/self/fd") == opened
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\n",
        b"{\n",
        b"[]\n",
        b"5\n",
        b"[" * 100_000 + b"\n",
        b"{}",
        b"",
        b'{"command": {"a": 1}}\n',
        b'{"command": "unit-start"}\n',
        b"x" * (client.MAX_LINE_BYTES + 70_000),
    ],
)
async def test_garbage_on_the_control_socket_harms_nobody(data: bytes, tmp_path: Path) -> None:
    async with controlled(tmp_path) as node:
        stream = await trio.open_unix_socket(str(tmp_path / client.SOCKET_NAME))
        async with stream:
            with trio.move_on_after(5) as bound:
                try:
                    await stream.send_all(data)
                    await stream.send_eof()
                    answer = await control.read_line(stream)
                except trio.BrokenResourceError:
                    answer = None
            assert not bound.cancelled_caught
        if answer is not None and not answer["ok"]:
            assert "unknown command" in answer["error"]
        assert (await control.ask(str(tmp_path), "sync"))["files"] == 2
        assert node.units in ([], ["+None"])


async def test_request_that_does_not_arrive_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sbs.runtime.operating.requests.READ_TIMEOUT_S", 0.05)
    async with controlled(tmp_path):
        stream = await trio.open_unix_socket(str(tmp_path / client.SOCKET_NAME))
        async with stream:
            await stream.send_all(b'{"command"')
            assert await stream.receive_some() == b""


async def test_line_is_written_and_read_whole() -> None:
    left, right = trio.testing.memory_stream_pair()
    value: Mapping[str, Any] = {"text": "\n\u00e4", "list": [1, None]}
    await control.write_line(left, value)
    assert await control.read_line(right) == json.loads(json.dumps(value))


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
