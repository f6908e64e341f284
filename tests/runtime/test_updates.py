"""Sessions of the replicated folders."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio
import trio.testing

from sbs.config import parse
from sbs.core.alarm import Alarm
from sbs.core.claim import Role
from sbs.core.connection import Side
from sbs.core.epoch import Epoch
from sbs.core.guard import Cause
from sbs.core.history import History
from sbs.core.messages import PROTOCOL_VERSION, Folders, Hello
from sbs.core.role import Model, State
from sbs.errors import RefusedError
from sbs.runtime.alarms import Alarms
from sbs.runtime.linking.link import Link
from sbs.runtime.operating import client
from sbs.runtime.operating.rehearsal import check_stop
from sbs.runtime.updating.updates import Updates
from sbs.testing.nodes import MemoryNode, MemoryPair, wait_until
from tests.core.role.scenarios import ME, NEW
from tests.replication.rig import look, read, write
from tests.runtime.rig import recorded_pair
from tests.support import require


def _no_model() -> NoReturn:
    raise AssertionError("a follower does not look at the model")


async def test_updates_sent_right_behind_the_welcome_find_their_session(tmp_path: Path) -> None:
    """The reader of a link goes on when ``session`` is set: its next message must have a place.

    Were it set before the session stands, the order of two tasks would decide.
    """
    folder, state = tmp_path / "folder", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    text = f"[node]\npeer = '127.0.0.1:4446'\nstate_dir = '{state}'\n"
    updates = Updates(parse(text, tmp_path / "sbs.toml"), Alarms(), _no_model, _no_event)
    stream, _ = trio.testing.memory_stream_pair()
    hello = Hello(versions=(1, PROTOCOL_VERSION), software="test", claim=None)
    link = Link(1, stream, Side.DIALLER, hello)
    epoch = Epoch(1, 0)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(updates.follow, link, epoch, History())
            await link.session.wait()
            await updates.route(link, Folders(epoch, ()))
            nursery.cancel_scope.cancel()
    updates.close()


async def test_last_update_counts_what_was_sent_not_what_was_read(tmp_path: Path) -> None:
    """A file that only looks changed is read, and costs the network nothing."""
    async with recorded_pair(tmp_path) as (pair, _):
        pair.alpha.write("large", "x" * 100_000)
        pair.alpha.write("small", "one")
        await pair.start()
        await pair.beta.wait_file("small", "one")
        await pair.wait_in_step(pair.alpha)
        os.utime(Path(pair.alpha.folder, "large"), (1, 1))
        pair.alpha.write("small", "three")
        await pair.beta.wait_file("small", "three")
        await pair.alpha.node.updates.update_now()  # the one that sent it has ended, then
        last = pair.alpha.node.updates.last_update
        assert last is not None
        assert last.bytes == len("three")


async def test_what_the_secondary_may_lack_is_told(tmp_path: Path) -> None:
    """B61: nothing, while all goes well; else since when."""
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        await pair.start()
        await pair.wait_in_step(alpha)
        lag = alpha.node.updates.lag
        await wait_until(lambda: lag.since is None, "the secondary holds all")
        assert (await alpha.node.status()).behind_since is None
        before = time.time()
        await beta.kill()
        await alpha.wait_alarm("no-secondary")
        since = (await alpha.node.status()).behind_since
        assert since is not None
        assert before <= since <= time.time()
        alpha.write("file", "content")
        await trio.sleep(0.1)
        assert (await alpha.node.status()).behind_since == since
        await beta.start()
        await beta.wait_file("file", "content")
        await wait_until(lambda: lag.since is None, "the secondary holds all again")
        assert (await beta.node.status()).behind_since is None  # it has no secondary
        await alpha.kill()
        await beta.wait_role(Role.PRIMARY)
        since = (await beta.node.status()).behind_since
        assert since is not None
        assert before < since <= time.time()


async def test_what_update_scripts_export_may_be_missing_since_they_ran(tmp_path: Path) -> None:
    """R25, B61: a file that is sent meanwhile says nothing of a database."""
    async with recorded_pair(tmp_path) as (pair, _):
        alpha = pair.alpha
        sync = attrs.evolve(alpha.config.sync, period_s=3600.0)
        hooks = attrs.evolve(alpha.config.hooks, update=(("true",),))
        alpha.config = attrs.evolve(alpha.config, sync=sync, hooks=hooks)
        await pair.start()
        await pair.wait_in_step(alpha)
        await alpha.node.updates.update_now()
        ran = alpha.node.updates.lag.since
        assert ran is not None
        alpha.write("file", "content")
        await pair.beta.wait_file("file", "content")
        await wait_until(lambda: alpha.node.updates.progress is None, "the update has ended")
        assert alpha.node.updates.lag.since == ran


async def test_a_version_that_only_the_secondary_has_is_kept_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B4: on both nodes, until the administrator has dealt with it."""
    monkeypatch.setattr("sbs.runtime.updating.updates.REVIEW_S", 0.01)
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        alpha.write("both", "one")
        await pair.start()
        await beta.wait_file("both", "one")
        await pair.wait_in_step(alpha)
        beta.write("both", "edited by hand")
        alpha.write("both", "two")
        await beta.wait_file("both", "two")
        await wait_for_both(pair, lambda node: "quarantine" in node.alarms)
        for node in (alpha, beta):
            (conflict,) = node.node.updates.conflicts
            assert (conflict.node, conflict.folder, conflict.path) == ("beta", "settings", "both")
        assert take_away(f"{beta.folder}/{conflict.kept}") == b"edited by hand"
        await wait_until(lambda: not beta.alarms, "the alarm is over")
        alpha.write("both", "three")
        await wait_until(lambda: not alpha.alarms, "the alarm is over there, too")
        assert alpha.node.updates.conflicts == beta.node.updates.conflicts == ()


async def test_an_exchange_of_the_roles_keeps_nothing(tmp_path: Path) -> None:
    """B4: there and back, with changes before, meanwhile and after; nothing differs."""
    async with recorded_pair(tmp_path) as (pair, _):
        one, other = pair.alpha, pair.beta
        await pair.start()
        for turn in range(4):
            one.write("both", f"before {turn}")
            await other.wait_file("both", f"before {turn}")
            one.write("last", f"not waited for {turn}")
            await one.node.switchover()
            await other.wait_role(Role.PRIMARY)
            await pair.wait_in_step(other)
            one, other = other, one
            one.write("last", f"after {turn}")
            await other.wait_file("last", f"after {turn}")
        for node in (one, other):
            assert node.node.updates.conflicts == ()
            assert sorted(look(node.folder)) == [b"both", b"last"]


async def test_what_is_in_the_way_on_the_secondary_is_told_and_cured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R22: the primary's status says so, and whoever clears the way need not do more."""
    monkeypatch.setattr("sbs.runtime.updating.placements.RETRY_REFUSED_S", 0.0)
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        await pair.start()
        await pair.wait_in_step(alpha)
        obstruct(f"{beta.folder}/file")
        alpha.write("file", "content")
        await wait_for_both(pair, lambda node: node.node.updates.problems)
        (told,) = alpha.node.updates.problems
        assert told.path == "settings/file"
        assert told.text.startswith("on beta: something is in the way here")
        clear(f"{beta.folder}/file")
        alpha.write("another", "change")
        await beta.wait_file("file", "content")
        await wait_for_both(pair, lambda node: not node.node.updates.problems)


async def test_what_keeps_a_directory_from_being_deleted_is_told_and_cured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R22: likewise; what filters protect is in the way of a delete."""
    monkeypatch.setattr("sbs.runtime.updating.placements.RETRY_REFUSED_S", 0.0)
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        for node in (alpha, beta):
            (folder,) = node.config.folders
            node.config = attrs.evolve(
                node.config,
                folders=(attrs.evolve(folder, filters=("- *.tmp",)),),
                sync=attrs.evolve(node.config.sync, strict_delete=True, max_deletes="off"),
            )
        alpha.write("d/file", "content")
        await pair.start()
        await beta.wait_file("d/file", "content")
        await pair.wait_in_step(alpha)
        beta.write("d/mine.tmp", "protected")
        shutil.rmtree(f"{alpha.folder}/d")
        await wait_for_both(pair, lambda node: node.node.updates.problems)
        assert sorted(look(beta.folder)) == [b"d", b"d/mine.tmp"]
        os.unlink(f"{beta.folder}/d/mine.tmp")
        alpha.write("another", "change")
        await wait_until(lambda: not os.path.exists(f"{beta.folder}/d"), "it is deleted")
        await wait_for_both(pair, lambda node: not node.node.updates.problems)


async def test_hard_links_are_a_note_and_no_problem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are replicated; a monitor that counts problems stays quiet."""
    caplog.set_level("INFO", "sbs.replication.files.problems")
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        alpha.write("one", "content")
        os.link(f"{alpha.folder}/one", f"{alpha.folder}/two")
        await pair.start()
        await beta.wait_file("two", "content")
        await pair.wait_in_step(alpha)
        await wait_until(lambda: alpha.node.updates.problems != (), "the primary knows of them")
        status = await alpha.node.status()
        assert status.problems == ()
        assert [note.rpartition(": ")[2] for note in status.notes] == ["one, two"]
    assert not any("not replicated" in record.getMessage() for record in caplog.records)


async def test_an_owner_that_cannot_be_set_is_a_note_on_both_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R24: the primary's settings count; the content stands, and is not sent again."""
    monkeypatch.setattr("sbs.runtime.updating.placements.RETRY_REFUSED_S", 0.0)
    require(root=True)
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        (folder,) = alpha.config.folders
        alpha.config = attrs.evolve(alpha.config, folders=(attrs.evolve(folder, owner=True),))
        await pair.start()
        await pair.wait_in_step(alpha)
        chown = os.chown
        with monkeypatch.context() as patched:
            patched.setattr(os, "chown", refuse)
            alpha.write("other/file", "content")
            chown(f"{alpha.folder}/other/file", 61234, 61235)
            await beta.wait_file("other/file", "content")
            await wait_for_both(pair, lambda node: node.node.updates.problems)
        for node, said in ((alpha, "on beta: the owner"), (beta, "the owner")):
            status = await node.node.status()
            assert status.problems == ()
            (note,) = status.notes
            assert note.startswith(f"settings: {said} cannot be set")
        generation = alpha.node.updates.history.number
        await alpha.node.sync()
        assert alpha.node.updates.history.number == generation


def refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError(1, "Operation not permitted")


async def test_a_damaged_journal_does_not_keep_the_node_from_starting(tmp_path: Path) -> None:
    """B20: it is set aside, and an alarm says so until the next update."""
    async with recorded_pair(tmp_path) as (pair, _):
        alpha, beta = pair.alpha, pair.beta
        alpha.write("file", "content")
        await pair.start()
        await beta.wait_file("file", "content")
        await pair.wait_in_step(alpha)
        await beta.kill()
        await alpha.kill()
        write(f"{beta.config.node.state_dir}/journal/commit", b"no journal")
        await beta.start()
        assert "damaged-1" in beta.alarms["update-failed"]
        await alpha.start()
        await wait_until(lambda: "update-failed" not in beta.alarms, "they are in step again")


def guarded(pair: MemoryPair) -> None:
    """Have what is deleted on one node deleted on the other, too."""
    for node in (pair.alpha, pair.beta):
        sync = attrs.evolve(node.config.sync, strict_delete=True)
        node.config = attrs.evolve(node.config, sync=sync)


async def emptied(pair: MemoryPair) -> str:
    """Have both nodes hold three files, then remove them from alpha's folder; the held id."""
    for name in ("one", "two", "three"):
        pair.alpha.write(name, name)
    await pair.start()
    await pair.beta.wait_file("three", "three")
    await pair.wait_in_step(pair.alpha)
    for name in ("one", "two", "three"):
        os.unlink(f"{pair.alpha.folder}/{name}")
    text = await pair.alpha.wait_alarm("update-held")
    held = pair.alpha.node.updates.held_update
    assert held is not None
    assert held.text == text
    assert [reason.cause for reason in held.reasons] == [Cause.TOO_MANY, Cause.EMPTIED]
    return held.id


async def test_a_held_update_waits_for_the_operator(tmp_path: Path) -> None:
    """B22, adversarial 12: it is refused to all but who names it, and sent to who does."""
    async with recorded_pair(tmp_path) as (pair, _):
        guarded(pair)
        name = await emptied(pair)
        node = pair.alpha.node
        with pytest.raises(RefusedError, match=f"update {name} is held"):
            await node.sync()
        with pytest.raises(RefusedError, match=f"'another' is not what is held: update {name} is"):
            await node.sync(accepted="another")
        found = await node.diff()
        assert (found.deleted, found.held) == (3, node.updates.held_update)
        assert (await node.status()).to_json()["held"]["id"] == name
        assert pair.beta.read("two") == "two"
        assert (await node.sync(accepted=name)) is not None
        assert sorted(look(pair.beta.folder)) == []
        assert "update-held" not in pair.alpha.alarms
        assert (await node.status()).held is None


async def test_a_held_update_goes_on_by_itself_when_its_cause_has_gone(tmp_path: Path) -> None:
    """B22."""
    async with recorded_pair(tmp_path) as (pair, _):
        guarded(pair)
        await emptied(pair)
        for name in ("one", "two", "four"):
            pair.alpha.write(name, name)
        await pair.beta.wait_file("four", "four")
        await pair.alpha.wait_no_alarm("update-held")
        assert pair.beta.read("three") is None


async def test_a_service_that_is_stopped_while_an_update_is_held_stays_stopped(
    tmp_path: Path,
) -> None:
    """R32: the list travels all the same."""
    async with recorded_pair(tmp_path) as (pair, _):
        guarded(pair)
        await emptied(pair)
        await pair.alpha.node.stop_unit("printer-1")
        await wait_until(
            lambda: pair.beta.node.model.durable.active == ("printer-2",), "beta has the list"
        )
        assert pair.beta.read("two") == "two"
        assert "update-held" in pair.alpha.alarms


async def test_a_switchover_is_refused_while_an_update_is_held(tmp_path: Path) -> None:
    """B6, B22: before anything is stopped; a stop ends all the same (R8)."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        guarded(pair)
        name = await emptied(pair)
        before = list(recorder.starts)
        for dry_run in (True, False):
            with pytest.raises(RefusedError, match=f"update {name} is held"):
                await pair.alpha.node.switchover(dry_run=dry_run)
        assert recorder.starts == before
        assert pair.alpha.role is Role.PRIMARY
        await pair.alpha.stop()
        await pair.beta.wait_role(Role.PRIMARY)
        assert pair.beta.read("two") == "two"


@pytest.mark.parametrize("state", State)
def test_a_stop_is_refused_where_a_handover_would_begin(state: State) -> None:
    """R8: also while services are starting, however long that takes."""
    model = Model(settings=ME, durable=NEW, state=state, session=1)
    if state in (State.STARTING, State.PRIMARY):
        with pytest.raises(RefusedError, match=r"an update is held.*sbs stop --force"):
            check_stop(model, "an update is held")
        check_stop(attrs.evolve(model, session=None), "an update is held")
    else:
        check_stop(model, "an update is held")
    check_stop(model, "")


async def test_a_stop_that_could_hand_nothing_over_is_refused_unless_it_is_forced(
    tmp_path: Path,
) -> None:
    """R8, B22: found by a newcomer; it said ``stopped``, and no service ran any more."""
    async with recorded_pair(tmp_path) as (pair, recorder):
        guarded(pair)
        name = await emptied(pair)
        before = list(recorder.starts)
        with pytest.raises(RefusedError, match=rf"update {name} is held.*sbs stop --force"):
            await asked_to_stop(pair.alpha)
        assert recorder.starts == before
        assert pair.alpha.role is Role.PRIMARY
        await pair.alpha.node.pause()  # nothing is to be handed over
        kept = await asked_to_stop(pair.alpha)
        assert kept == "automatic takeovers are paused"
        assert pair.beta.read("two") == "two"


async def test_a_forced_stop_says_why_nothing_was_handed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """R8, B22: a signal and a shutdown end it the same, and the log warns."""
    async with recorded_pair(tmp_path) as (pair, _):
        guarded(pair)
        name = await emptied(pair)
        kept = await asked_to_stop(pair.alpha, force=True)
        assert f"the last update did not reach the secondary (update {name} is held" in kept
        await pair.beta.wait_role(Role.PRIMARY)  # by its policy
        assert pair.beta.read("two") == "two"
        assert await asked_to_stop(pair.beta) == "no secondary is connected"
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert sum(getattr(each.msg, "name", "") == "not-handed-over" for each in warned) == 2


@pytest.mark.parametrize("scripts", [False, True])
async def test_a_stop_is_refused_after_an_update_that_failed(tmp_path: Path, scripts: bool) -> None:
    """R8, R25"""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.wait_in_step(pair.alpha)
        if scripts:
            pair.alpha.node.updates.scripts.holds = "an update script failed"
            match = "script failed; when that is mended: sbs sync"
        else:
            pair.alpha.node.alarms.raise_(Alarm.UPDATE_FAILED, "no room")
            match = "last update failed: no room"
        with pytest.raises(RefusedError, match=match):
            await asked_to_stop(pair.alpha)
        assert not await asked_to_stop(pair.beta)  # a secondary has no role to hand over


async def test_a_stop_that_hands_over_has_nothing_to_say(tmp_path: Path) -> None:
    """R8"""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.start()
        await pair.wait_in_step(pair.alpha)
        assert not await asked_to_stop(pair.alpha)
        assert pair.beta.role is Role.PRIMARY


async def asked_to_stop(node: MemoryNode, *, force: bool = False) -> str:
    """As ``sbs stop`` asks; returns why its role was not handed over."""
    stopped = await trio.to_thread.run_sync(
        partial(client.stop, node.config.node.state_dir, force=force), abandon_on_cancel=True
    )
    await node.wait_end()
    return stopped


async def test_a_handover_fails_if_its_last_update_is_held(tmp_path: Path) -> None:
    """B22: what the services removed while they stopped; the nodes decide anew."""
    async with recorded_pair(tmp_path) as (pair, _):
        guarded(pair)
        for node in (pair.alpha, pair.beta):
            sync = attrs.evolve(node.config.sync, period_s=3600.0, watch=False)
            node.config = attrs.evolve(node.config, sync=sync)
        pair.alpha.write("one", "one")
        await pair.start()
        await pair.beta.wait_file("one", "one")
        await pair.wait_in_step(pair.alpha)
        os.unlink(f"{pair.alpha.folder}/one")
        with pytest.raises(RefusedError, match=r"last update did not .* \(update \w+ is held, and"):
            await pair.alpha.node.switchover()
        await pair.alpha.wait_role(Role.PRIMARY, Role.SECONDARY)
        assert pair.beta.read("one") == "one"


async def test_who_waits_for_an_update_is_told_although_none_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by review: the connection was lost while a large folder began to be watched."""
    asked = trio.Event()

    async def begin_to_watch(*_: object, task_status: object) -> None:
        asked.set()
        await trio.sleep_forever()

    monkeypatch.setattr("sbs.runtime.updating.updates.watch", begin_to_watch)
    errors: list[str] = []
    async with recorded_pair(tmp_path) as (pair, _), trio.open_nursery() as nursery:
        await pair.alpha.start()
        await pair.beta.start()
        await asked.wait()

        async def ask() -> None:
            errors.append(await pair.alpha.node.updates.update_now())

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await pair.beta.kill()
    assert errors == ["the connection to the secondary was lost"]


async def test_a_dry_run_needs_a_primary_with_a_secondary(tmp_path: Path) -> None:
    """B26."""
    async with recorded_pair(tmp_path) as (pair, _):
        await pair.alpha.start()
        await pair.alpha.wait_role(Role.PRIMARY)
        await wait_until(lambda: pair.alpha.node.model.state is State.PRIMARY, "it serves")
        with pytest.raises(RefusedError, match="there is no secondary"):
            await pair.alpha.node.diff()
        await pair.beta.start()
        await pair.wait_in_step(pair.alpha)
        with pytest.raises(RefusedError, match="run this on the primary"):
            await pair.beta.node.diff()


def take_away(path: str) -> bytes:
    """What the administrator does with a kept version."""
    content = read(path)
    os.unlink(path)
    return content


def obstruct(path: str) -> None:
    """Put a directory where the primary has a file."""
    os.makedirs(f"{path}/in the way")


def clear(path: str) -> None:
    """Undo :func:`obstruct`."""
    shutil.rmtree(path)


async def wait_for_both(pair: MemoryPair, holds: Callable[[MemoryNode], object]) -> None:
    """Wait until something is so on both nodes."""
    await wait_until(lambda: all(map(holds, (pair.alpha, pair.beta))), "so on both nodes")


async def _no_event(event: object) -> None:
    raise AssertionError(f"{event} was posted")
