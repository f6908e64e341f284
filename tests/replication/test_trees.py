"""New directories are built in staging, and put in place as a whole (B20)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sbs.core.manifest import STAGING_NAME, Action, Operation
from sbs.core.messages import Listing, Pack
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.content import BLOCKS_ABOVE, digest_of_content
from sbs.replication.following.target import CommitRecord, Target
from tests.replication.rig import Pair, look, proceed, read, write

LARGE = os.urandom(BLOCKS_ABOVE + 1)


class StoppedError(Exception):
    pass


def populate(root: str) -> None:
    write(f"{root}/old/f", b"old")
    write(f"{root}/new/f", b"new", mode=0o640)
    write(f"{root}/new/below/large", LARGE)
    write(f"{root}/new/closed/f", b"closed")
    os.symlink("f", f"{root}/new/link")
    os.mkdir(f"{root}/new/empty")
    os.chmod(f"{root}/new/closed", 0o500)


@contextmanager
def committed(base: Path) -> Iterator[tuple[Pair, CommitRecord]]:
    """A generation with a new directory, not applied yet."""
    with Pair(str(base), preserve_mtime=True) as pair:
        write(f"{pair.b}/old/f", b"older")
        populate(pair.a)
        pair.connect()
        yield pair, pair.commit(pair.stage())


def test_a_new_directory_is_built_in_staging(tmp_path: Path) -> None:
    """Nothing of it goes through the journal; what replaces a file does."""
    with committed(tmp_path) as (pair, record):
        built = f"{pair.b}/{STAGING_NAME}/tree-0"
        assert read(f"{built}/f") == b"new"
        assert read(f"{built}/below/large") == LARGE
        journal = read(f"{pair.state_dir}/journal/commit")
        assert (b"old" in journal, b"closed" in journal[: journal.index(b"old") + 9]) == (
            True,
            False,
        )
        assert not os.path.exists(f"{pair.b}/new")
        pair.target.apply(record, proceed)
        assert look(pair.b, times=True) == look(pair.a, times=True)


def test_what_was_built_need_not_be_read_again(tmp_path: Path) -> None:
    """B23: the next session's listing knows the digests of all."""
    with committed(tmp_path) as (pair, record):
        pair.target.apply(record, proceed)
        pair.history = record.history
        pair.connect()
        assert pair.peer.entry(0, "new/f") is not None
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        assert (list(update.messages(proceed)), update.operations) == ([], [])


def test_what_stands_at_the_place_by_then_is_merged(tmp_path: Path) -> None:
    """R22: somebody made the directory meanwhile; his files stay."""
    with committed(tmp_path) as (pair, record):
        write(f"{pair.b}/new/below/his", b"his")
        applied = pair.target.apply(record, proceed)
        assert applied.problems == ()
        assert read(f"{pair.b}/new/below/his") == b"his"
        os.unlink(f"{pair.b}/new/below/his")
        assert look(pair.b, times=True) == look(pair.a, times=True)


@pytest.mark.parametrize("crash", [False, True], ids=["an error", "a crash"])
@pytest.mark.parametrize("merged", [False, True], ids=["as a whole", "one by one"])
def test_the_roll_forward_can_be_taken_again_from_any_operation(
    tmp_path: Path, crash: bool, merged: bool
) -> None:
    """B20: also when a directory was put in its place already."""
    for number in range(1, 12):
        with committed(tmp_path / str(number)) as (pair, record):
            if merged:
                write(f"{pair.b}/new/his", b"his")
            calls = 0

            def check() -> None:
                nonlocal calls
                calls += 1
                if calls == number:  # noqa: B023 - it is called within this turn of the loop
                    raise StoppedError

            try:
                pair.target.apply(record, check)
            except StoppedError:
                if crash:
                    pair.target.close()
                    target = Target(pair.state_dir, pair.index_a)
                    assert target.recover(proceed) == record
                    target.close()
                else:
                    pair.target.apply(record, proceed)
            else:
                assert number > 9, "there are fewer operations than there should be"
            if merged:
                os.unlink(f"{pair.b}/new/his")
            assert look(pair.b, times=True) == look(pair.a, times=True)


def test_a_built_file_that_somebody_replaced_after_a_crash_is_reported(tmp_path: Path) -> None:
    """B20: the index never claims what the disk does not hold."""
    with committed(tmp_path) as (pair, record):
        os.rename(f"{pair.b}/{STAGING_NAME}/tree-0", f"{pair.b}/new")  # then the crash came
        write(f"{pair.b}/new/f", b"his")
        pair.target.close()
        target = Target(pair.state_dir, pair.index_a)
        target.recover(proceed)
        assert read(f"{pair.b}/new/f") == b"his"
        target.open(pair.specs, pair.copies)
        listed = {
            entry.path: entry.digest
            for part in target.listing(proceed)
            if isinstance(part, Listing)
            for entry in part.entries
        }
        assert listed["new/f"] != digest_of_content(b"new")
        assert record.trees
        target.close()


def test_what_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    """B20: the last generation stays as it is."""
    with Pair(str(tmp_path)) as pair:
        populate(pair.a)
        pair.connect()
        pair.stage()
        assert os.listdir(pair.b) == [STAGING_NAME]
        pair.target.abandon()
        assert os.listdir(pair.b) == []


def test_what_stood_in_a_directory_that_somebody_removed_is_deleted_and_touched(
    tmp_path: Path,
) -> None:
    """Found by random operations, seed 311: every update of the session was refused."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        for name in ("gone", "touched", "stays"):
            write(f"{pair.a}/d/{name}", name)
        pair.replicate()
        shutil.rmtree(f"{pair.b}/d")
        os.chmod(f"{pair.a}/d", 0o700)
        os.chmod(f"{pair.a}/d/touched", 0o600)
        os.unlink(f"{pair.a}/d/gone")
        _, applied = pair.update()
        assert [each.path for each in applied.problems] == ["data/d/touched"]
        assert look(pair.b) == {b"d": ("directory", 0o700)}
        pair.replicate()
        assert look(pair.b) == look(pair.a)


def test_a_link_on_the_way_is_not_followed(tmp_path: Path) -> None:
    """Adversarial cases 1 to 3: what lies behind a link is no new directory."""
    with Pair(str(tmp_path)) as pair:
        os.mkdir(f"{tmp_path}/outside")
        os.symlink(f"{tmp_path}/outside", f"{pair.b}/d")
        pair.connect()
        pair.stage()
        made = Operation(folder=0, action=Action.MKDIR, path="d/e", mode=0o755)
        pair.target.take(Pack((made,)), proceed)
        assert os.listdir(pair.b) == ["d"]
        assert os.listdir(f"{tmp_path}/outside") == []
