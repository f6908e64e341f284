"""Files with several names: each name becomes a file of its own, and the administrator is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sbs.replication.changes import NOTHING, Changes
from sbs.replication.files.problems import Problem
from sbs.replication.files.visit import Part
from sbs.replication.leading import hard_links
from sbs.replication.leading.hard_links import HardLinks
from sbs.replication.leading.source import Update
from tests.replication.rig import Pair, look, proceed, read, write


def test_names_of_one_file_are_told_and_replicated_as_files(tmp_path: Path) -> None:
    """R22: the contents arrive; the secondary's names are no hard links."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/a", "one")
        os.link(f"{pair.a}/a", f"{pair.a}/b")
        os.link(f"{pair.a}/a", f"{pair.a}/\x1b[2J")
        write(f"{pair.a}/single", "two")
        update, _ = pair.replicate()
        (told,) = update.problems
        assert told == Problem(
            path="data",
            text="3 names are hard links; each is replicated as a file of its own:"
            r" \x1b[2J, a, b",
            folder="data",
            note=True,
        )
        assert look(pair.a) == look(pair.b)
        assert os.stat(f"{pair.b}/a").st_nlink == 1


def test_names_in_two_folders_are_told_in_both(tmp_path: Path) -> None:
    with Pair(str(tmp_path), ["x", "y"]) as pair:
        write(f"{pair.sources[0]}/d/f", "one")
        os.link(f"{pair.sources[0]}/d/f", f"{pair.sources[1]}/g")
        told = pair.replicate()[0].problems
        assert [(each.folder, each.text.rpartition(": ")[2]) for each in told] == [
            ("x", "d/f"),
            ("y", "g"),
        ]


def notes(update: Update) -> list[str]:
    return [each.text.rpartition(": ")[2] for each in update.problems if each.note]


def test_a_cycle_that_looks_at_a_part_neither_loses_nor_repeats_it(tmp_path: Path) -> None:
    """B23: the next full scan corrects it."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/f", "one")
        os.link(f"{pair.a}/d/f", f"{pair.a}/d/g")
        assert notes(pair.replicate()[0]) == ["d/f, d/g"]
        part = Changes.of([(0, "d")])
        for changes in (NOTHING, part, part):
            assert notes(pair.source.prepare(pair.peer, changes, proceed)) == ["d/f, d/g"]
        os.unlink(f"{pair.a}/d/g")
        assert notes(pair.source.prepare(pair.peer, part, proceed)) == ["d/f, d/g"]
        pair.source.preview(pair.peer, proceed)
        assert notes(pair.replicate()[0]) == []


@pytest.mark.parametrize("twin", [".sbs.staging/versions/1.0-1-0/0", "excluded", "../outside"])
def test_a_name_that_is_not_replicated_does_not_count(tmp_path: Path, twin: str) -> None:
    """Not what SBS itself has kept, nor what a filter excludes."""
    with Pair(str(tmp_path), filters=("- excluded",)) as pair:
        write(f"{pair.a}/f", "one")
        os.makedirs(os.path.dirname(f"{pair.a}/{twin}"), exist_ok=True)
        os.link(f"{pair.a}/f", f"{pair.a}/{twin}")
        assert pair.replicate()[0].problems == ()
        assert read(f"{pair.b}/f") == b"one"


def part(inodes: dict[str, tuple[int, int]]) -> Part:
    return Part(
        directory="", entries={}, unreadable=set(), unsettled={}, problems=(), inodes=inodes
    )


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is then a lower bound, and says so; a note stays one line."""
    monkeypatch.setattr(hard_links, "MAX_REMEMBERED", 1)
    links = HardLinks(["data"])
    links.add(0, part({"a": (1, 1), "b": (1, 2), "c": (1, 2)}))
    assert not links.notes
    links.add(0, part({f"d{number}": (1, 1) for number in range(5)}))
    (note,) = links.notes
    assert note.text.startswith("at least 6 names")
    assert note.text.endswith(": a, d0, d1, d2 and 2 more")
