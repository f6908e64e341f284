"""What a licence lets a running node start (R40 to R44)."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from sbs.core.claim import Mode, Role
from sbs.core.licence import Kind, Standing, Start
from sbs.core.role import State
from sbs.errors import LicenceError, RefusedError, ReplicationError
from sbs.ports import LicenceOptions, LicensePolicy
from sbs.replication.following.target import Target
from sbs.runtime.serving import licensing, succession
from sbs.runtime.serving.licensing import admit
from sbs.testing.licences import FakePolicy, licence
from sbs.testing.nodes import MemoryNode, MemoryPair, memory_pair, wait_until
from tests.runtime.rig import fake, running

BOTH = ["printer-1", "printer-2"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licensing, "LOOK_S", 0.05)


@asynccontextmanager
async def licensed_pair(directory: Path) -> AsyncGenerator[tuple[MemoryPair, FakePolicy], None]:
    """alpha needs no licence; beta has a ``backup`` one."""
    policy = FakePolicy()
    policy.put(licence(Kind.BACKUP, "beta"), "beta")
    async with memory_pair(directory) as pair:
        pair.beta.licence = policy.open
        yield pair, policy


async def wait_running(node: MemoryNode, names: list[str]) -> None:
    """Wait until exactly these run, and the node may be asked to start or stop one."""

    def serves() -> bool:
        return running(node) == names and node.node.model.state is State.PRIMARY

    await wait_until(serves, f"{names} run on {node.name}")


async def status(node: MemoryNode) -> tuple[str | None, bool, bool]:
    """Kind, grant, and whether services are withheld."""
    found = (await node.node.status()).licence
    assert found is not None
    return found.kind, found.granted, bool(found.refusal)


async def wait_told(node: MemoryNode, text: str) -> None:
    await wait_until(lambda: node.alarms.get("licence") == text, f"{text} is told")


async def start_leading(node: MemoryNode) -> None:
    await node.start()
    await wait_until(lambda: node.node.model.state is State.PRIMARY, f"{node.name} leads")


async def start_withheld(node: MemoryNode) -> None:
    await start_leading(node)
    await node.wait_alarm("licence")


async def test_a_direct_start_under_backup_starts_no_service_and_says_so(tmp_path: Path) -> None:
    """R41: it leads all the same, and what was enabled is what a takeover starts (R32)."""
    async with licensed_pair(tmp_path) as (pair, _):
        await start_withheld(pair.beta)
        assert "licence 2026-17 is of the kind backup" in pair.beta.alarms["licence"]
        assert "no other node answered" in pair.beta.alarms["licence"]
        assert await status(pair.beta) == ("backup", False, True)
        for name in BOTH:
            with pytest.raises(LicenceError, match="kind backup"):
                await pair.beta.node.start_unit(name)
        assert running(pair.beta) == []
        found = (await pair.beta.node.status()).services
        assert (found.active, found.wanted) == ((), tuple(BOTH))
        await pair.alpha.start()  # it may serve: as soon as it is in step it gets the role
        await wait_running(pair.alpha, BOTH)
        await pair.wait_in_step(pair.alpha)
        await pair.beta.wait_no_alarm("licence")


async def test_a_primary_that_may_not_serve_stays_while_it_is_paused(tmp_path: Path) -> None:
    """B6, R41: its follower starts what was withheld, should it be lost."""
    async with licensed_pair(tmp_path) as (pair, _):
        await start_withheld(pair.beta)
        await pair.beta.node.pause()
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
        await trio.sleep(4 * licensing.LOOK_S)
        assert pair.beta.role is Role.PRIMARY
        await pair.beta.node.resume()
        await wait_running(pair.alpha, BOTH)


async def test_a_takeover_under_backup_starts_all_and_outlives_sbs(tmp_path: Path) -> None:
    """R42, R43: a crash of SBS keeps the grant, an orderly stop ends it."""
    async with licensed_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        assert await status(pair.beta) == ("backup", True, False)
        await pair.beta.kill()
        await pair.beta.start()
        await wait_running(pair.beta, BOTH)
        assert "licence" not in pair.beta.alarms
        await pair.beta.stop()
        await start_withheld(pair.beta)
        assert running(pair.beta) == []


async def test_an_operators_stop_of_all_ends_the_grant(tmp_path: Path) -> None:
    """R43: at once, and durably when the command returns; of one of them it does not."""
    async with licensed_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        node = pair.beta.node
        assert await node.stop_unit("printer-1") == ""
        await node.start_unit("printer-1")
        await node.stop_unit("printer-1")
        await node.start_unit("printer-2", again=True)
        assert [call.method for call in fake(pair.beta).calls[-2:]] == ["stop", "start"]
        assert running(pair.beta) == ["printer-2"]
        assert "stopped by hand" in await node.stop_unit("printer-2")
        with pytest.raises(LicenceError, match="stopped by hand"):
            await node.start_unit("printer-1")
        await pair.beta.kill()
        await start_leading(pair.beta)
        with pytest.raises(LicenceError, match="kind backup"):
            await pair.beta.node.start_unit("printer-1")
        assert running(pair.beta) == []


async def test_a_full_licence_that_is_put_in_place_starts_what_was_withheld(tmp_path: Path) -> None:
    """R44"""
    async with licensed_pair(tmp_path) as (pair, policy):
        await start_withheld(pair.beta)
        await pair.beta.node.stop_unit("printer-2")
        policy.put(licence(Kind.FULL, "beta"), "beta")
        await wait_running(pair.beta, ["printer-1"])
        await pair.beta.wait_no_alarm("licence")
        assert await status(pair.beta) == ("full", False, False)
        await pair.beta.kill()
        await pair.beta.start()
        await wait_running(pair.beta, ["printer-1"])


async def test_what_runs_is_never_stopped_for_a_licence(tmp_path: Path) -> None:
    """B40: one that ends or vanishes is an alarm; a takeover is allowed, a direct start is not."""
    async with licensed_pair(tmp_path) as (pair, policy):
        policy.put(licence(Kind.FULL, "beta", days_left=3), "beta")
        await pair.beta.start()
        await wait_running(pair.beta, BOTH)
        assert "ends in 3 days" in await pair.beta.wait_alarm("licence")
        for absent in (licence(Kind.FULL, "beta", days_left=0), None):
            policy.put(absent, "beta")
            await wait_told(pair.beta, policy.standing.problem)
        assert running(pair.beta) == BOTH
        with pytest.raises(LicenceError, match="there is no licence"):
            await pair.beta.node.start_unit("printer-1")
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
        await pair.beta.node.switchover()
        await wait_running(pair.alpha, BOTH)
        await pair.wait_in_step(pair.alpha)
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)


async def test_without_a_licence_a_node_does_not_run(tmp_path: Path) -> None:
    """B40"""
    async with licensed_pair(tmp_path) as (pair, policy):
        ended = licence(Kind.BACKUP, "beta", days_left=0)
        for absent in (None, licence(Kind.FULL, "alpha"), ended):
            policy.put(absent, "beta")
            with pytest.raises(LicenceError) as caught:
                await pair.beta.start()
            assert str(caught.value) == policy.standing.problem


async def test_a_takeover_goes_on_after_a_crash_although_the_licence_has_ended(
    tmp_path: Path,
) -> None:
    """R43, B40"""
    async with licensed_pair(tmp_path) as (pair, policy):
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        policy.put(licence(Kind.BACKUP, "beta", days_left=0), "beta")
        await pair.beta.wait_alarm("licence")
        await pair.beta.kill()
        await pair.beta.start()
        await wait_running(pair.beta, BOTH)
        await pair.beta.stop()
        with pytest.raises(LicenceError, match="ended on"):
            await pair.beta.start()


class Failing(FakePolicy):
    """Fails in the way that it is told to."""

    fault = ""

    async def look(self) -> Standing:
        match self.fault:
            case "hangs":
                await trio.sleep_forever()
            case "broken":
                raise RuntimeError("a bug")
        return await super().look()

    def refusal(self, standing: Standing, start: Start) -> str:
        if self.fault == "broken":
            raise RuntimeError("a bug")
        return super().refusal(standing, start)


@asynccontextmanager
async def failing_pair(directory: Path) -> AsyncGenerator[tuple[MemoryPair, Failing], None]:
    """As :func:`licensed_pair`."""
    policy = Failing()
    policy.put(licence(Kind.BACKUP, "beta"), "beta")
    async with memory_pair(directory) as pair:
        pair.beta.licence = policy.open
        yield pair, policy


def lose(policy: Failing, how: str) -> None:
    match how:
        case "missing":
            policy.put(None, "beta")
        case "unknown":
            policy.unknown = "the server is away"
        case _:
            policy.fault = how


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "in memory: there is no licence; put one there"),
        ("unknown", "the licence stands cannot be found out (the server is away)"),
        ("hangs", "cannot be found out (there was no answer within 0.05 s)"),
        ("broken", "failed in a way it must not, with RuntimeError"),
    ],
)
async def test_a_takeover_goes_on_after_a_crash_although_no_licence_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, says: str
) -> None:
    """R43: what it lies on may be what has failed; the alarm says so, and it ends as any other."""
    async with failing_pair(tmp_path) as (pair, policy):
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        await pair.beta.kill()
        lose(policy, how)
        if how == "hangs":
            monkeypatch.setattr(licensing, "LOOK_BOUND_S", 0.05)
            monkeypatch.setattr(licensing, "FIRST_BOUND_S", 0.05)
        await pair.beta.start()
        await wait_running(pair.beta, BOTH)
        assert says in await pair.beta.wait_alarm("licence")
        await pair.beta.stop()
        with pytest.raises(LicenceError) as caught:
            await pair.beta.start()
        assert says in str(caught.value)


async def test_a_takeover_does_not_go_on_under_the_licence_of_another_node(tmp_path: Path) -> None:
    """B40, R43"""
    async with licensed_pair(tmp_path) as (pair, policy):
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        await pair.beta.kill()
        policy.put(licence(Kind.FULL, "alpha"), "beta")
        with pytest.raises(LicenceError, match="the licence is for alpha"):
            await pair.beta.start()


async def test_a_policy_that_breaks_its_contract_ends_no_node(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B40, R42: its bug is logged once, refuses what is no takeover, and hinders none."""
    async with failing_pair(tmp_path) as (pair, policy):
        await pair.start()
        policy.fault = "broken"
        assert "in a way it must not" in await pair.beta.wait_alarm("licence")
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        await trio.sleep(4 * licensing.LOOK_S)
        logged = [record for record in caplog.records if "this is a bug of it" in record.message]
        assert [record.exc_info is not None for record in logged] == [True]
        for name in BOTH:
            await pair.beta.node.stop_unit(name)
        with pytest.raises(LicenceError, match="no service is started: the licence adapter failed"):
            await pair.beta.node.start_unit("printer-1")
        policy.fault = ""
        await pair.beta.wait_no_alarm("licence")


async def test_a_forced_takeover_before_the_first_copy_is_complete_starts_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R42: the primary is lost although this node holds nothing of it yet."""

    def fail(*_: object, **__: object) -> None:
        raise ReplicationError("no room")

    monkeypatch.setattr(Target, "begin", fail)
    async with licensed_pair(tmp_path) as (pair, _):
        await start_leading(pair.alpha)
        await pair.beta.start()
        await pair.beta.wait_role(Role.SECONDARY)
        await pair.alpha.kill()
        await pair.beta.wait_alarm("no-generation")
        await pair.beta.node.takeover(force=True)
        await wait_running(pair.beta, BOTH)
        assert await status(pair.beta) == ("backup", True, False)


async def test_what_was_known_last_counts_where_nothing_can_be_found_out(tmp_path: Path) -> None:
    """B40: the alarm says so."""
    async with licensed_pair(tmp_path) as (pair, policy):
        policy.put(licence(Kind.FULL, "beta"), "beta")
        await pair.beta.start()
        await wait_running(pair.beta, BOTH)
        policy.unknown = "the server is away"
        assert "(the server is away); what was known" in await pair.beta.wait_alarm("licence")
        await pair.beta.node.stop_unit("printer-1")
        await pair.beta.node.start_unit("printer-1")
        policy.unknown = ""
        await pair.beta.wait_no_alarm("licence")


async def test_a_look_that_hangs_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B40: the question is given up; a takeover does not even ask it."""
    async with failing_pair(tmp_path) as (pair, policy):
        await pair.start()
        policy.fault = "hangs"
        monkeypatch.setattr(licensing, "LOOK_BOUND_S", 0.05)
        monkeypatch.setattr(licensing, "FIRST_BOUND_S", 0.05)
        assert "no answer within 0.05 s" in await pair.beta.wait_alarm("licence")
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        with pytest.raises(LicenceError, match=r"found out \(there was no answer within 0.05 s\)"):
            await admit(policy, granted=False)


async def test_a_policy_of_another_package(tmp_path: Path) -> None:
    """B40: its rule decides, and is told who asks."""

    class OfficeHours(FakePolicy):
        def refusal(self, standing: Standing, start: Start) -> str:
            return "closed" if start.by_operator else ""

    policy = OfficeHours()

    @asynccontextmanager
    async def open_policy(options: LicenceOptions) -> AsyncGenerator[LicensePolicy, None]:
        assert options.node == "alpha"
        await trio.lowlevel.checkpoint()
        yield policy

    async with memory_pair(tmp_path) as pair:
        pair.alpha.licence = open_policy
        await pair.alpha.start()
        await wait_running(pair.alpha, BOTH)
        with pytest.raises(LicenceError, match="closed"):
            await pair.alpha.node.start_unit("printer-1")


# R44: a full licence on the backup server.


def be(node: MemoryNode, mode: Mode) -> None:
    node.config = attrs.evolve(node.config, node=attrs.evolve(node.config.node, mode=mode))


async def test_a_full_licence_turns_the_backup_into_the_main_server(tmp_path: Path) -> None:
    """R44: in order, and once; nothing of the services' data is lost (R8)."""
    async with licensed_pair(tmp_path) as (pair, policy):
        await pair.start()
        policy.put(None, "beta")  # the old one is removed first
        await pair.beta.wait_alarm("licence")
        pair.alpha.write("a", "the last")
        policy.put(licence(Kind.FULL, "beta"), "beta")
        await wait_running(pair.beta, BOTH)
        await pair.wait_in_step(pair.beta)
        assert pair.beta.read("a") == "the last"
        await pair.beta.node.switchover()
        await pair.wait_in_step(pair.alpha)
        await trio.sleep(4 * licensing.LOOK_S)
        assert pair.alpha.role is Role.PRIMARY  # an operator's word is the last


async def test_another_licence_of_the_same_kind_changes_no_role(tmp_path: Path) -> None:
    """R44: renewing one is none; nor is a backup licence on the main server."""
    async with licensed_pair(tmp_path) as (pair, policy):
        policy.put(licence(Kind.FULL, "beta", days_left=1), "beta")
        await pair.start()
        for found in (
            licence(Kind.FULL, "beta", days_left=0),
            licence(Kind.FULL, "beta"),
            licence(Kind.BACKUP, "beta"),
        ):
            policy.put(found, "beta")
            await trio.sleep(4 * licensing.LOOK_S)
            assert pair.alpha.role is Role.PRIMARY


async def test_roles_are_not_exchanged_while_takeovers_are_paused(tmp_path: Path) -> None:
    """B6, R44"""
    async with licensed_pair(tmp_path) as (pair, policy):
        await pair.start()
        await pair.alpha.node.pause()
        await wait_until(lambda: pair.beta.node.model.durable.pause.on, "beta is told")
        policy.put(licence(Kind.FULL, "beta"), "beta")
        await trio.sleep(4 * licensing.LOOK_S)
        assert pair.alpha.role is Role.PRIMARY
        await pair.alpha.node.resume()
        await wait_running(pair.beta, BOTH)


@pytest.mark.parametrize(
    "modes", [(Mode.PRIMARY_ONLY, Mode.BACKUP_ONLY), (Mode.PRIMARY_ONLY, Mode.SYMMETRIC)]
)
async def test_modes_that_keep_the_roles(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, modes: tuple[Mode, Mode]
) -> None:
    """R4, R44: the role would go back; the log says what to set."""
    async with licensed_pair(tmp_path) as (pair, policy):
        for node, mode in zip((pair.alpha, pair.beta), modes, strict=True):
            be(node, mode)
        await pair.start()
        policy.put(licence(Kind.FULL, "beta"), "beta")
        await wait_until(lambda: "the modes keep alpha primary" in caplog.text, "it is told")
        assert pair.alpha.role is Role.PRIMARY


async def test_a_primary_that_cannot_hand_over_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R44, B22: its update is held; it is asked again later."""
    monkeypatch.setattr(succession, "PAUSE_S", 0.2)
    async with licensed_pair(tmp_path) as (pair, policy):
        sync = attrs.evolve(pair.alpha.config.sync, strict_delete=True)
        pair.alpha.config = attrs.evolve(pair.alpha.config, sync=sync)
        for number in range(3):
            pair.alpha.write(str(number), "x")
        await pair.start()
        await pair.beta.wait_file("2", "x")
        for number in range(3):
            os.unlink(os.path.join(pair.alpha.folder, str(number)))
        await pair.alpha.wait_alarm("update-held")
        policy.put(licence(Kind.FULL, "beta"), "beta")
        await trio.sleep(0.5)
        assert pair.alpha.role is Role.PRIMARY
        assert running(pair.alpha) == BOTH
        pair.alpha.write("3", "x")
        pair.alpha.write("2", "x")
        pair.alpha.write("1", "x")
        await wait_running(pair.beta, BOTH)


async def test_a_primary_whose_last_update_failed_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R44, B6: the update of a handover would fail as well; it is asked again later."""
    monkeypatch.setattr(succession, "PAUSE_S", 0.2)

    def fail(*_: object, **__: object) -> None:
        raise ReplicationError("no room")

    async with licensed_pair(tmp_path) as (pair, policy):
        await pair.start()
        epoch, calls = pair.alpha.node.model.primacy, len(fake(pair.alpha).calls)
        with monkeypatch.context() as patch:
            patch.setattr(Target, "begin", fail)
            pair.alpha.write("a", "1")
            await pair.alpha.wait_alarm("update-failed")
            with pytest.raises(RefusedError, match=r"the last update failed: .*no room; when that"):
                await pair.alpha.node.switchover()
            policy.put(licence(Kind.FULL, "beta"), "beta")
            await trio.sleep(0.5)
            assert pair.alpha.node.model.primacy == epoch
            later = fake(pair.alpha).calls[calls:]
            assert not [call for call in later if call.method == "stop"]
        pair.alpha.write("a", "2")
        await wait_running(pair.beta, BOTH)
        assert pair.beta.read("a") == "2"
