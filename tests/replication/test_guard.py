"""The guard on real folders: what is held, what is not, and what releases it (B22)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from sbs.core.guard import Cause, Held
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING, NOTHING, Changes
from sbs.replication.common import Common
from sbs.replication.files.index import SETTLING_NS, Index
from sbs.replication.leading.preview import MAX_LISTED, Change
from sbs.replication.leading.source import PeerTree, Source, Update
from tests.replication.rig import NOTHING as NO_HISTORY
from tests.replication.rig import Host, Pair, kept, lead, look, proceed, read, write


def attempt(pair: Pair, accepted: str = "", changes: Changes = EVERYTHING) -> Update:
    """One update of a session that began before, to its end; nothing is sent of a held one."""
    update = pair.source.prepare(pair.peer, changes, proceed, accepted)
    before = look(pair.b)
    staged = pair.stage(update=update)
    if update.empty:
        if update.held is None:
            pair.source.settle(update)
        assert look(pair.b) == before
        return update
    record = pair.commit(staged)
    applied = pair.target.apply(record, proceed)
    pair.history = record.history
    pair.peer.commit(update.operations)
    refused = {(problem.folder, problem.entry) for problem in applied.problems}
    pair.source.confirm(update, record.history.entries[-1], refused)
    return update


def causes(update: Update) -> list[Cause]:
    return [] if update.held is None else [reason.cause for reason in update.held.reasons]


def held(update: Update) -> Held:
    assert update.held is not None
    assert update.empty
    assert update.operations == []
    assert (update.operations_planned, update.size_bytes) == (0, 0)
    return update.held


def fill(root: str, count: int = 10) -> None:
    for number in range(count):
        write(f"{root}/d{number % 2}/f{number}", f"content {number}")


@contextlib.contextmanager
def in_step(
    base: Path, max_deletes: str | int = "50%", filters: tuple[str, ...] = ()
) -> Iterator[Pair]:
    """Ten files that both nodes hold."""
    pair = Pair(str(base), strict_delete=True, max_deletes=max_deletes, filters=filters)
    with pair:
        fill(pair.a)
        pair.connect()
        assert not attempt(pair).empty
        assert look(pair.b) == look(pair.a)
        yield pair


def restart(pair: Pair, filters: tuple[str, ...] | None = None) -> None:
    """The primary begins anew, perhaps with other filters; a new session."""
    spec = pair.specs[0]
    if filters is not None:
        spec = FolderSpec(name=spec.name, path=spec.path, filters=filters, strict_delete=True)
    pair.specs = [spec]
    pair.source = Source(pair.specs, pair.index_a, pair.max_deletes)
    pair.connect()


def settle(pair: Pair) -> None:
    """Have all digests known: of a file that was young when it was read they are not."""
    time.sleep(2 * SETTLING_NS / 1e9)
    assert attempt(pair).empty


def delete(pair: Pair, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        os.unlink(f"{pair.a}/d{number % 2}/f{number}")


@pytest.mark.parametrize(
    ("limit", "passes"), [("50%", 5), ("20%", 2), (3, 3), ("0", 0), ("100%", 9), ("off", 10)]
)
def test_one_delete_more_than_allowed_holds_all_of_them(
    tmp_path: Path, limit: str | int, passes: int
) -> None:
    with in_step(tmp_path / "passes", limit) as pair:
        delete(pair, passes)
        assert causes(attempt(pair)) == []
        assert look(pair.b) == look(pair.a)
    if passes < 9:
        with in_step(tmp_path / "held", limit) as pair:
            delete(pair, passes + 1)
            assert causes(attempt(pair)) == [Cause.TOO_MANY]
            assert sum(entry[0] == "file" for entry in look(pair.b).values()) == 10


def test_only_what_was_accepted_is_sent_and_only_once(tmp_path: Path) -> None:
    with in_step(tmp_path) as pair:
        delete(pair, 6)
        write(f"{pair.a}/new", b"1")
        first = held(attempt(pair))
        write(f"{pair.a}/newer", b"2")
        assert held(attempt(pair)).id == first.id, "nothing more is deleted"
        assert not os.path.exists(f"{pair.b}/new"), "the whole generation is held"
        delete(pair, 1, start=6)
        second = held(attempt(pair, first.id))
        assert second.id != first.id
        assert second.deletes == 7
        restart(pair)
        assert held(attempt(pair)).id == second.id, "a restart changes nothing"
        assert causes(attempt(pair, second.id)) == []
        assert look(pair.b) == look(pair.a)
        fill(pair.a)
        assert causes(attempt(pair)) == []
        delete(pair, 7)
        assert held(attempt(pair)).id == second.id, "it was accepted for one generation"


def test_adversarial_12_an_emptied_folder_deletes_nothing(tmp_path: Path) -> None:
    with in_step(tmp_path, "100%") as pair:
        before = look(pair.b)
        delete(pair, 10)
        assert causes(attempt(pair)) == [Cause.EMPTIED], "directories alone are no content"
        for name in ("d0", "d1"):
            os.rmdir(f"{pair.a}/{name}")
        update = attempt(pair)
        assert causes(update) == [Cause.EMPTIED]
        assert look(pair.b) == before
        fill(pair.a)
        assert causes(attempt(pair)) == []
        assert look(pair.b) == before


def test_a_secondary_with_the_only_data_is_not_emptied_by_a_new_primary(tmp_path: Path) -> None:
    """Two servers mixed up: the empty one leads, and they have never met."""
    with Pair(str(tmp_path), strict_delete=True, max_deletes="50%") as pair:
        fill(pair.b)
        pair.connect()
        assert causes(attempt(pair)) == [Cause.TOO_MANY, Cause.EMPTIED]
        assert sum(entry[0] == "file" for entry in look(pair.b).values()) == 10


def fresh_directory(pair: Pair) -> Callable[[], None]:
    """Another directory in the folder's place; returns what undoes that."""
    away = f"{pair.a}-away"
    os.mkdir(f"{pair.a}-fresh")
    os.rename(pair.a, away)
    os.rename(f"{pair.a}-fresh", pair.a)

    def undo() -> None:
        os.rename(pair.a, f"{pair.a}-fresh")
        os.rename(away, pair.a)

    return undo


def mounted(pair: Pair) -> Callable[[], None]:
    """Another file system in the folder's place; returns what undoes that."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", pair.a]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")

    def undo() -> None:
        subprocess.run(["umount", pair.a], check=True)

    return undo


@pytest.mark.parametrize("replace", [fresh_directory, mounted])
@pytest.mark.parametrize("limit", ["off", "50%"])
def test_adversarial_12_another_root_deletes_nothing_even_with_its_marker_recreated(
    tmp_path: Path, replace: Callable[[Pair], Callable[[], None]], limit: str
) -> None:
    """A disk that is not mounted, or an empty one in its place: whatever was written on it."""
    with in_step(tmp_path, limit) as pair:
        write(f"{pair.a}/.marker", b"")
        assert causes(attempt(pair)) == []
        before = look(pair.b)
        undo = replace(pair)
        try:
            fill(pair.a, 9)
            write(f"{pair.a}/.marker", b"")
            update = attempt(pair)
            assert causes(update) == [Cause.OTHER_ROOT]
            assert held(update).deletes == 1
            restart(pair)
            assert held(attempt(pair)).id == held(update).id
            for number in range(9):
                os.unlink(f"{pair.a}/d{number % 2}/f{number}")
            assert Cause.OTHER_ROOT in causes(attempt(pair))
        finally:
            undo()
        assert look(pair.b) == before
        write(f"{pair.a}/d0/f0", b"goes on by itself")
        assert causes(attempt(pair)) == []
        assert read(f"{pair.b}/d0/f0") == b"goes on by itself"


def test_a_root_that_was_moved_with_all_its_files_is_the_root_from_then_on(tmp_path: Path) -> None:
    with in_step(tmp_path) as pair:
        fresh_directory(pair)
        fill(pair.a)
        update = attempt(pair)
        assert causes(update) == []
        assert update.empty, "nothing had to be sent"
        assert update.rebased
        assert not attempt(pair).rebased
        delete(pair, 1)
        assert causes(attempt(pair)) == []
        assert look(pair.b) == look(pair.a)


def test_adversarial_21_a_changed_filter_deletes_nothing_that_it_protected(tmp_path: Path) -> None:
    with in_step(tmp_path, "off", ("- *.local",)) as pair:
        write(f"{pair.b}/mine.local", b"of the secondary")
        restart(pair, filters=())
        update = attempt(pair)
        assert causes(update) == [Cause.OTHER_FILTERS]
        assert read(f"{pair.b}/mine.local") == b"of the secondary"
        restart(pair, filters=("- *.local",))
        assert causes(attempt(pair)) == [], "the old one is back"
        restart(pair, filters=())
        assert causes(attempt(pair, held(update).id)) == []
        assert look(pair.b) == look(pair.a)
        delete(pair, 1)
        assert causes(attempt(pair)) == [], "the new one counts from then on"


def test_a_changed_filter_that_deletes_nothing_passes(tmp_path: Path) -> None:
    with in_step(tmp_path, filters=("- *.local",)) as pair:
        restart(pair, filters=("- *.tmp", "- *.local"))
        assert causes(attempt(pair)) == []
        delete(pair, 1)
        assert causes(attempt(pair)) == []


def test_adversarial_21_a_directory_renamed_on_the_primary_takes_nothing_protected_along(
    tmp_path: Path,
) -> None:
    """What the secondary has under the old name, where the filter excludes it, stays."""
    with in_step(tmp_path, "off", ("- /d0/*.local",)) as pair:
        write(f"{pair.b}/d0/mine.local", b"of the secondary")
        restart(pair)
        os.rename(f"{pair.a}/d0", f"{pair.a}/renamed")
        assert causes(attempt(pair)) == []
        assert read(f"{pair.b}/d0/mine.local") == b"of the secondary"
        assert not os.path.exists(f"{pair.b}/d0/f0")
        assert read(f"{pair.b}/renamed/f0") == b"content 0"


def test_adversarial_21_a_directory_renamed_on_the_secondary_loses_nothing_protected(
    tmp_path: Path,
) -> None:
    """B4: the filter does not know the new name; what only the secondary has goes to quarantine."""
    with in_step(tmp_path, "off", ("- /d0/*.local",)) as pair:
        write(f"{pair.b}/d0/mine.local", b"of the secondary")
        os.rename(f"{pair.b}/d0", f"{pair.b}/renamed")
        restart(pair)
        assert causes(attempt(pair)) == []
        assert look(pair.b) == look(pair.a)
        assert b"of the secondary" in kept(pair.b).values()


def test_a_replaced_directory_counts_with_what_is_in_it(tmp_path: Path) -> None:
    """R22: also without strict_delete."""
    with Pair(str(tmp_path), max_deletes=2) as pair:
        fill(f"{pair.a}/directory", 3)
        write(f"{pair.a}/other", b"")
        pair.connect()
        assert causes(attempt(pair)) == []
        os.rename(f"{pair.a}/directory", f"{pair.base}/away")
        write(f"{pair.a}/directory", b"a file now")
        assert causes(attempt(pair)) == [Cause.TOO_MANY]
        assert read(f"{pair.b}/directory/d0/f0") == b"content 0"


def test_what_the_primary_cannot_read_is_no_delete(tmp_path: Path) -> None:
    with in_step(tmp_path, 0) as pair:
        os.rename(f"{pair.a}/d0", f"{pair.base}/away")
        os.mkfifo(f"{pair.a}/d0")
        assert causes(attempt(pair)) == []
        assert read(f"{pair.b}/d0/f0") == b"content 0"


def test_a_folder_that_is_held_holds_the_others(tmp_path: Path) -> None:
    """B20: a generation is all folders or none."""
    pair = Pair(str(tmp_path), ("one", "two"), strict_delete=True, max_deletes="50%")
    with pair:
        for root in pair.sources:
            fill(root)
        pair.connect()
        assert causes(attempt(pair)) == []
        delete(pair, 6)
        write(f"{pair.sources[1]}/new", b"")
        update = attempt(pair)
        assert [reason.folder for reason in held(update).reasons] == ["one"]
        assert not os.path.exists(f"{pair.copies[1]}/new")


# Cycles that look only where something changed (B23).

D0 = Changes.of([(0, "d0")])


def test_what_is_held_stays_held_where_nothing_more_changes(tmp_path: Path) -> None:
    with in_step(tmp_path) as pair:
        delete(pair, 6)
        first = held(attempt(pair))
        assert held(attempt(pair, changes=NOTHING)).id == first.id
        write(f"{pair.a}/d0/f0", b"two more would be five of ten")
        assert causes(attempt(pair, changes=NOTHING)) == []
        assert look(pair.b) == look(pair.a), "all of it was found again"


def test_what_is_held_is_all_that_would_be_deleted_wherever_it_was_found(tmp_path: Path) -> None:
    with in_step(tmp_path, 3) as pair:
        delete(pair, 10)
        partial = attempt(pair, changes=D0)
        assert held(partial).deletes == 10
        assert causes(partial) == [Cause.TOO_MANY, Cause.EMPTIED]
        assert held(attempt(pair)).id == held(partial).id


@pytest.mark.parametrize("limit", ["50%", "100%"])
def test_a_directory_that_is_emptied_is_no_emptied_folder(tmp_path: Path, limit: str) -> None:
    with in_step(tmp_path, limit) as pair:
        for number in range(0, 10, 2):
            os.unlink(f"{pair.a}/d0/f{number}")
        assert causes(attempt(pair, changes=D0)) == []
        assert look(pair.b) == look(pair.a)
        for number in range(1, 10, 2):
            os.unlink(f"{pair.a}/d1/f{number}")
        assert Cause.EMPTIED in causes(attempt(pair, changes=Changes.of([(0, "d1")])))


def test_adversarial_12_another_root_is_noticed_where_no_change_was(tmp_path: Path) -> None:
    """No watcher sees that another file system is mounted, or removed."""
    with in_step(tmp_path, "off") as pair:
        undo = fresh_directory(pair)
        assert causes(attempt(pair, changes=NOTHING)) == [Cause.OTHER_ROOT]
        fill(pair.a, 4)
        assert causes(attempt(pair, changes=D0)) == [Cause.OTHER_ROOT]
        shutil.rmtree(pair.a)
        os.mkdir(f"{pair.a}-fresh")
        os.rename(f"{pair.a}-fresh", pair.a)
        undo()
        assert causes(attempt(pair, changes=NOTHING)) == []
        delete(pair, 1)
        assert causes(attempt(pair, changes=D0)) == []
        assert look(pair.b) == look(pair.a)


# After a takeover.


def prepared(leader: Host, follower: Host) -> Update:
    """What the leader would send; a limit of its own is off."""
    source, peer = Source([leader.spec], leader.index, "off"), PeerTree(1, NO_HISTORY)
    follower.target.open([leader.spec], [follower.folder])
    for listing in follower.target.listing(proceed):
        peer.add(listing)
    return source.prepare(peer, EVERYTHING, proceed)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    hosts = tuple(Host(f"{tmp_path}/{name}", strict_delete=True) for name in ("alpha", "beta"))
    yield hosts[0], hosts[1]
    for host in hosts:
        host.close()


def replace_folder(host: Host) -> None:
    os.mkdir(f"{host.folder}-fresh")
    os.rename(host.folder, f"{host.folder}-away")
    os.rename(f"{host.folder}-fresh", host.folder)


def test_adversarial_12_a_secondary_that_lost_its_disk_does_not_empty_the_old_primary(
    hosts: tuple[Host, Host],
) -> None:
    """It remembers where it held its last generation, too."""
    alpha, beta = hosts
    fill(alpha.folder)
    lead(alpha, beta, NO_HISTORY)
    assert prepared(beta, alpha).held is None
    replace_folder(beta)
    beta.write("written", "by the application, on the empty disk")
    assert causes(prepared(beta, alpha)) == [Cause.OTHER_ROOT]


def test_a_root_that_was_replaced_while_it_followed_is_not_taken_for_the_last(
    hosts: tuple[Host, Host],
) -> None:
    """It got the last changes only: the rest was listed elsewhere."""
    alpha, beta = hosts
    fill(alpha.folder)
    history, _ = lead(alpha, beta, NO_HISTORY)
    known = Common(beta.index).bases()
    alpha.write("new", "1")

    lead(alpha, beta, history, between=lambda: replace_folder(beta))
    assert Common(beta.index).bases() == known
    assert causes(prepared(beta, alpha)) == [Cause.OTHER_ROOT]


def test_what_was_found_is_kept_in_the_database(tmp_path: Path) -> None:
    with in_step(tmp_path, filters=("- ä",)):
        index = Index(f"{tmp_path}/state-a/index")
        basis = Common(index).bases()["data"]
        assert basis.filters == ("- ä",)
        index.close()


# The dry run (B26).


def test_a_preview_counts_everything_and_changes_nothing(tmp_path: Path) -> None:
    with in_step(tmp_path) as pair:
        settle(pair)
        delete(pair, 6)
        write(f"{pair.a}/new\x1b", b"123")
        write(f"{pair.a}/d1/f7", b"changed")
        write(f"{pair.a}/d0/f8", b"CONTENT 8")
        os.chmod(f"{pair.a}/d1/f9", 0o600)
        before = look(pair.b)
        found = pair.source.preview(pair.peer, proceed)
        assert found == pair.source.preview(pair.peer, proceed)
        assert look(pair.b) == before
        assert (found.added, found.changed, found.unsure, found.deleted) == (1, 1, 2, 6)
        assert found.bytes == len("123" + "changed" + "content 8" + "content 9")
        assert [(each.change, each.path) for each in found.paths] == [
            *((Change.DELETE, f"d{n % 2}/f{n}") for n in (0, 2, 4, 1, 3, 5)),
            (Change.CHANGE, "d1/f7"),
            (Change.ADD, "new\x1b"),
            (Change.UNSURE, "d0/f8"),
            (Change.UNSURE, "d1/f9"),
        ]
        waiting = held(attempt(pair))
        assert found.held == waiting
        attempt(pair, waiting.id)
        settle(pair)
        found = pair.source.preview(pair.peer, proceed)
        assert (found.added, found.changed, found.unsure, found.deleted) == (0, 0, 0, 0)
        assert (found.held, found.paths) == (None, ())


def test_a_preview_is_bounded_and_shows_deletes_first(tmp_path: Path) -> None:
    with in_step(tmp_path) as pair:
        settle(pair)
        for number in range(10, 2 * MAX_LISTED):
            write(f"{pair.a}/d0/f{number}")
        delete(pair, 3)
        os.rename(f"{pair.a}/d1", f"{pair.base}/away")
        write(f"{pair.a}/d1", b"a file where a directory was")
        found = pair.source.preview(pair.peer, proceed)
        assert found.deleted == 3 - 1 + 5 + 1
        assert (found.added, found.changed) == (2 * MAX_LISTED - 10, 1)
        assert len(found.paths) == MAX_LISTED
        assert all(each.change is Change.DELETE for each in found.paths[: found.deleted])


# A leader that does not keep to the settings it told.


@pytest.mark.parametrize(
    ("strict_delete", "path", "says"),
    [(True, "mine.local", "is excluded"), (False, "f", "although strict_delete is off")],
)
def test_adversarial_6_a_leader_cannot_delete_more_than_it_said(
    tmp_path: Path, strict_delete: bool, path: str, says: str
) -> None:
    with Pair(str(tmp_path), filters=("- *.local",), strict_delete=strict_delete) as pair:
        write(f"{pair.a}/f", b"both")
        write(f"{pair.b}/mine.local", b"of the secondary")
        pair.replicate()
        before = look(pair.b)
        write(f"{pair.a}/g", b"new")
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        delete = Operation(folder=0, action=Action.DELETE, path=path)
        step = attrs.evolve(update._plans[0], steps=(delete, *update._plans[0].steps))
        update._plans = (step,)
        pair.stage(update=update)
        with pytest.raises(ReplicationError, match=says):
            pair.commit(update)
        assert look(pair.b) == before
