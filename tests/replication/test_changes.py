"""Cycles that look only where the watcher has seen something (B23)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from sbs.core.manifest import Action, Entry, Kind
from sbs.core.messages import Listing
from sbs.replication.changes import EVERYTHING, MAX_DIRECTORIES, MAX_NAMES, NOTHING, Changes
from sbs.replication.files.scan import Scanner
from sbs.replication.files.visit import Part
from sbs.replication.leading.peer_tree import PeerTree
from sbs.replication.leading.watch import Watcher
from tests.replication.rig import Pair, look, proceed, write


def update(pair: Pair, changes: Changes) -> list[str]:
    """Carry an update out; what it did."""
    made = pair.stage(changes=changes)
    if made.empty:
        pair.target.abandon()
        return []
    record = pair.commit(made)
    pair.target.apply(record, proceed)
    pair.history = record.history
    pair.peer.commit(made.operations)
    return [f"{each.action.name} {each.path}" for each in made.operations]


def test_only_the_directories_named_are_looked_at(tmp_path: Path) -> None:
    """B23: a cycle costs what changed."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        for name in ("f", "d/f", "d/e/f", "g/f"):
            write(f"{pair.a}/{name}", name)
        pair.connect()
        update(pair, EVERYTHING)
        for name in ("f", "d/f", "d/e/f", "g/f"):
            write(f"{pair.a}/{name}", "changed")
        os.unlink(f"{pair.a}/g/f")
        assert update(pair, NOTHING) == []
        assert update(pair, Changes.of([(0, "d")])) == ["PUT d/f"]
        assert update(pair, Changes.of([(0, ""), (0, "d/e")])) == ["PUT f", "PUT d/e/f"]
        assert update(pair, EVERYTHING) == ["DELETE g/f"]
        assert look(pair.a) == look(pair.b)


def test_only_the_names_told_are_looked_at(tmp_path: Path) -> None:
    """B23: nor does a cycle cost what else is in the directory."""
    with Pair(str(tmp_path), strict_delete=True, preserve_mtime=True) as pair:
        for name in "abcdefg":
            write(f"{pair.a}/x/{name}", name)
        write(f"{pair.a}/x/sub/f", "f")
        pair.connect()
        update(pair, EVERYTHING)
        for name in "ab":
            write(f"{pair.a}/x/{name}", "changed")
        for name in "cd":
            os.unlink(f"{pair.a}/x/{name}")
        for name in "ef":
            os.utime(f"{pair.a}/x/{name}", ns=(1, 1))
        shutil.rmtree(f"{pair.a}/x/sub")
        os.rename(f"{pair.a}/x/g", f"{pair.a}/x/sub")
        write(f"{pair.a}/x/new/deep", "n")
        told = Changes.of(names=[(0, "x", name) for name in ("a", "c", "e", "new", "never")])
        assert sorted(update(pair, told)) == [
            *("DELETE x/c", "MKDIR x/new", "PUT x/a", "PUT x/new/deep", "TOUCH x/e")
        ]
        assert sorted(update(pair, Changes.of(names=[(0, "x", "sub"), (0, "x", "g")]))) == [
            *("DELETE x/g", "DELETE x/sub", "DELETE x/sub/f", "PUT x/sub")
        ]
        assert sorted(update(pair, EVERYTHING)) == ["DELETE x/d", "PUT x/b", "TOUCH x/f"]
        assert look(pair.a, times=True) == look(pair.b, times=True)


def test_names_in_a_directory_that_the_follower_lacks_are_all_of_it(tmp_path: Path) -> None:
    with Pair(str(tmp_path)) as pair:
        pair.connect()
        update(pair, EVERYTHING)
        for name in "fg":
            write(f"{pair.a}/d/{name}", name)
        assert sorted(update(pair, Changes.of(names=[(0, "d", "f")]))) == [
            *("MKDIR d", "PUT d/f", "PUT d/g")
        ]


def test_a_directory_is_seen_from_the_one_above_where_only_names_are_told(tmp_path: Path) -> None:
    """Found by review: one that is gone, one that the follower lacks, with its mode."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        for name in ("x", "gone/deep/f"):
            write(f"{pair.a}/{name}", "1")
        pair.connect()
        update(pair, EVERYTHING)
        shutil.rmtree(f"{pair.a}/gone")
        write(f"{pair.a}/new/deep/f", "1")
        os.chmod(f"{pair.a}/new", 0o700)
        told = Changes.of([(0, "gone/deep")], [(0, "", "x"), (0, "new/deep", "f")])
        assert sorted(update(pair, told)) == [
            *("DELETE gone", "DELETE gone/deep", "DELETE gone/deep/f"),
            *("MKDIR new", "MKDIR new/deep", "PUT new/deep/f"),
        ]
        assert look(pair.a) == look(pair.b)


def test_another_name_of_a_file_in_the_same_directory_is_looked_at(tmp_path: Path) -> None:
    """The kernel tells of the name alone by which it was written."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/f", "1")
        os.link(f"{pair.a}/d/f", f"{pair.a}/d/g")
        pair.connect()
        update(pair, EVERYTHING)
        with open(f"{pair.a}/d/f", "r+") as file:
            file.write("2")
        assert update(pair, Changes.of(names=[(0, "d", "f")])) == ["PUT d/f", "PUT d/g"]


def test_what_happens_in_an_excluded_directory_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B23: nor does a file in a directory that was empty cost all that is beside that."""
    visited: list[str] = []
    visit = Scanner._visit

    def counted(self: Scanner, directory: str) -> Part:
        visited.append(directory)
        return visit(self, directory)

    with Pair(str(tmp_path), filters=("- cache/",)) as pair:
        write(f"{pair.a}/f", "1")
        write(f"{pair.a}/cache/deep/f", "1")
        os.mkdir(f"{pair.a}/spool")
        pair.connect()
        update(pair, EVERYTHING)
        monkeypatch.setattr(Scanner, "_visit", counted)
        assert update(pair, Changes.of(names=[(0, "cache/deep", "f")])) == []
        write(f"{pair.a}/spool/f", "1")
        assert update(pair, Changes.of(names=[(0, "spool", "f")])) == ["PUT spool/f"]
        assert visited == ["spool"]


def test_new_directories_are_looked_at_with_all_below(tmp_path: Path) -> None:
    """B23, adversarial case 18: and those above that the follower lacks, with their modes."""
    with Pair(str(tmp_path)) as pair:
        pair.connect()
        update(pair, EVERYTHING)
        write(f"{pair.a}/x/y/z/f", "1")
        os.chmod(f"{pair.a}/x", 0o700)
        assert update(pair, Changes.of([(0, "x/y/z")])) == [
            "MKDIR x",
            "MKDIR x/y",
            "MKDIR x/y/z",
            "PUT x/y/z/f",
        ]
        write(f"{pair.a}/new/deep/f", "1")
        assert "PUT new/deep/f" in update(pair, Changes.of([(0, "")]))
        assert look(pair.a) == look(pair.b)


def test_of_a_directory_that_is_gone_the_one_above_is_looked_at(tmp_path: Path) -> None:
    """B23, adversarial case 16: also where a link or a file has its name now."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        for name in ("a/b/f", "c/f", "d/f"):
            write(f"{pair.a}/{name}", name)
        pair.connect()
        update(pair, EVERYTHING)
        shutil.rmtree(f"{pair.a}/a")
        for name in "cd":
            shutil.rmtree(f"{pair.a}/{name}")
        os.symlink("/", f"{pair.a}/c")
        write(f"{pair.a}/d", "file")
        update(pair, Changes.of([(0, "a/b"), (0, "c"), (0, "d")]))
        assert look(pair.a) == look(pair.b)


def test_what_is_excluded_is_not_looked_at(tmp_path: Path) -> None:
    """R21: the watcher knows no filters."""
    with Pair(str(tmp_path), filters=("- cache/",), strict_delete=True) as pair:
        write(f"{pair.a}/cache/deep/f", "1")
        write(f"{pair.b}/cache/deep/g", "2")
        pair.connect()
        update(pair, EVERYTHING)
        assert update(pair, Changes.of([(0, "cache"), (0, "cache/deep")])) == []


def test_what_could_not_be_read_is_looked_at_again(tmp_path: Path) -> None:
    """B25: although nothing more is heard of it."""
    with Pair(str(tmp_path)) as pair:
        pair.connect()
        update(pair, EVERYTHING)
        os.mkfifo(f"{pair.a}/pipe")
        made = pair.stage(changes=Changes.of([(0, "")]))
        assert [problem.path for problem in made.problems] == ["data/pipe"]
        pair.target.abandon()
        made = pair.stage(changes=NOTHING)
        assert [problem.path for problem in made.problems] == ["data/pipe"]
        pair.target.abandon()
        os.unlink(f"{pair.a}/pipe")
        write(f"{pair.a}/pipe", "1")
        assert update(pair, NOTHING) == ["PUT pipe"]
        assert pair.stage(changes=NOTHING).problems == ()


def test_closed_directories_stay_closed(tmp_path: Path) -> None:
    """Their modes are known from what the follower holds."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/d/e/f", "1")
        os.chmod(f"{pair.a}/d", 0o555)
        pair.connect()
        update(pair, EVERYTHING)
        write(f"{pair.a}/d/e/f", "2")
        assert update(pair, Changes.of([(0, "d/e")])) == ["PUT d/e/f", "MKDIR d"]
        assert look(pair.a) == look(pair.b)


def test_too_many_directories_are_everything() -> None:
    many = Changes.of((0, str(number)) for number in range(MAX_DIRECTORIES))
    assert not many.everything
    assert (many | Changes.of([(0, "x")])).everything
    assert (NOTHING | many) == many
    names = Changes.of(names=((0, "d", str(number)) for number in range(MAX_NAMES)))
    assert names.of_folder(0) == {"d": frozenset(map(str, range(MAX_NAMES)))}
    assert (names | Changes.of(names=[(0, "d", "x")])).of_folder(0) == {"d": None}
    assert (names | Changes.of([(0, "d")])).of_folder(0) == {"d": None}
    assert names.of_folder(1) == {}
    assert not NOTHING
    assert EVERYTHING
    assert many | EVERYTHING == EVERYTHING


@pytest.mark.parametrize("seed", range(8))
def test_after_any_changes_a_cycle_by_hints_leaves_nothing_to_do(tmp_path: Path, seed: int) -> None:
    """B23: the watcher's hints are enough; the full scan after them finds nothing."""
    random = Random(seed)
    with Pair(str(tmp_path), strict_delete=True) as pair:
        pair.connect()
        update(pair, EVERYTHING)
        watcher = Watcher([pair.a])
        try:
            for _ in range(25):
                for _ in range(random.randrange(1, 6)):
                    change(random, pair.a)
                update(pair, watcher.drain())
                assert look(pair.a) == look(pair.b)
            assert update(pair, EVERYTHING) == []
        finally:
            watcher.close()


def change(random: Random, root: str) -> None:
    """One change at random of a small tree; what cannot be done is not."""
    path = "/".join(random.choice("ab") for _ in range(random.randrange(1, 4)))
    place = f"{root}/{path}"
    kind = random.choice(["write", "write", "mkdir", "remove", "rename", "chmod", "link", "touch"])
    try:
        match kind:
            case "write":
                write(place, random.randbytes(random.randrange(3)))
            case "mkdir":
                os.makedirs(place)
            case "remove":
                remove(place)
            case "rename":
                os.rename(place, f"{root}/{random.choice('abc')}")
            case "chmod":
                os.chmod(place, random.choice([0o700, 0o755]), follow_symlinks=False)
            case "link":
                os.symlink("nowhere", place)
            case _:
                os.utime(place, ns=(1, random.randrange(10**18)), follow_symlinks=False)
    except (OSError, NotImplementedError):
        return


def remove(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    else:
        os.unlink(place)


def test_what_a_follower_holds_is_kept_small() -> None:
    """B23: about a hundred bytes a file, whatever the objects take."""
    tree = PeerTree(1)
    entries = [Entry(path="d", kind=Kind.DIRECTORY)]
    entries += [
        Entry(
            path=f"d/file-{number:06}",
            kind=Kind.FILE,
            size_bytes=4096,
            mtime_ns=1_700_000_000_000_000_000 + number,
            digest=number.to_bytes(32, "big"),
        )
        for number in range(4000)
    ]
    tree.add(Listing(folder=0, entries=tuple(entries), last=True))
    (_, packed) = tree._folders[0]["d"]
    assert len(packed) < 100 * 4000
    assert list(tree.below(0, "")) == entries
    assert tree.count(0) == 4000


def test_a_directory_listed_in_two_places_is_refused() -> None:
    """Adversarial case 7: it would be packed anew for each of its entries."""
    tree = PeerTree(1)
    d, e = (Entry(path=name, kind=Kind.DIRECTORY) for name in "de")
    f, g, h = (Entry(path=path, kind=Kind.FILE) for path in ("d/f", "e/g", "d/h"))
    tree.add(Listing(folder=0, entries=(d, e, f)))
    with pytest.raises(ValueError, match="do not come together"):
        tree.add(Listing(folder=0, entries=(g, h)))


def test_actions_keep_the_account_right(tmp_path: Path) -> None:
    """B20: what was committed is what the follower's next listing says."""
    with Pair(str(tmp_path), strict_delete=True, preserve_mtime=True) as pair:
        for name in ("f", "d/f", "d/e/f"):
            write(f"{pair.a}/{name}", name)
        pair.connect()
        update(pair, EVERYTHING)
        os.unlink(f"{pair.a}/d/f")
        os.chmod(f"{pair.a}/f", 0o600)
        os.symlink("t", f"{pair.a}/d/l")
        shutil.rmtree(f"{pair.a}/d/e")
        done = update(pair, EVERYTHING)
        assert {each.split()[0] for each in done} == {Action.TOUCH.name, "LINK", "DELETE"}
        before = {entry.path: entry for entry in pair.peer.below(0, "")}
        pair.connect()
        assert {entry.path: entry for entry in pair.peer.below(0, "")} == before
