"""Pairs of nodes in one program: real folders and state, network and services in memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from sbs.config import FolderSettings, SyncSettings
from sbs.core.claim import Mode, Role
from sbs.core.role import State
from sbs.errors import RefusedError, ReplicationError, StateError
from sbs.ports import Unit
from sbs.replication.following.target import Applied, CommitRecord
from sbs.runtime.node import Node
from sbs.testing.nodes import MemoryNode, wait_until
from sbs.testing.services import open_fake_controller
from tests.runtime.rig import fake, recorded_pair, running

BOTH = ["printer-1", "printer-2"]


def configure(node: MemoryNode, section: str, **changes: object) -> None:
    settings = attrs.evolve(getattr(node.config, section), **changes)
    node.config = attrs.evolve(node.config, **{section: settings})


async def wait_running(node: MemoryNode, names: list[str]) -> None:
    await wait_until(lambda: running(node) == names, f"{names} run on {node.name}")


async def test_the_first_to_start_is_primary_and_updates_the_second(tmp_path: Path) -> None:
    """R1, R3, R20."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        pair.alpha.write("deep/er/a", "one")
        await pair.start()
        await pair.beta.wait_file("deep/er/a", "one")
        assert (running(pair.alpha), running(pair.beta)) == (BOTH, [])
        assert fake(pair.alpha).environments["printer-1"]["SBS_NODE"] == "alpha"
        pair.alpha.write("b", "two")
        await pair.beta.wait_file("b", "two")
        status = await pair.beta.node.status()
        assert status.peer is not None
        assert (status.role, status.peer.role, status.peer.connected) == (
            "secondary",
            "primary",
            True,
        )
        assert status.services.wanted == ("printer-1", "printer-2")
        assert len(recorder.epochs) == 1


async def test_second_node_started_first_leads_whatever_the_priority(tmp_path: Path) -> None:
    """R3."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.beta.start()
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)


async def test_nodes_started_together_settle_on_one_primary(tmp_path: Path) -> None:
    """B1."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.alpha.start()
        await pair.beta.start()
        await wait_until(
            lambda: (
                {pair.alpha.role, pair.beta.role} == {Role.PRIMARY, Role.SECONDARY}
                and sorted(running(pair.alpha) + running(pair.beta)) == BOTH
            ),
            "one leads and one follows",
        )


async def test_takeover_at_once_when_the_port_refuses(tmp_path: Path) -> None:
    """R7: the services that were active start, under a greater epoch."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        # Silence would not lead to a takeover within the test.
        for node in (pair.alpha, pair.beta):
            configure(node, "failover", down_interval_s=3600.0)
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.beta.wait_alarm("no-secondary")
        assert len(recorder.epochs) == 2
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
        assert "no-secondary" not in pair.beta.alarms
        assert running(pair.alpha) == []


async def test_takeover_on_silence_and_one_primary_after_the_heal(tmp_path: Path) -> None:
    """R7, B4: of two primaries one stays, the other stops its services and follows."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        await pair.start()
        pair.cut()
        await wait_running(pair.beta, BOTH)
        assert running(pair.alpha) == BOTH
        await pair.alpha.wait_alarm("no-secondary")
        pair.heal()
        await pair.wait_in_step(pair.beta)
        await wait_running(pair.alpha, [])
        assert running(pair.beta) == BOTH
        assert len(recorder.epochs) == 2
        for node in (pair.alpha, pair.beta):
            await node.wait_no_alarm("dual-primary")
            await node.wait_no_alarm("no-secondary")
        pair.beta.write("after", "heal")
        await pair.alpha.wait_file("after", "heal")


async def test_dual_primary_is_an_alarm_while_it_lasts(tmp_path: Path) -> None:
    """B4: reported on both nodes."""
    async with recorded_pair(tmp_path) as (pair, _):
        seen: dict[str, str] = {}
        await pair.start()
        pair.cut()
        await pair.beta.wait_role(Role.PRIMARY)
        for node in (pair.alpha, pair.beta):
            alarms = node.node.alarms

            def note(code: str, text: str, *, name: str = node.name, then=alarms.raise_) -> None:  # type: ignore[no-untyped-def]
                if code == "dual-primary":
                    seen[name] = text
                then(code, text)

            alarms.raise_ = note  # type: ignore[method-assign]
        pair.heal()
        await pair.wait_in_step(pair.beta)
        assert set(seen) == {"alpha", "beta"}
        assert all("were both primary; beta stays by" in text for text in seen.values()), seen


async def test_hung_primary_is_replaced_and_follows_when_it_resumes(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        configure(pair.beta, "node", priority=300)
        await pair.start()
        pair.network.hang("alpha")
        await wait_running(pair.beta, BOTH)
        pair.network.resume("alpha")
        await pair.wait_in_step(pair.beta)
        await wait_running(pair.alpha, [])


async def test_stop_of_the_primary_hands_over_with_the_last_change(tmp_path: Path) -> None:
    """R8."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        await pair.start()
        pair.alpha.write("last", "word")
        await pair.alpha.stop()
        await wait_running(pair.beta, BOTH)
        assert pair.beta.read("last") == "word"
        assert len(recorder.epochs) == 2
        assert pair.alpha.node.role is Role.STOPPED


async def test_stop_of_a_single_primary_and_of_a_secondary_just_ends(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.beta.stop()
        await pair.alpha.wait_alarm("no-secondary")
        assert running(pair.alpha) == BOTH
        await pair.alpha.stop()


async def test_switchover_exchanges_roles_there_and_back(tmp_path: Path) -> None:
    """B6: nothing that was written is lost."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        await pair.start()
        pair.alpha.write("a", "1")
        await pair.alpha.node.switchover()
        await wait_running(pair.beta, BOTH)
        assert (pair.beta.read("a"), running(pair.alpha)) == ("1", [])
        await pair.wait_in_step(pair.beta)
        pair.beta.write("a", "2")
        await pair.beta.node.switchover()
        await wait_running(pair.alpha, BOTH)
        assert pair.alpha.read("a") == "2"
        assert len(recorder.epochs) == 3


async def test_switchover_is_refused_without_a_secondary_in_step(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.alpha.start()
        await wait_running(pair.alpha, BOTH)
        await wait_until(lambda: pair.alpha.node.model.state is State.PRIMARY, "it serves")
        with pytest.raises(RefusedError, match="no secondary"):
            await pair.alpha.node.switchover()
        await pair.beta.start()
        await pair.wait_in_step(pair.alpha)
        with pytest.raises(RefusedError, match="run this on the primary"):
            await pair.beta.node.switchover()
        assert running(pair.alpha) == BOTH


async def test_switchover_while_others_write_all_the_time(tmp_path: Path) -> None:
    """B6: changes after the last update begin no other one, which would break the handover."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.alpha.node.switchover()
        await pair.wait_in_step(pair.beta)
        leading, other = pair.beta, pair.alpha
        for turn in range(6):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_writing, leading)
                await leading.node.switchover()
                nursery.cancel_scope.cancel()
            await pair.wait_in_step(other)
            assert "handover-failed" not in leading.alarms, turn
            leading, other = other, leading


async def keep_writing(node: MemoryNode) -> None:
    for number in itertools.count():
        node.write("busy", f"{number}")
        await trio.sleep(0.001)


async def test_operators_stop_is_not_undone_by_a_takeover(tmp_path: Path) -> None:
    """R32: exactly the services that were active start."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.alpha.node.stop_unit("printer-1")
        await wait_until(
            lambda: pair.beta.node.model.durable.active == ("printer-2",), "beta knows"
        )
        await pair.alpha.kill()
        await wait_running(pair.beta, ["printer-2"])
        await pair.beta.wait_role(Role.PRIMARY)
        await wait_until(lambda: pair.beta.node.model.state.value == "primary", "it serves")
        await pair.beta.node.start_unit("printer-1")
        assert running(pair.beta) == BOTH
        assert len({env["SBS_EPOCH"] for env in fake(pair.beta).environments.values()}) == 1


async def test_crashed_service_is_an_alarm_and_starts_on_takeover(tmp_path: Path) -> None:
    """R32: one that crashed counts as active."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        fake(pair.alpha).crash("printer-2", "exited with code 7")
        assert "exited with code 7" in await pair.alpha.wait_alarm("service-down")
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)


async def test_units_are_started_on_the_primary_only(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        for call in (pair.beta.node.start_unit, pair.beta.node.stop_unit):
            with pytest.raises(RefusedError, match="run this on the primary"):
                await call("printer-1")
        assert running(pair.beta) == []
        with pytest.raises(RefusedError, match="run this on the primary"):
            await pair.beta.node.sync()


async def test_sync_brings_everything_over_before_it_returns(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        for node in (pair.alpha, pair.beta):
            configure(node, "sync", period_s=3600.0, watch=False)
        await pair.start()
        for number in range(3):
            pair.alpha.write("a", f"{number}")
            update = await pair.alpha.node.sync()
            await pair.beta.wait_file("a", f"{number}")
            assert update is not None
            assert update.files == 1


async def test_folder_that_the_secondary_does_not_allow(tmp_path: Path) -> None:
    """R24: alarms on both nodes, the roles stand, and accept_under lets it in."""
    async with recorded_pair(tmp_path) as (pair, _):
        outside = tmp_path / "outside"
        outside.mkdir()
        pair.alpha.config = attrs.evolve(
            pair.alpha.config,
            folders=(FolderSettings(name="else", path=str(outside)),),
        )
        await pair.alpha.start()
        await wait_running(pair.alpha, BOTH)
        await pair.beta.start()
        await pair.beta.wait_role(Role.SECONDARY)
        for node in (pair.alpha, pair.beta):
            assert "sync.accept_under" in await node.wait_alarm("update-failed")
        with pytest.raises(Exception, match="cannot take these folders"):
            await pair.alpha.node.sync()
        assert (pair.alpha.role, running(pair.beta)) == (Role.PRIMARY, [])
        await pair.beta.stop()
        # On one machine the copy cannot lie where the original does.
        pair.beta.config = attrs.evolve(
            pair.beta.config,
            folders=(FolderSettings(name="else", path=pair.beta.folder),),
        )
        await pair.beta.start()
        await pair.wait_in_step(pair.alpha)
        await pair.alpha.wait_no_alarm("update-failed")


async def test_learned_folder_is_replicated_on_after_a_takeover(tmp_path: Path) -> None:
    """R24: the settings come from the primary and are kept with the generation."""
    async with recorded_pair(tmp_path) as (pair, _):
        shared, moved = tmp_path / "app", tmp_path / "app-of-alpha"
        shared.mkdir()
        folders = (*pair.alpha.config.folders, FolderSettings(name="app", path=str(shared)))
        pair.alpha.config = attrs.evolve(pair.alpha.config, folders=folders)
        configure(pair.beta, "sync", accept_under=(str(tmp_path),))
        (shared / "f").write_text("1")
        await pair.start()
        await pair.alpha.kill()
        shared.rename(moved)
        shared.mkdir()
        (shared / "g").write_text("2")
        pair.alpha.config = attrs.evolve(
            pair.alpha.config,
            folders=(
                *folders[:-1],
                FolderSettings(name="app", path=str(moved)),
            ),
        )
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.alpha.start()
        await pair.wait_in_step(pair.beta)
        await wait_until((moved / "g").exists, "the folder is replicated")
        assert (moved / "g").read_text() == "2"


async def test_service_that_cannot_start_is_an_alarm_and_stays_wanted(tmp_path: Path) -> None:
    """R32: what fails here may start on the other node; the rest starts all the same."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        fake(pair.beta).fail_start("printer-1", "no driver")
        await pair.alpha.node.switchover()
        await wait_running(pair.beta, ["printer-2"])
        assert "no driver" in await pair.beta.wait_alarm("service-failed")
        await pair.wait_in_step(pair.beta)
        fake(pair.beta).crash("printer-2")
        await pair.beta.wait_alarm("service-down")
        await pair.beta.node.start_unit("printer-2")
        assert pair.beta.node.model.durable.active == ("printer-1", "printer-2")
        await pair.beta.node.switchover()
        await wait_running(pair.alpha, BOTH)
        await pair.beta.wait_no_alarm("service-failed")


async def test_service_that_failed_is_started_by_its_operator(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        fake(pair.beta).fail_start("printer-1", "no driver")
        await pair.alpha.node.switchover()
        await pair.wait_in_step(pair.beta)
        await pair.beta.wait_alarm("service-failed")
        fake(pair.beta).allow_start("printer-1")
        await pair.beta.node.start_unit("printer-1")
        await pair.beta.wait_no_alarm("service-failed")
        assert running(pair.beta) == BOTH


async def test_service_that_crashes_while_others_start_is_an_alarm(tmp_path: Path) -> None:
    """B32: also where the crash comes before the node serves."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        controller = fake(pair.beta)
        start = controller.start

        async def start_and_crash(name: str, environment: object) -> None:
            await start(name, environment)  # type: ignore[arg-type]
            if name == "printer-1":
                controller.crash(name, "exited with code 9")
                await trio.sleep(0.02)

        controller.start = start_and_crash  # type: ignore[method-assign]
        await pair.alpha.node.switchover()
        assert "exited with code 9" in await pair.beta.wait_alarm("service-down")


async def test_failing_update_is_an_alarm_until_it_succeeds(tmp_path: Path) -> None:
    """B20: a folder that is gone for a while changes nothing on the secondary."""
    async with recorded_pair(tmp_path) as (pair, _):
        pair.alpha.write("a", "1")
        await pair.start()
        folder, away = pair.alpha.folder, f"{pair.alpha.directory}/away"
        os.rename(folder, away)
        assert "settings" in await pair.alpha.wait_alarm("update-failed")
        with pytest.raises(Exception, match="the update failed"):
            await pair.alpha.node.sync()
        assert pair.beta.read("a") == "1"
        os.rename(away, folder)
        pair.alpha.write("b", "2")
        await pair.alpha.wait_no_alarm("update-failed")
        await pair.beta.wait_file("b", "2")


async def test_index_that_cannot_be_written_ends_no_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: a full state_dir on the primary is an alarm; the secondary does not call in a loop."""

    def full(folder: str, _rows: object) -> None:
        raise StateError(f"no room for the digests of {folder}")

    async with recorded_pair(tmp_path) as (pair, _):
        pair.alpha.write("a", "1")
        await pair.start()
        await pair.wait_in_step(pair.alpha)
        session = pair.alpha.node.model.session
        with monkeypatch.context() as patch:
            patch.setattr(vars(pair.alpha.node.updates)["_index"], "store", full)
            pair.alpha.write("a", "2")
            assert "no room" in await pair.alpha.wait_alarm("update-failed")
        pair.alpha.write("a", "3")
        await pair.beta.wait_file("a", "3")
        await pair.alpha.wait_no_alarm("update-failed")
        assert pair.alpha.node.model.session == session


class FullDisk:
    """Lets the roll-forward of a node fail while :attr:`full`; its journal takes all."""

    def __init__(self, node: MemoryNode) -> None:
        self.full = True
        target = node.node.updates.follower.target
        self._apply = target.apply
        target.apply = self.apply  # type: ignore[method-assign]

    def apply(self, record: CommitRecord, check: Callable[[], object]) -> Applied:
        if self.full:
            raise ReplicationError("no space left")
        return self._apply(record, check)


async def test_services_wait_for_a_generation_that_cannot_be_applied_yet(tmp_path: Path) -> None:
    """B20: a takeover finds exactly the last complete generation."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await wait_until(lambda: pair.beta.node.updates.last_update, "the first one is applied")
        held = pair.beta.node.model.durable.history.number
        disk = FullDisk(pair.beta)
        pair.alpha.write("a", "1")
        assert "cannot be completed" in await pair.beta.wait_alarm("update-failed")
        await wait_until(
            lambda: pair.alpha.node.model.durable.history.number > held, "acknowledged"
        )
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
        assert running(pair.beta) == []
        disk.full = False
        await wait_running(pair.beta, BOTH)
        assert pair.beta.read("a") == "1"
        await pair.beta.wait_no_alarm("update-failed")


async def test_start_that_waits_is_forgotten_when_the_node_is_stopped(tmp_path: Path) -> None:
    """B2, R8: what waited for its data never starts after the stop; the next start finishes it."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await wait_until(lambda: pair.beta.node.updates.last_update, "the first one is applied")
        held = pair.beta.node.model.durable.history.number
        FullDisk(pair.beta)
        pair.alpha.write("a", "1")
        await pair.beta.wait_alarm("update-failed")
        await wait_until(
            lambda: pair.alpha.node.model.durable.history.number > held, "acknowledged"
        )
        pair.cut()
        await pair.beta.wait_role(Role.PRIMARY)
        await pair.beta.stop()
        assert fake(pair.beta).environments == {}, "nothing was ever started on beta"
        assert pair.beta.read("a") is None
        pair.heal()
        await pair.beta.start()
        assert pair.beta.read("a") == "1"
        await wait_until(
            lambda: sorted(running(pair.alpha) + running(pair.beta)) == BOTH, "one serves"
        )


async def test_primary_only_gets_its_role_back(tmp_path: Path) -> None:
    """R4, R5, B5: what the backup did meanwhile comes back first."""
    async with recorded_pair(tmp_path) as (pair, _):
        configure(pair.alpha, "node", mode=Mode.PRIMARY_ONLY)
        configure(pair.beta, "node", mode=Mode.BACKUP_ONLY)
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        pair.beta.write("meanwhile", "1")
        await pair.alpha.start()
        await wait_running(pair.alpha, BOTH)
        assert pair.alpha.read("meanwhile") == "1"
        await pair.wait_in_step(pair.alpha)


async def test_second_node_of_an_only_mode_refuses_to_start(tmp_path: Path) -> None:
    """R6."""
    async with recorded_pair(tmp_path) as (pair, _):
        for node in (pair.alpha, pair.beta):
            configure(node, "node", mode=Mode.PRIMARY_ONLY)
        await pair.alpha.start()
        await wait_running(pair.alpha, BOTH)
        later = Node(
            pair.beta.config,
            transport=pair.network.transport("beta"),
            services=open_fake_controller,
        )
        with pytest.raises(RefusedError, match="both nodes are primary-only"):
            await later.run()
        await pair.alpha.wait_alarm("mode-clash")
        assert running(pair.alpha) == BOTH


async def test_hooks_run_on_both_nodes(tmp_path: Path) -> None:
    """R25: update hook on the primary, apply hook on the secondary, transition hooks on both."""
    async with recorded_pair(tmp_path) as (pair, _):
        for node in (pair.alpha, pair.beta):
            export = f"{node.folder}/exported"
            configure(
                node,
                "hooks",
                update=(("sh", "-c", f"test -e {export} || echo x > {export}; echo {export}"),),
                apply=(("sh", "-c", f"echo applied $SBS_GENERATION >> {node.directory}/log"),),
                transition=(("sh", "-c", f'echo "$SBS_ROLE $SBS_EPOCH" >> {node.directory}/log'),),
            )
        await pair.start()
        await pair.beta.wait_file("exported", "x\n")
        log = Path(pair.beta.directory) / "log"
        await wait_until(lambda: "applied 1" in log.read_text(), "the apply hook has run")
        assert "secondary" in log.read_text()
        await pair.alpha.stop()
        text = (Path(pair.alpha.directory) / "log").read_text()
        epoch = pair.alpha.node.model.primacy.number
        assert f"primary {epoch}\n" in text
        assert text.splitlines()[-1].startswith("stopped ")


async def test_failing_hooks_are_alarms_and_hold_nothing_up(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        for node in (pair.alpha, pair.beta):
            configure(node, "hooks", update=(("false",),), apply=(("false",),))
            configure(node, "hooks", transition=(("false",),))
        await pair.start()
        pair.alpha.write("a", "1")
        await pair.beta.wait_file("a", "1")
        await pair.alpha.wait_alarm("update-hook-failed")
        await pair.beta.wait_alarm("apply-hook-failed")
        await pair.beta.wait_alarm("transition-hook-failed")


async def test_hook_that_prints_odd_paths_is_survived(tmp_path: Path) -> None:
    """R25: whatever it prints, updates go on."""
    async with recorded_pair(tmp_path) as (pair, _):
        configure(pair.alpha, "hooks", update=(("printf", r"a\0b\n\377\n/\n\nrelative\n../..\n"),))
        await pair.start()
        pair.alpha.write("a", "1")
        await pair.beta.wait_file("a", "1")


async def test_update_without_watching_waits_for_the_period(tmp_path: Path) -> None:
    """R20."""
    async with recorded_pair(tmp_path) as (pair, _):
        pair.alpha.config = attrs.evolve(
            pair.alpha.config, sync=SyncSettings(period_s=0.05, watch=False)
        )
        await pair.start()
        pair.alpha.write("a", "1")
        await pair.beta.wait_file("a", "1")


async def test_unit_that_only_one_node_has_is_named(tmp_path: Path) -> None:
    async with recorded_pair(tmp_path) as (pair, _):
        configure(pair.alpha, "services", unit=(*pair.alpha.config.services.unit, Unit(name="p3")))
        await pair.start()
        await pair.alpha.kill()
        await wait_running(pair.beta, BOTH)
        assert "p3: not configured here" in await pair.beta.wait_alarm("service-failed")
