"""Folders arrive as they are, over real files."""

from __future__ import annotations

import itertools
import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sbs.core.filters import Filter
from sbs.core.manifest import STAGING_NAME, Action
from sbs.core.messages import Chunk, Content, Pack
from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.files.index import Index
from sbs.replication.files.places import Places
from sbs.replication.files.scan import Scanner
from tests.replication.rig import Pair, look, proceed, read, write

MTIME_NS = 1_234_567_890_123_456_789


def odd_tree(root: str) -> None:
    """Everything that a POSIX tree may hold and that is replicated."""
    write(f"{root}/plain", b"content")
    write(f"{root}/empty")
    write(f"{root}/with space/and\nnewline", b"1")
    write(f"{root}/\udcff\udc80 not utf-8", b"2")
    write(f"{root}/ä/ö\u0308", b"3")
    write(f"{root}/{'n' * 255}", b"4")
    write(f"{root}/{'/'.join(['deep' * 10] * 60)}/file", b"5")
    write(f"{root}/-rf", b"6")
    write(f"{root}/ends.in.dot.", b"7")
    write(f"{root}/a\\b", b"8")
    os.makedirs(f"{root}/empty directory/inner")
    write(f"{root}/modes/secret", b"s", mode=0o600)
    write(f"{root}/modes/sticky", b"s", mode=0o1644)
    write(f"{root}/modes/none", b"s", mode=0o000)
    write(f"{root}/closed/inner/file", b"c")
    os.chmod(f"{root}/closed/inner", 0o500)
    os.chmod(f"{root}/closed", 0o555)
    os.makedirs(f"{root}/setgid")
    os.chmod(f"{root}/setgid", 0o2775)
    os.symlink("plain", f"{root}/link")
    os.symlink("nowhere/at all", f"{root}/dangling")
    os.symlink("modes", f"{root}/link to directory")
    os.symlink("/etc/passwd", f"{root}/absolute link")
    write(f"{root}/just small", os.urandom(BLOCKS_ABOVE))
    write(f"{root}/just large", os.urandom(BLOCKS_ABOVE + 1))
    write(f"{root}/large", os.urandom(3 * 1024 * 1024 + 17))


def test_an_odd_tree_arrives_byte_for_byte(tmp_path: Path) -> None:
    """R20, R22: first cycle."""
    with Pair(str(tmp_path)) as pair:
        odd_tree(pair.a)
        update, applied = pair.replicate()
        assert look(pair.b) == look(pair.a)
        assert (update.problems, applied.problems) == ((), ())
        assert applied.files == sum(1 for entry in look(pair.a).values() if entry[0] == "file")


def test_a_second_cycle_sends_nothing(tmp_path: Path) -> None:
    """R20: only what changed since the last check."""
    with Pair(str(tmp_path), preserve_mtime=True) as pair:
        odd_tree(pair.a)
        pair.replicate()
        assert pair.stage().empty, "in the same session"
        pair.connect()
        assert pair.stage().empty, "in a new session"
    with Pair(str(tmp_path), preserve_mtime=True) as pair:
        pair.connect()
        assert pair.stage().empty, "after a restart"


def test_only_what_changed_is_sent(tmp_path: Path) -> None:
    """R20."""
    with Pair(str(tmp_path)) as pair:
        odd_tree(pair.a)
        pair.replicate()
        write(f"{pair.a}/plain", b"changed")
        write(f"{pair.a}/new/file", b"new")
        update, _ = pair.update()
        assert sorted((o.action.name, o.path) for o in update.operations) == [
            ("MKDIR", "new"),
            ("PUT", "new/file"),
            ("PUT", "plain"),
        ]
        assert look(pair.b) == look(pair.a)


def test_same_size_and_time_but_new_content_is_sent(tmp_path: Path) -> None:
    """Adversarial case 17."""
    with Pair(str(tmp_path), preserve_mtime=True) as pair:
        write(f"{pair.a}/f", b"one")
        os.utime(f"{pair.a}/f", ns=(MTIME_NS, MTIME_NS))
        pair.replicate()
        write(f"{pair.a}/f", b"two")
        os.utime(f"{pair.a}/f", ns=(MTIME_NS, MTIME_NS))
        pair.update()
        assert read(f"{pair.b}/f") == b"two"


def test_content_that_was_written_again_unchanged_is_not_sent(tmp_path: Path) -> None:
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/small", b"same")
        write(f"{pair.a}/large", b"x" * (BLOCKS_ABOVE * 2))
        pair.replicate()
        write(f"{pair.a}/small", b"same")
        write(f"{pair.a}/large", b"x" * (BLOCKS_ABOVE * 2))
        assert pair.stage().empty


@pytest.mark.parametrize("strict", [False, True])
def test_strict_delete(tmp_path: Path, strict: bool) -> None:
    """R22: what the primary lacks stays by default and goes with ``strict_delete``."""
    with Pair(str(tmp_path), strict_delete=strict) as pair:
        write(f"{pair.b}/old/deep/file", b"x")
        os.symlink("file", f"{pair.b}/old/link")
        write(f"{pair.a}/new", b"y")
        pair.replicate()
        assert os.path.exists(f"{pair.b}/old/deep/file") is not strict
        assert os.path.lexists(f"{pair.b}/old") is not strict
        assert read(f"{pair.b}/new") == b"y"


def test_preserve_mtime_to_the_nanosecond(tmp_path: Path) -> None:
    """R23: ``preserve_mtime`` on, for files of every way to travel, also when only it changes."""
    with Pair(str(tmp_path), preserve_mtime=True) as pair:
        write(f"{pair.a}/small", b"s")
        write(f"{pair.a}/large", b"l" * (BLOCKS_ABOVE + 1))
        for name in ("small", "large"):
            os.utime(f"{pair.a}/{name}", ns=(MTIME_NS, MTIME_NS))
        pair.replicate()
        assert look(pair.b, times=True) == look(pair.a, times=True)
        os.utime(f"{pair.a}/small", ns=(MTIME_NS, MTIME_NS + 1))
        update, _ = pair.update()
        assert [o.action for o in update.operations] == [Action.TOUCH]
        assert look(pair.b, times=True) == look(pair.a, times=True)
        pair.connect()
        assert pair.stage().empty, "a touched file keeps its digest"


def test_without_preserve_mtime_a_copy_bears_its_own_time(tmp_path: Path) -> None:
    """R23: the default."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"s")
        os.utime(f"{pair.a}/f", ns=(MTIME_NS, MTIME_NS))
        before_ns = os.stat(tmp_path).st_mtime_ns
        pair.replicate()
        assert os.stat(f"{pair.b}/f").st_mtime_ns >= before_ns
        os.utime(f"{pair.a}/f", ns=(MTIME_NS, 5))
        assert pair.stage().empty


def test_modes_alone_travel(tmp_path: Path) -> None:
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/f", b"s", mode=0o644)
        pair.replicate()
        os.chmod(f"{pair.a}/d/f", 0o711)
        os.chmod(f"{pair.a}/d", 0o700)
        update, applied = pair.update()
        assert sorted(o.action.name for o in update.operations) == ["MKDIR", "TOUCH"]
        assert applied.size_bytes == 0
        assert look(pair.b) == look(pair.a)


def test_filters_protect_what_they_exclude(tmp_path: Path) -> None:
    """R21, R22: excluded files neither travel nor are deleted."""
    with Pair(str(tmp_path), filters=("- *.tmp", "- cache/"), strict_delete=True) as pair:
        write(f"{pair.a}/x.tmp", b"theirs")
        write(f"{pair.a}/cache/c", b"theirs")
        write(f"{pair.a}/f", b"f")
        write(f"{pair.b}/y.tmp", b"mine")
        write(f"{pair.b}/cache/m", b"mine")
        write(f"{pair.b}/g", b"surplus")
        pair.replicate()
        assert sorted(look(pair.b)) == [b"cache", b"cache/m", b"f", b"y.tmp"]


def test_excluded_files_keep_their_directory_and_that_is_reported(tmp_path: Path) -> None:
    """R22: a directory to delete that holds protected files stays; the rest is applied."""
    with Pair(str(tmp_path), filters=("- *.tmp",), strict_delete=True) as pair:
        write(f"{pair.b}/d/keep.tmp", b"mine")
        write(f"{pair.b}/d/gone", b"x")
        write(f"{pair.a}/f", b"f")
        _, applied = pair.replicate()
        assert sorted(look(pair.b)) == [b"d", b"d/keep.tmp", b"f"]
        assert [problem.path for problem in applied.problems] == ["data/d"]


def test_kinds_are_swapped_both_ways(tmp_path: Path) -> None:
    """R22: the primary wins where a file, a directory and a link meet."""
    with Pair(str(tmp_path)) as pair:
        kinds = ["file", "directory", "link"]

        def make(root: str, kind: str, name: str) -> None:
            if kind == "file":
                write(f"{root}/{name}", name)
            elif kind == "directory":
                write(f"{root}/{name}/inner/f", name)
            else:
                os.symlink("/etc", f"{root}/{name}")

        for ours in kinds:
            for theirs in kinds:
                make(pair.a, ours, f"{ours}-{theirs}")
                make(pair.b, theirs, f"{ours}-{theirs}")
        _, applied = pair.replicate()
        assert applied.problems == ()
        assert look(pair.b) == look(pair.a)


def test_several_folders_with_a_missing_root_on_the_secondary(tmp_path: Path) -> None:
    """R21, R24: any number of folders; the secondary makes what is missing."""
    with Pair(str(tmp_path), ["one", "two", "three"]) as pair:
        for number, path in enumerate(pair.sources):
            write(f"{path}/f{number}", str(number))
            write(f"{path}/large", os.urandom(BLOCKS_ABOVE + number + 1))
        os.rmdir(pair.copies[1])
        pair.replicate()
        assert [look(p) for p in pair.copies] == [look(p) for p in pair.sources]


def test_a_missing_root_on_the_primary_fails_the_update(tmp_path: Path) -> None:
    """Adversarial case 12: an unmounted folder deletes nothing."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        write(f"{pair.b}/f", b"keep")
        os.rmdir(pair.a)
        pair.connect()
        with pytest.raises(ReplicationError, match="cannot be read"):
            pair.source.prepare(pair.peer, EVERYTHING, proceed)
        assert read(f"{pair.b}/f") == b"keep"


def test_special_files_are_reported_and_protected(tmp_path: Path) -> None:
    """R25: what cannot be carried over is listed for the administrator."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        os.mkfifo(f"{pair.a}/pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{pair.a}/so\x1bcket")
        write(f"{pair.a}/f", b"f")
        write(f"{pair.b}/pipe", b"stays")
        update, _ = pair.replicate()
        assert sorted(problem.path for problem in update.problems) == [
            "data/pipe",
            "data/so\\x1bcket",
        ]
        assert sorted(look(pair.b)) == [b"f", b"pipe"]


def test_a_file_that_becomes_a_directory_during_the_scan_is_left_alone(tmp_path: Path) -> None:
    """R22, adversarial case 16: below a directory that was not entered nothing is deleted."""

    def swap() -> None:
        """Called before the thousandth entry is looked at, too."""
        if os.path.isfile(f"{pair.a}/d"):
            os.unlink(f"{pair.a}/d")
            write(f"{pair.a}/d/f", b"1")

    with Pair(str(tmp_path)) as pair:
        for number in range(999):
            write(f"{pair.a}/a{number}")
        write(f"{pair.a}/d")
        with Places([pair.a]) as places, closing(Index(f"{tmp_path}/index")) as index:
            checks = iter([proceed, swap])
            scanner = Scanner(places, 0, "data", Filter(), index, lambda: next(checks, proceed)())
            (found,) = scanner.all()
        assert found.unreadable == {"d"}
        assert len(found.entries) == 999
        assert not found.fingerprint
        assert "replaced" in found.problems[0].text


def test_a_date_that_cannot_travel_leaves_one_file_out(tmp_path: Path) -> None:
    """Adversarial cases 7 and 11: also where it is set between scan and reading."""
    with Pair(str(tmp_path)) as pair:
        for name in ("early", "late", "other"):
            write(f"{pair.a}/{name}")
        far_s = 10_413_792_000  # the year 2300
        os.utime(f"{pair.a}/early", (far_s, far_s))
        if os.stat(f"{pair.a}/early").st_mtime != far_s:
            far_s = 2**32  # a file system without such dates: nothing is left out
        pair.connect()
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        os.utime(f"{pair.a}/late", (far_s, far_s))
        packs = list(update.messages(proceed))
        left_out = [problem.path for problem in update.problems]
        assert left_out == (["data/early", "data/late"] if far_s > 2**33 else [])
        assert "other" in {
            o.path for pack in packs if isinstance(pack, Pack) for o in pack.operations
        }


def test_a_file_that_vanishes_or_becomes_a_link_is_left_out(tmp_path: Path) -> None:
    """Adversarial cases 11 and 16: the rest still arrives."""
    with Pair(str(tmp_path)) as pair:
        for name in ("gone", "link", "directory", "stays"):
            write(f"{pair.a}/{name}", b"x")
        pair.connect()
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        for name in ("gone", "link", "directory"):
            os.unlink(f"{pair.a}/{name}")
        os.symlink("/etc/passwd", f"{pair.a}/link")
        os.mkdir(f"{pair.a}/directory")
        sent = [m for m in update.messages(proceed) if isinstance(m, Pack)]
        assert [o.path for m in sent for o in m.operations] == ["stays"]
        assert sorted(p.path for p in update.problems) == [
            "data/directory",
            "data/gone",
            "data/link",
        ]


def test_a_large_file_that_shrinks_while_it_is_sent_is_sent_again(tmp_path: Path) -> None:
    """B25, adversarial case 11."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/large", b"1" * (3 * 1024 * 1024))
        write(f"{pair.a}/other", b"o")
        pair.connect()
        streams: list[int] = []

        def shrink(message: Content) -> None:
            if isinstance(message, Chunk):
                if not streams:
                    write(f"{pair.a}/large", b"2" * (2 * 1024 * 1024))
                streams.append(message.stream)

        update = pair.stage(each=shrink)
        pair.target.apply(pair.commit(update), proceed)
        assert set(streams) == {0, 1}
        assert look(pair.b) == look(pair.a)
        assert STAGING_NAME not in os.listdir(pair.b)


def test_a_file_that_is_always_changing_is_left_for_the_next_update(tmp_path: Path) -> None:
    """B25: never torn, however long it goes on; and the rest arrives."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/large", b"0" * (2 * 1024 * 1024))
        write(f"{pair.a}/other", b"o")
        pair.connect()

        def change(message: Content) -> None:
            if isinstance(message, Chunk):
                with open(f"{pair.a}/large", "r+b") as file:
                    file.write(os.urandom(1024))

        update = pair.stage(each=change)
        pair.target.apply(pair.commit(update), proceed)
        assert sorted(look(pair.b)) == [b"other"]
        assert [problem.path for problem in update.problems] == ["data/large"]
        assert STAGING_NAME not in os.listdir(pair.b)


@pytest.mark.parametrize("size_bytes", [64 * 1024, BLOCKS_ABOVE * 3])
def test_no_copy_is_torn_under_a_writer(tmp_path: Path, size_bytes: int) -> None:
    """B25: a thread rewrites the file all the time; each copy is one of its versions.

    It does so by one write: what stands between two of them is no torn file, only half a change.
    """
    with Pair(str(tmp_path)) as pair:
        path = f"{pair.a}/f"
        write(path, b"0" * size_bytes)
        stop = threading.Event()

        def rewrite() -> None:
            with open(path, "r+b", buffering=0) as file:
                number = 0
                while not stop.is_set():
                    number = (number + 1) % 10
                    os.pwrite(file.fileno(), b"%d" % number * size_bytes, 0)
                    if number == 0:
                        stop.wait(0.03)

        writer = threading.Thread(target=rewrite)
        writer.start()
        try:
            for _ in range(15):
                pair.replicate()
                if os.path.exists(f"{pair.b}/f"):
                    content = read(f"{pair.b}/f")
                    assert content == content[:1] * size_bytes, "a mixture of two versions"
        finally:
            stop.set()
            writer.join()
        pair.replicate()
        assert look(pair.b) == look(pair.a)


class CancelledError(BaseException):
    """What a runtime raises from a check."""


def after(calls: int) -> Callable[[], object]:
    """A check that cancels at its n-th call."""
    numbers = itertools.count(1)

    def check() -> None:
        if next(numbers) == calls:
            raise CancelledError

    return check


def test_cancelling_leaves_both_sides_usable(tmp_path: Path) -> None:
    """A check that raises ends the call; the next one does the whole work."""
    with Pair(str(tmp_path)) as pair:
        odd_tree(pair.a)
        pair.connect()
        with pytest.raises(CancelledError):
            pair.source.prepare(pair.peer, EVERYTHING, after(3))
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        with pytest.raises(CancelledError):
            list(update.messages(after(5)))
        update = pair.stage()
        with pytest.raises(CancelledError):
            pair.target.commit(pair.seal(update), pair.history, after(1))
        record = pair.commit(update)
        for calls in (1, 10, 20):
            with pytest.raises(CancelledError):
                pair.target.apply(record, after(calls))
        pair.target.apply(record, proceed)
        assert look(pair.b) == look(pair.a)


def test_modes_are_set_whatever_the_umask_is(tmp_path: Path) -> None:
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/f", b"s", mode=0o666)
        os.chmod(f"{pair.a}/d", 0o777)
        before = os.umask(0o077)
        try:
            pair.replicate()
        finally:
            os.umask(before)
        assert stat.S_IMODE(os.stat(f"{pair.b}/d").st_mode) == 0o777
        assert look(pair.b) == look(pair.a)
