"""What was only renamed is no loss to the guard (B22)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sbs.core.guard import Cause
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.leading.source import Source, Update
from tests.replication.rig import Pair, look, proceed, read, write

FILES = 6


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Some files in a directory that both nodes hold; not one may be deleted."""
    with Pair(str(tmp_path), strict_delete=True, max_deletes=0, filters=("- *.tmp",)) as pair:
        for number in range(FILES):
            write(f"{pair.a}/d/inner {number % 2}/{number}", f"content {number}")
        os.symlink("somewhere", f"{pair.a}/d/link")
        pair.connect()
        update(pair)
        assert look(pair.b) == look(pair.a)
        yield pair


def update(pair: Pair, changes: Changes = EVERYTHING) -> Update:
    """Send an update, unless it is held."""
    prepared = pair.source.prepare(pair.peer, changes, proceed)
    if prepared.held is None:
        pair.stage(update=prepared)
        record = pair.commit(prepared)
        pair.target.apply(record, proceed)
        pair.history = record.history
        pair.peer.commit(prepared.operations)
        pair.source.confirm(prepared, record.history.entries[-1], ())
    return prepared


def deletes(pair: Pair, changes: Changes = EVERYTHING) -> int:
    """How many files the guard finds to be lost; the update passes if it is none."""
    held = update(pair, changes).held
    if held is None:
        assert look(pair.b) == look(pair.a)
        return 0
    assert {reason.cause for reason in held.reasons} == {Cause.TOO_MANY}
    return held.deletes


def rename_directory(root: str) -> None:
    os.rename(f"{root}/d", f"{root}/e")


def rename_files(root: str) -> None:
    for number in range(FILES):
        os.rename(f"{root}/d/inner {number % 2}/{number}", f"{root}/d/inner 0/moved {number}")


def rename_over_another(root: str) -> None:
    os.rename(f"{root}/d/inner 0/0", f"{root}/d/inner 1/1")


def swap(root: str) -> None:
    os.rename(f"{root}/d/inner 0/0", f"{root}/d/x")
    os.rename(f"{root}/d/inner 1/1", f"{root}/d/inner 0/0")
    os.rename(f"{root}/d/x", f"{root}/d/inner 1/1")


def put_a_file_in_its_place(root: str) -> None:
    os.rename(f"{root}/d", f"{root}/e")
    write(f"{root}/d", "a file")


@pytest.mark.parametrize(
    "change",
    [rename_directory, rename_files, rename_over_another, swap, put_a_file_in_its_place],
)
def test_what_was_renamed_does_not_count(pair: Pair, change: Callable[[str], None]) -> None:
    change(pair.a)
    assert deletes(pair) == 0


def test_nor_does_it_where_a_watcher_saw_it(pair: Pair) -> None:
    """B23: the first look is at a part; the guard looks again at everything."""
    rename_directory(pair.a)
    assert deletes(pair, Changes.of([(0, "")])) == 0


def test_nor_does_it_after_a_restart(pair: Pair) -> None:
    rename_directory(pair.a)
    pair.source = Source(pair.specs, pair.index_a, 0)
    pair.connect()
    assert deletes(pair) == 0


def test_what_is_held_for_another_reason_is_no_more_at_the_next_look(pair: Pair) -> None:
    rename_directory(pair.a)
    os.unlink(f"{pair.a}/e/inner 0/0")
    first = update(pair).held
    assert first is not None
    assert first.deletes == 1
    assert pair.source.preview(pair.peer, proceed).held == first
    second = update(pair).held
    assert second == first


def test_other_files_of_the_same_size_are_no_evidence(pair: Pair) -> None:
    """Also where the file system gives them the inodes of those that are gone."""
    shutil.rmtree(f"{pair.a}/d/inner 0")
    for number in range(FILES):
        write(f"{pair.a}/d/new {number}", f"content {number}")
    assert deletes(pair) == FILES // 2


def edit(root: str) -> None:
    rename_directory(root)
    write(f"{root}/e/inner 0/0", "other con.")


def move_away(root: str) -> None:
    os.rename(f"{root}/d/inner 0/0", f"{root}/../away")


def exclude(root: str) -> None:
    os.rename(f"{root}/d/inner 0/0", f"{root}/d/0.tmp")


def copy(root: str) -> None:
    shutil.copy2(f"{root}/d/inner 0/0", f"{root}/d/copy")
    os.unlink(f"{root}/d/inner 0/0")


@pytest.mark.parametrize("change", [edit, move_away, exclude, copy])
def test_what_is_not_surely_the_same_file_counts(pair: Pair, change: Callable[[str], None]) -> None:
    change(pair.a)
    assert deletes(pair) == 1
    assert read(f"{pair.b}/d/inner 0/0") == b"content 0"


def test_what_the_secondary_has_otherwise_counts(pair: Pair) -> None:
    """B4: edited there by hand, it is not what comes under the other path."""
    write(f"{pair.b}/d/inner 0/0", "by hand")
    pair.connect()
    rename_directory(pair.a)
    assert deletes(pair) == 1


def test_on_another_file_system_inodes_are_no_evidence(pair: Pair) -> None:
    os.rename(pair.a, f"{pair.a}-away")
    shutil.copytree(f"{pair.a}-away", pair.a, symlinks=True)
    rename_directory(pair.a)
    held = update(pair).held
    assert held is not None
    assert Cause.OTHER_ROOT in {reason.cause for reason in held.reasons}
    assert held.deletes == FILES + 1
