"""A secondary whose file system takes several names for one (adversarial case 15)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import attrs
import pytest

from sbs.core.folding import Folding
from sbs.core.manifest import Action
from sbs.errors import ReplicationError
from sbs.replication.changes import Changes
from sbs.replication.files.places import Places
from sbs.replication.former.versions import Versions
from sbs.replication.leading.source import Source, Update
from sbs.replication.receiving.folding import Spellings, probe
from tests.replication.mounts import FOLDING, folding_directory
from tests.replication.rig import Pair, former, kept, proceed, read, write
from tests.support import wait_until


@pytest.fixture(params=FOLDING)
def folded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with folding_directory(request.param, tmp_path) as place:
        yield place


@pytest.fixture
def pair(folded: str, tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, folded) as pair:
        yield pair


def paired(tmp_path: Path, folded: str, *, filters: tuple[str, ...] = ()) -> Pair:
    pair = Pair(str(tmp_path), filters=filters, versions=Versions(keep_s=3600.0))
    pair.copies = [folded]
    return pair


def contents(root: str) -> dict[str, bytes]:
    """All files by their paths; what SBS keeps is not among them."""
    return {
        os.path.relpath(os.path.join(directory, name), root): read(os.path.join(directory, name))
        for directory, _, names in os.walk(root)
        for name in names
        if ".sbs.staging" not in directory
    }


def recovered(pair: Pair) -> bool:
    try:
        return pair.target.recover(proceed) is not None
    except ReplicationError:
        return False


def clashes(update: Update) -> list[tuple[str, str]]:
    """What was left out, and for the sake of what."""
    return [(each.entry, each.text.split("that of '")[1].split("'")[0]) for each in update.problems]


def test_it_is_found_out(pair: Pair, tmp_path: Path) -> None:
    with Places([pair.b, str(tmp_path)]) as places:
        assert probe(places, 0) in (Folding.CASE, Folding.BOTH)
        assert probe(places, 1) is Folding.NONE


def test_of_two_names_the_first_is_replicated_and_the_other_told(pair: Pair) -> None:
    """Neither replaces the other, now or later; when one goes, the other comes."""
    write(f"{pair.a}/readme", "small")
    write(f"{pair.a}/README", "capital")
    for _ in range(3):
        update, _ = pair.replicate()
        assert clashes(update) == [("readme", "README")]
        assert contents(pair.b) == {"README": b"capital"}
    write(f"{pair.a}/readme", "small and new")
    pair.update()
    assert contents(pair.b) == {"README": b"capital"}
    os.unlink(f"{pair.a}/README")
    update, _ = pair.update()
    assert clashes(update) == []
    assert contents(pair.b) == {"readme": b"small and new"}
    assert former(pair.b)["readme"] == [b"capital"]


def test_sbs_own_directory_is_not_reached_by_another_spelling(pair: Pair) -> None:
    """B4, B62: what only this node has is kept there."""
    write(f"{pair.a}/.SBS.Staging/quarantine/list.jsonl", "nothing is kept")
    with pytest.raises(ReplicationError, match="another name of SBS's own staging directory"):
        pair.replicate()
    pair.target.abandon()
    assert os.listdir(pair.b) == []


def test_the_name_that_stands_already_stays(pair: Pair) -> None:
    write(f"{pair.a}/readme", "small")
    pair.replicate()
    write(f"{pair.a}/README", "capital")
    for replicate in (pair.update, pair.replicate):
        assert clashes(replicate()[0]) == [("README", "readme")]
        assert contents(pair.b) == {"readme": b"small"}


def test_of_two_directories_one_is_replicated_with_all_that_is_in_it(pair: Pair) -> None:
    """B23: also where a cycle looks only at what is in the other one."""
    write(f"{pair.a}/Dir/sub/f", "one")
    write(f"{pair.a}/dir/sub/f", "other")
    write(f"{pair.a}/dir/g", "more")
    assert clashes(pair.replicate()[0]) == [("dir", "Dir")]
    write(f"{pair.a}/dir/sub/f", "changed")
    looked = Changes.of([(0, "dir"), (0, "dir/sub")])
    update = pair.source.prepare(pair.peer, looked, proceed)
    assert clashes(update) == [("dir", "Dir")]
    assert update.operations_planned == 0
    assert contents(pair.b) == {"Dir/sub/f": b"one"}


def test_a_file_whose_name_changes_only_its_case_gets_that_name(pair: Pair) -> None:
    """B4: nothing of it is taken for a version that only the secondary has."""
    write(f"{pair.a}/d/readme", "text")
    pair.replicate()
    os.rename(f"{pair.a}/d/readme", f"{pair.a}/d/README")
    write(f"{pair.a}/d/README", "another text")
    update, applied = pair.update()
    assert applied.problems == update.problems == ()
    assert contents(pair.b) == {"d/README": b"another text"}
    assert former(pair.b)["d/README"] == [b"text"]
    assert kept(pair.b) == {}
    assert [each.action for each in pair.replicate()[0].operations if each.digest] == []


def test_a_directory_whose_name_changes_only_its_case_gets_that_name(pair: Pair) -> None:
    """R22: what only the secondary has in it stays, without ``strict_delete``."""
    write(f"{pair.a}/dir/sub/f", "text")
    write(f"{pair.a}/dir/gone", "old")
    pair.replicate()
    os.unlink(f"{pair.a}/dir/gone")
    os.rename(f"{pair.a}/dir", f"{pair.a}/DIR")
    write(f"{pair.a}/DIR/sub/f", "another text")
    for replicate in (pair.update, pair.replicate):
        update, applied = replicate()
        assert applied.problems == update.problems == ()
        assert Action.DELETE not in [each.action for each in update.operations]
        assert contents(pair.b) == {"DIR/sub/f": b"another text", "DIR/gone": b"old"}
    assert kept(pair.b) == {}


@pytest.mark.parametrize("before", ["file", "directory"])
def test_another_kind_under_a_name_of_another_case(pair: Pair, before: str) -> None:
    first = "thing" if before == "file" else "thing/f"
    write(f"{pair.a}/{first}", "old")
    pair.replicate()
    os.rename(f"{pair.a}/thing", f"{pair.a}/away")
    second = "THING/f" if before == "file" else "THING"
    write(f"{pair.a}/{second}", "new")
    for replicate in (pair.update, pair.replicate):
        update, applied = replicate()
        assert applied.problems == update.problems == ()
        assert contents(pair.b) == contents(pair.a)


def test_what_is_excluded_is_protected_under_any_name(folded: str, tmp_path: Path) -> None:
    """R21: the rule names one spelling; the secondary's file has it."""
    with paired(tmp_path, folded, filters=("- local", "- own/")) as pair:
        write(f"{pair.b}/local", "the secondary's")
        write(f"{pair.b}/own/f", "likewise")
        write(f"{pair.a}/Local", "the primary's")
        write(f"{pair.a}/Own", "the primary's")
        write(f"{pair.a}/other", "text")
        _, applied = pair.replicate()
        assert [(each.path, each.text.split("'")[1]) for each in applied.problems] == [
            ("data/Local", "local"),
            ("data/Own", "own"),
        ]
        assert contents(pair.b) == {
            "local": b"the secondary's",
            "own/f": b"likewise",
            "other": b"text",
        }


def test_a_crash_while_a_directory_gets_its_name_loses_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20: what is away at that moment comes back under the new name."""
    write(f"{pair.a}/dir/f", "text")
    write(f"{pair.a}/dir/gone", "old")
    pair.replicate()
    os.unlink(f"{pair.a}/dir/gone")
    os.rename(f"{pair.a}/dir", f"{pair.a}/DIR")
    record = pair.commit(pair.stage())
    move = Spellings._move

    def crash(self: Spellings, own: str, parent: int, away: str, staging: int) -> NoReturn:
        move(self, own, parent, away, staging)
        raise ReplicationError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Spellings, "_move", crash)
        with pytest.raises(ReplicationError):
            pair.target.apply(record, proceed)
    assert contents(pair.b) == {}
    wait_until(lambda: recovered(pair), "the kernel forgets what the former name was to it")
    assert contents(pair.b) == {"DIR/f": b"text", "DIR/gone": b"old"}


def test_a_link_is_told_where_the_file_system_has_none(pair: Pair) -> None:
    """The rest of its generation is applied."""
    os.symlink("f", f"{pair.a}/link")
    write(f"{pair.a}/f", "text")
    _, applied = pair.replicate()
    assert contents(pair.b)["f"] == b"text"
    assert os.path.islink(f"{pair.b}/link") or [each.path for each in applied.problems] == [
        "data/link"
    ]


def test_what_a_new_directory_cannot_hold_stops_nothing_else(pair: Pair) -> None:
    """R25: it is built in staging, but for that."""
    write(f"{pair.a}/new/below/f", b"1")
    write(f"{pair.a}/new/g", b"2")
    os.symlink("g", f"{pair.a}/new/below/link")
    _, applied = pair.replicate()
    assert read(f"{pair.b}/new/below/f") == b"1"
    assert read(f"{pair.b}/new/g") == b"2"
    links = os.path.lexists(f"{pair.b}/new/below/link")
    assert [each.path for each in applied.problems] == ["data/new/below/link"] * (not links)


def test_a_mode_is_told_where_the_file_system_has_none_such(pair: Pair) -> None:
    """The content is replicated: FAT and exFAT have no sticky bit."""
    write(f"{pair.a}/f", "text", mode=0o1755)
    write(f"{pair.a}/g", "other")
    _, applied = pair.replicate()
    assert contents(pair.b) == {"f": b"text", "g": b"other"}
    assert os.stat(f"{pair.b}/f").st_mode & 0o1000 or [
        (each.path, each.note, each.text) for each in applied.problems
    ] == [("data", True, "the mode cannot be set (Operation not permitted): f")]


def test_composed_and_decomposed_names_are_one_for_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that says so here folds nothing: what is left out is the leader's choice."""
    monkeypatch.setattr("sbs.replication.following.listing.probe", lambda *_: Folding.UNICODE)
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/\u00e9", "composed")
        write(f"{pair.a}/e\u0301", "decomposed")
        write(f"{pair.a}/E\u0301", "another")
        update, _ = pair.replicate()
        assert [each.entry for each in update.problems] == ["\u00e9"]
        assert sorted(os.listdir(pair.b)) == ["E\u0301", "e\u0301"]


def test_where_it_cannot_be_found_out_the_administrator_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B21: a full disk; the update comes all the same, and makes versions give way."""

    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sbs.replication.following.listing.probe", full)
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", "text")
        pair.replicate()
        assert [each.path for each in pair.target.problems] == ["data"]
        assert read(f"{pair.b}/f") == b"text"


def test_names_by_which_files_were_opened_mean_those_that_the_directory_has(
    tmp_path: Path, folded: str
) -> None:
    """Found by review: on a leader that folds names the watcher tells the former."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        pair.sources = [folded]
        pair.specs = [attrs.evolve(pair.specs[0], path=folded)]
        pair.source = Source(pair.specs, pair.index_a, "off")
        for name in ("Report.txt", "Gone.txt", "Other.txt"):
            write(f"{folded}/{name}", "old")
        pair.replicate()
        write(f"{folded}/REPORT.TXT", "new content")
        os.unlink(f"{folded}/GONE.TXT")
        # FUSE remembers for a second what it knows of the other name.
        wait_until(lambda: os.stat(f"{folded}/Report.txt").st_size == 11, "it shows")
        wait_until(lambda: not os.path.exists(f"{folded}/Gone.txt"), "it shows")
        told = Changes.of(names=[(0, "", "REPORT.TXT"), (0, "", "GONE.TXT")])
        record = pair.commit(pair.stage(changes=told))
        pair.target.apply(record, proceed)
        assert contents(pair.b) == {"Report.txt": b"new content", "Other.txt": b"old"}
