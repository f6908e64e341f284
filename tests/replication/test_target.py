"""What the secondary refuses, and what stands in its way."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
import subprocess
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import attrs
import pytest
from blake3 import blake3

from sbs.core.attributes import Attributes
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.manifest import STAGING_NAME, Action, Operation
from sbs.core.messages import Begin, Chunk, Commit, Listing, Pack
from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING
from sbs.replication.files import index
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.receiving import incoming
from sbs.replication.seal import Seal
from tests.replication.rig import EPOCH, Pair, kept, look, proceed, read, write
from tests.support import require


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(str(tmp_path), strict_delete=True) as made:
        made.connect()
        made.target.begin(Begin(EPOCH, 1))
        yield made


def put(path: str, content: bytes, *, stream: int | None = None, folder: int = 0) -> Operation:
    return Operation(
        folder=folder,
        action=Action.PUT,
        path=path,
        mode=0o644,
        size_bytes=len(content),
        digest=blake3(content).digest(),
        stream=stream,
    )


def other(operation: Operation) -> Operation:
    return attrs.evolve(operation, digest=b"\0" * 32)


@pytest.mark.parametrize(
    ("pack", "text"),
    [
        (Pack((other(put("f", b"x")),), b"x"), "does not fit"),
        (Pack((put("f", b"xy"),), b"x"), "does not fit"),
        (Pack((put("f", b"x"),), b"xy"), "1 bytes of no operation"),
        (Pack((put("f", b"x", folder=1),), b"x"), "folder 1"),
        (Pack((put("f", b"x", stream=0),)), "no stream 0"),
    ],
)
def test_a_pack_that_does_not_fit_is_refused(pair: Pair, pack: Pack, text: str) -> None:
    """B20: verified as it comes; adversarial case 7."""
    with pytest.raises(ReplicationError, match=text):
        pair.target.take(pack, proceed)
    pair.target.abandon()
    assert look(pair.b) == {}


def test_a_generation_of_long_operations_has_an_end(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B62: they are in memory until it is applied."""
    monkeypatch.setattr(incoming, "MAX_OPERATIONS_BYTES", 500)
    label = Attributes(xattrs=(("user.x", b"x" * 300),))
    pack = Pack((attrs.evolve(put("f", b"x"), attributes=label),), b"x")
    pair.target.take(pack, proceed)
    with pytest.raises(ReplicationError, match="take more than 500 bytes"):
        pair.target.take(pack, proceed)
    pair.target.abandon()


def test_a_stream_must_be_whole_and_is_used_once(pair: Pair) -> None:
    target = pair.target
    target.take(Chunk(3, b"abc"), proceed)
    target.take(Chunk(3, b"def"), proceed)
    with pytest.raises(ReplicationError, match="other content"):
        target.take(Pack((put("f", b"abc", stream=3),)), proceed)
    with pytest.raises(ReplicationError, match="its end"):
        target.take(Chunk(3, b"more"), proceed)
    target.take(Chunk(4, b"abc"), proceed)
    with pytest.raises(ReplicationError, match="must ascend"):
        target.take(Chunk(3, b"more"), proceed)
    with pytest.raises(ReplicationError, match="folder 7; the session has 1"):
        target.take(Chunk(5, b"more", folder=7), proceed)
    target.take(Pack((put("f", b"abc", stream=4),)), proceed)
    with pytest.raises(ReplicationError, match="no stream 4"):
        target.take(Pack((put("g", b"abc", stream=4),)), proceed)
    target.abandon()
    assert os.listdir(pair.b) == []


def test_a_commit_that_does_not_fit_is_refused(pair: Pair) -> None:
    """B20, adversarial case 24: another count, digest, predecessor or list of services."""
    write(f"{pair.a}/f", b"f")
    update = pair.stage()
    commit = pair.seal(update)
    older = History((Generation(Epoch(1, 0), 0, b"o" * 32),))
    digest = attrs.evolve(commit.generation, digest=b"x" * 32)
    wrong: list[tuple[Commit, History]] = [
        (attrs.evolve(commit, operations=2), pair.history),
        (attrs.evolve(commit, active=("other",)), pair.history),
        (attrs.evolve(commit, generation=digest), pair.history),
        (commit, older),
    ]
    for each, history in wrong:
        with pytest.raises(ReplicationError, match=r"operations|digest"):
            pair.target.commit(each, history, proceed)
    pair.target.apply(pair.target.commit(commit, pair.history, proceed), proceed)
    assert read(f"{pair.b}/f") == b"f"


def test_a_generation_older_than_the_history_is_refused(pair: Pair) -> None:
    newer = History((Generation(Epoch(9, 0), 7, b"o" * 32),))
    commit = pair.stage().seal(EPOCH, newer, ())
    with pytest.raises(ReplicationError, match="ascend"):
        pair.target.commit(commit, newer, proceed)


def test_a_generation_of_another_epoch_than_begun_is_refused(pair: Pair) -> None:
    """B2, adversarial case 24: the digest fits, but the epoch is not the leader's."""
    commit = pair.stage().seal(Epoch(EPOCH.counter + 1, 0), pair.history, ())
    with pytest.raises(ReplicationError, match="does not fit"):
        pair.target.commit(commit, pair.history, proceed)


def test_places_that_overlap_are_refused(tmp_path: Path) -> None:
    """Adversarial cases 3, 6 and 20: no folder may change another, or SBS's own state."""
    with Pair(str(tmp_path), ["one", "two"]) as pair:
        one, base = pair.copies[0], pair.base
        os.symlink(one, f"{base}/link")
        for place, text in (
            (one, "overlaps folder 'one'"),
            (f"{one}/below", "overlaps folder 'one'"),
            (f"{base}/b", "overlaps folder 'one'"),
            (f"{base}/link/below", "overlaps folder 'one'"),
            (pair.state_dir, "overlaps the state directory"),
            (f"{pair.state_dir}/journal", "overlaps the state directory"),
            ("relative", "is relative"),
        ):
            with pytest.raises(ReplicationError, match=text):
                pair.target.open(pair.specs, (one, place))
        with pytest.raises(ReplicationError, match="one name"):
            pair.target.open((pair.specs[0], pair.specs[0]), pair.copies)
        assert not os.path.lexists(f"{one}/below")


def test_a_session_that_cannot_begin_keeps_no_descriptor(tmp_path: Path) -> None:
    with Pair(str(tmp_path), ["one", "two"]) as pair:
        write(f"{pair.base}/file")
        held = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(ReplicationError, match="Not a directory"):
                pair.target.open(pair.specs, (pair.copies[0], f"{pair.base}/file/below"))
        assert len(os.listdir("/proc/self/fd")) <= held + 1


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_acknowledged(
    tmp_path: Path,
) -> None:
    """B20, adversarial case 24: what is acknowledged can be applied."""
    base = f"{tmp_path}/user"
    os.mkdir(base)
    os.chmod(base, 0o777)
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        os.chmod(above, 0o755)

    def work() -> None:
        with Pair(base) as pair:
            write(f"{pair.a}/f", b"1")
            os.chmod(pair.b, 0o555)
            with pytest.raises(ReplicationError, match="cannot be written"):
                pair.connect()
            os.chmod(pair.b, 0o755)
            pair.connect()
            record = pair.commit(pair.stage())
            os.chmod(pair.b, 0o555)
            with pytest.raises(ReplicationError, match="tried again"):
                pair.target.apply(record, proceed)
            os.chmod(pair.b, 0o755)
            assert pair.target.apply(record, proceed).problems == ()
            assert look(pair.b) == look(pair.a)

    as_common_user(work)


@pytest.mark.parametrize("content", [b"", b"large" * BLOCKS_ABOVE])
def test_a_file_that_took_a_directorys_place_outlives_a_second_roll_forward(
    tmp_path: Path, content: bytes
) -> None:
    """B20, adversarial case 16: the deletes that made room must not meet the file itself."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/f", b"1")
        pair.replicate()
        os.unlink(f"{pair.a}/d/f")
        os.rmdir(f"{pair.a}/d")
        write(f"{pair.a}/d", content)
        write(f"{pair.a}/last", b"2")
        record = pair.commit(pair.stage())
        left = len(record.operations)

        def check() -> None:
            nonlocal left
            left -= 1
            if not left:
                raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR))

        with pytest.raises(ReplicationError, match="tried again"):
            pair.target.apply(record, check)
        assert pair.target.apply(record, proceed).problems == ()
        assert look(pair.b) == look(pair.a)


def test_a_lost_stream_is_not_mistaken_for_the_file_that_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: the same size is not the same content, and the index must not say so."""
    monkeypatch.setattr(index, "SETTLING_NS", -(10**9))  # no file here is young
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"1" * (BLOCKS_ABOVE + 1))
        pair.replicate()
        write(f"{pair.a}/f", b"2" * (BLOCKS_ABOVE + 1))
        pair.commit(pair.stage())
        os.unlink(f"{pair.b}/{STAGING_NAME}/stream-0")
        pair.target.recover(proceed)
        pair.replicate()
        assert look(pair.b) == look(pair.a)


def test_no_directory_is_opened_up_before_the_commit(tmp_path: Path) -> None:
    """B20: a generation that is not committed leaves the modes of directories, too, as they are."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/closed/f", b"1")
        os.chmod(f"{pair.a}/closed", 0o550)
        pair.replicate()
        write(f"{pair.a}/closed/f", b"2")
        before = look(pair.b)
        record = pair.commit(pair.stage())
        assert look(pair.b) == before
        pair.target.apply(record, proceed)
        assert look(pair.b) == look(pair.a)


@pytest.mark.parametrize("settled", [True, False])
def test_a_touch_makes_no_digest_more_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    """B25: what was read too soon after a change is still to be read again."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"content")
        pair.replicate()
        row = pair.target._index.row("data", "", "f")
        assert row is not None
        read_at_ns = row.stat[2] + (2 * index.SETTLING_NS if settled else 0)
        known = attrs.evolve(row, read_at_ns=read_at_ns)
        pair.target._index.store("data", [("", "f", known)])
        os.chmod(f"{pair.a}/f", 0o600)
        record = pair.commit(pair.stage())
        later_ns = time.time_ns() + 10**9  # the touch is long ago when it is written down
        monkeypatch.setattr(time, "time_ns", lambda: later_ns)
        pair.target.apply(record, proceed)
        touched = pair.target._index.row("data", "", "f")
        assert touched is not None
        assert touched.stat[4] == 0o100600
        assert touched.digest == row.digest
        assert touched.settled is settled


def test_calls_out_of_order_are_refused(pair: Pair) -> None:
    target = pair.target
    record = pair.commit(pair.stage())
    calls: list[Callable[[], None]] = [
        lambda: target.take(Pack(()), proceed),
        lambda: target.take(Chunk(0), proceed),
        lambda: target.begin(Begin(EPOCH, 2)),
        lambda: target.open(pair.specs, pair.copies),
    ]
    for call in calls:
        with pytest.raises(ReplicationError, match=r"begun|before the last"):
            call()
    target.apply(record, proceed)
    target.begin(Begin(EPOCH, 2))


def test_the_record_says_what_a_takeover_needs(pair: Pair) -> None:
    """R24, R32: history, active services and folders are part of the generation."""
    update = pair.stage()
    record = pair.target.commit(pair.seal(update, ("one", "two")), pair.history, proceed)
    assert record.active == ("one", "two")
    assert record.history.number == 1
    assert (record.folders, record.places) == (tuple(pair.specs), tuple(pair.copies))
    assert pair.target.recover(proceed) == record


def test_staged_files_never_show_and_never_stay(tmp_path: Path) -> None:
    """B20: what is staged is not in the folder's tree, and goes when it is given up."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/large", os.urandom(BLOCKS_ABOVE + 1))
        pair.connect()
        pair.stage()
        assert os.listdir(pair.b) == [STAGING_NAME]
        assert [*pair.target.listing(proceed)] == [Listing(folder=0, last=True)]
        pair.target.abandon()
        assert os.listdir(pair.b) == []
        pair.update()
        assert os.listdir(pair.b) == ["large"]


def test_an_unused_stream_is_dropped(pair: Pair) -> None:
    pair.target.take(Chunk(0, b"unused"), proceed)
    update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
    assert update.empty
    record = pair.commit(update)
    pair.target.apply(record, proceed)
    assert os.listdir(pair.b) == []


def test_at_most_one_unused_stream_takes_room(pair: Pair) -> None:
    """A large file that keeps changing is sent again; what was sent before goes at once."""
    for stream in range(5):
        pair.target.take(Chunk(stream, b"changed meanwhile"), proceed)
        assert os.listdir(f"{pair.b}/{STAGING_NAME}") == [f"stream-{stream}"]


def test_what_is_put_in_the_way_meanwhile_becomes_a_problem(tmp_path: Path) -> None:
    """The rest of the generation is applied; the next start is not held up by it."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        for name in ("file", "directory/f", "link-target", "ok"):
            write(f"{pair.a}/{name}", b"x")
        os.symlink("x", f"{pair.a}/link")
        write(f"{pair.b}/touched", b"t")
        write(f"{pair.b}/gone", b"t")
        write(f"{pair.a}/touched", b"t", mode=0o600)
        pair.replicate()
        for name in ("file", "ok", "directory/f"):
            write(f"{pair.a}/{name}", b"yy")
        os.chmod(f"{pair.a}/touched", 0o640)
        os.unlink(f"{pair.a}/link")
        os.symlink("y", f"{pair.a}/link")
        os.mkdir(f"{pair.a}/new")
        pair.connect()
        record = pair.commit(pair.stage())
        for name in ("file", "link", "touched"):
            os.unlink(f"{pair.b}/{name}")
            os.makedirs(f"{pair.b}/{name}/foreign")
        os.unlink(f"{pair.b}/directory/f")
        os.rmdir(f"{pair.b}/directory")
        write(f"{pair.b}/directory", b"foreign")
        write(f"{pair.b}/new", b"foreign")
        applied = pair.target.apply(record, proceed)
        assert sorted(problem.path for problem in applied.problems) == [
            "data/directory/f",
            "data/file",
            "data/link",
            "data/new",
            "data/touched",
        ]
        assert read(f"{pair.b}/ok") == b"yy"
        assert os.listdir(f"{pair.b}/{STAGING_NAME}") == ["quarantine"]
        assert kept(pair.b) == {"1.0-1/gone": b"t"}, "what nobody else had"
        pair.target.begin(Begin(EPOCH, 3))


@pytest.mark.parametrize("action", ["put", "mkdir", "link", "touch", "delete"])
def test_a_link_planted_in_a_parent_leads_nowhere(tmp_path: Path, action: str) -> None:
    """Adversarial cases 1 to 3: for every operation."""
    outside = f"{tmp_path}/outside"
    write(f"{outside}/f", b"outside", mode=0o644)
    with Pair(str(tmp_path), strict_delete=True) as pair:
        write(f"{pair.a}/d/f", b"inside!", mode=0o644)
        write(f"{pair.a}/d/g", b"inside!")
        pair.replicate()
        match action:
            case "put":
                write(f"{pair.a}/d/f", b"changed")
            case "mkdir":
                os.mkdir(f"{pair.a}/d/new")
            case "link":
                os.symlink("x", f"{pair.a}/d/link")
            case "touch":
                os.chmod(f"{pair.a}/d/f", 0o777)
            case _:
                os.unlink(f"{pair.a}/d/f")
        before = look(outside)
        record = pair.commit(pair.stage())
        os.rename(f"{pair.b}/d", f"{pair.b}/aside")
        os.symlink(outside, f"{pair.b}/d")
        applied = pair.target.apply(record, proceed)
        assert [problem.path.startswith("data/d/") for problem in applied.problems] == [True] * len(
            record.operations
        )
        assert look(outside) == before
        assert os.readlink(f"{pair.b}/d") == outside


def test_a_link_planted_in_a_parent_is_not_listed_through(tmp_path: Path) -> None:
    """Adversarial case 1, for listing and reading."""
    write(f"{tmp_path}/outside/f", b"outside")
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/f", b"inside")
        pair.connect()
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        os.rename(f"{pair.a}/d", f"{tmp_path}/aside")
        os.symlink(f"{tmp_path}/outside", f"{pair.a}/d")
        sent = [o for m in update.messages(proceed) if isinstance(m, Pack) for o in m.operations]
        assert [o.path for o in sent] == ["d"]
        assert [problem.path for problem in update.problems] == ["data/d/f"]


@pytest.mark.parametrize("kind", ["link", "file", "directory"])
def test_what_somebody_planted_as_staging_directory_is_removed(tmp_path: Path, kind: str) -> None:
    """Adversarial case 3: not followed either."""
    write(f"{tmp_path}/outside/f", b"outside")
    with Pair(str(tmp_path)) as pair:
        planted = f"{pair.b}/{STAGING_NAME}"
        if kind == "link":
            os.symlink(f"{tmp_path}/outside", planted)
        elif kind == "file":
            write(planted)
        else:
            write(f"{planted}/deep/er", b"x")
        write(f"{pair.a}/f", b"f")
        pair.replicate()
        assert os.listdir(pair.b) == ["f"]
        assert read(f"{tmp_path}/outside/f") == b"outside"


def test_a_staging_directory_that_somebody_else_owns_takes_no_content(tmp_path: Path) -> None:
    """B62: in a folder where everybody may make files; its owner could exchange what lies there."""
    require(root=True)
    with Pair(str(tmp_path)) as pair:
        planted = f"{pair.b}/{STAGING_NAME}"
        os.chmod(pair.b, 0o1777)
        os.makedirs(f"{planted}/versions")  # which keeps the directory from being removed
        os.chown(planted, 12345, -1)
        write(f"{pair.a}/f", b"f")
        with pytest.raises(ReplicationError, match=f"{planted} belongs to the account 12345"):
            pair.replicate()
        assert os.listdir(pair.b) == [STAGING_NAME]
        os.chown(pair.b, 12345, -1)  # to whom the folder belongs could do it anyway
        pair.replicate()
        assert read(f"{pair.b}/f") == b"f"


@contextlib.contextmanager
def file_limit(size_bytes: int) -> Generator[None]:
    """No file may grow beyond a size: what stands in for a full disk where none can be mounted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """The secondary's folder on a file system of 2 MiB; in the context it is full beyond that."""
    place = f"{tmp_path}/b/data"
    os.makedirs(place)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", place]
    if subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        yield contextlib.nullcontext
        subprocess.run(["umount", place], check=True)
    else:
        yield lambda: file_limit(2 * 1024 * 1024)


@pytest.mark.parametrize("large", [True, False], ids=["one large file", "many small files"])
def test_a_full_disk_refuses_the_update_and_keeps_the_last_one(
    tmp_path: Path, full_disk: Callable[[], AbstractContextManager[None]], large: bool
) -> None:
    """B20, adversarial case 13: the change is tried again when there is space."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/kept", b"kept")
        pair.replicate()
        for number in range(30):
            write(f"{pair.a}/{0 if large else number}", os.urandom(3_000_000 if large else 100_000))
        with full_disk(), pytest.raises(ReplicationError, match=r"No space|are free|too large"):
            pair.update()
        pair.target.abandon()
        assert sorted(look(pair.b)) == [b"kept"]
        for name in os.listdir(pair.a):
            os.truncate(f"{pair.a}/{name}", 4)
        with full_disk():
            pair.update()
        assert look(pair.b) == look(pair.a)


def test_another_file_system_inside_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adversarial case 20: files cannot be renamed onto it, and arrive all the same."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/mounted/small", b"s", mode=0o600)
        write(f"{pair.a}/mounted/large", os.urandom(BLOCKS_ABOVE + 1))
        os.symlink("small", f"{pair.a}/mounted/link")
        mounted = f"{pair.b}/mounted"
        os.mkdir(mounted)
        rename = os.rename

        def rename_within_file_systems(
            src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
        ) -> None:
            if src_dir_fd is not None and dst_dir_fd is not None:
                inside = [
                    os.path.samestat(os.fstat(fd), os.stat(mounted))
                    for fd in (src_dir_fd, dst_dir_fd)
                ]
                if inside[0] != inside[1]:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

        monkeypatch.setattr(os, "rename", rename_within_file_systems)
        _, applied = pair.replicate()
        assert applied.problems == ()
        assert look(pair.b) == look(pair.a)


def as_common_user(work: Callable[[], None]) -> None:
    """Run ``work`` as somebody whom permission bits hold back."""
    if os.geteuid() != 0:
        work()
        return
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_closed_directories_and_files_by_a_common_user(tmp_path: Path) -> None:
    """R22: a user who is not root copies read-only directories, again and again."""
    base = f"{tmp_path}/user"
    os.mkdir(base)
    os.chmod(base, 0o777)
    for above in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        os.chmod(above, 0o755)

    def work() -> None:
        with Pair(base, strict_delete=True) as pair:

            def closed(mode: int) -> None:
                for path in ("d", "d/e"):
                    os.chmod(f"{pair.a}/{path}", 0o755)
                for path in ("d/e", "d"):
                    os.chmod(f"{pair.a}/{path}", mode)

            write(f"{pair.a}/d/e/f", b"1", mode=0o400)
            write(f"{pair.a}/d/gone", b"1")
            write(f"{pair.a}/secret", b"1", mode=0o000)
            closed(0o555)
            update, _ = pair.replicate()
            assert [problem.path for problem in update.problems] == ["data/secret"]
            os.unlink(f"{pair.a}/secret")
            assert look(pair.b) == look(pair.a)
            closed(0o755)
            os.unlink(f"{pair.a}/d/gone")
            os.unlink(f"{pair.a}/d/e/f")
            write(f"{pair.a}/d/e/f", b"22", mode=0o400)
            write(f"{pair.a}/d/e/large", b"2" * (BLOCKS_ABOVE + 1), mode=0o400)
            closed(0o555)
            update, applied = pair.replicate()
            assert update.problems == applied.problems == ()
            assert look(pair.b) == look(pair.a)
            closed(0o000)
            pair.replicate()
            closed(0o755)
            for root in (pair.b, pair.a):
                assert stat.S_IMODE(os.stat(f"{root}/d").st_mode) == (
                    0o000 if root == pair.b else 0o755
                )
            pair.replicate()
            assert look(pair.b) == look(pair.a)

    as_common_user(work)


def test_closed_directories_above_a_change_keep_their_modes(tmp_path: Path) -> None:
    """R22: also those that a change only passes through."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/e/f", b"1")
        os.chmod(f"{pair.a}/d", 0o555)
        pair.replicate()
        write(f"{pair.a}/d/e/f", b"22")
        pair.update()
        assert look(pair.b) == look(pair.a)
        os.chmod(f"{pair.a}/d", 0o755)
        os.chmod(f"{pair.b}/d", 0o755)


def test_many_closed_directories_keep_their_modes(tmp_path: Path) -> None:
    """R22: more of them than are held open at once."""
    with Pair(str(tmp_path)) as pair:
        closed = [f"{number}{below}" for number in range(150) for below in ("/inner", "")]
        for path in closed:
            write(f"{pair.a}/{path}/f", b"1")
            os.chmod(f"{pair.a}/{path}", 0o555)
        pair.replicate()
        assert look(pair.b) == look(pair.a)
        for path in closed:
            os.chmod(f"{pair.a}/{path}/f", 0o600)
        pair.update()
        assert look(pair.b) == look(pair.a)
        if os.geteuid() != 0:
            subprocess.run(["chmod", "-R", "u+rwx", str(tmp_path)], check=True)


def test_a_directory_that_is_removed_and_made_again_is_the_new_one(pair: Pair) -> None:
    write(f"{pair.b}/d/f", b"old")
    pack = Pack(
        (
            Operation(folder=0, action=Action.DELETE, path="d/f"),
            Operation(folder=0, action=Action.DELETE, path="d"),
            Operation(folder=0, action=Action.MKDIR, path="d", mode=0o700),
            put("d/g", b"new"),
        ),
        b"new",
    )
    pair.target.take(pack, proceed)
    seal = Seal()
    seal.add(pack.operations)
    commit = Commit(generation=seal.generation(EPOCH, pair.history, ()), operations=4)
    record = pair.target.commit(commit, pair.history, proceed)
    assert pair.target.apply(record, proceed).problems == ()
    assert look(pair.b) == {
        b"d": ("directory", 0o700),
        b"d/g": ("file", 0o644, b"new"),
    }
