"""What updates overwrite and delete is kept, and can be had back (B21)."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sbs.core.epoch import Epoch
from sbs.core.history import Generation
from sbs.errors import RefusedError, ReplicationError
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.files.places import Places
from sbs.replication.former import past, pruning
from sbs.replication.former.restoring import Found, find, put_back, write_out
from sbs.replication.former.versions import Versions
from tests.replication.rig import Pair, former, logged, look, proceed, read, write

KEEP_S = 1000.0
BASE = ".sbs.staging/versions"


class Clock:
    """Tells the time it is given."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Kept:
    """A pair that keeps versions, and a clock."""

    def __init__(self, base: str, keep_s: float = KEEP_S, keep_bytes: int = 0) -> None:
        self.clock = Clock()
        self.versions = Versions(keep_s, keep_bytes, self.clock)
        self.pair = Pair(base, strict_delete=True, versions=self.versions)
        self.pair.connect()

    def update(self, **contents: str | None) -> None:
        """Write files, or delete them, and replicate."""
        for name, content in contents.items():
            if content is None:
                os.unlink(f"{self.pair.a}/{name}")
            else:
                write(f"{self.pair.a}/{name}", content)
        self.pair.update()

    def prune(self) -> int:
        """Remove all that is to be removed; the number of steps."""
        steps = 1
        while self.versions.pruner.step({"data": self.pair.b}):
            steps += 1
        return steps

    @property
    def generations(self) -> list[int]:
        with Places([self.pair.b]) as places:
            return [mark.number for mark in past.marks(places, 0)]

    def find(self, path: str, generation: int) -> Found:
        with Places([self.pair.b]) as places:
            return find(places, 0, path, generation, self.pair.history.number)

    def content(self, path: str, generation: int) -> bytes:
        return read(f"{self.pair.b}/{self.find(path, generation).kept}")

    def put_back(self, path: str, generation: int) -> None:
        tip = self.pair.history.tip
        assert tip is not None
        with Places([self.pair.b]) as places:
            put_back(places, 0, self.find(path, generation), tip)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(str(tmp_path))
    with kept.pair:
        yield kept


def test_what_is_replaced_or_deleted_is_kept(kept: Kept) -> None:
    """B21: small and large, files and links, a directory that gives way to a file and back."""
    a, b = kept.pair.a, kept.pair.b
    kept.update(**{"f": "one", "gone": "gone", "d/inner": "inner", "x": "x" * (BLOCKS_ABOVE + 1)})
    os.symlink("first", f"{a}/link")
    kept.update()
    os.unlink(f"{a}/link")
    os.symlink("second", f"{a}/link")
    shutil.rmtree(f"{a}/d")
    kept.update(f="two", gone=None, d="file", x="y" * (BLOCKS_ABOVE + 1))
    os.unlink(f"{a}/link")
    os.unlink(f"{a}/d")
    kept.update(**{"f": "three", "d/inner": "again", "x": "small"})
    assert look(b) == look(a)
    assert former(b) == {
        "f": [b"one", b"two"],
        "gone": [b"gone"],
        "d/inner": [b"inner"],
        "d": [b"file"],
        "link": [b"first", b"second"],
        "x": [b"x" * (BLOCKS_ABOVE + 1), b"y" * (BLOCKS_ABOVE + 1)],
    }


def test_the_list_is_a_log_of_all_changes(kept: Kept) -> None:
    """B21: what did not exist before, what was only touched, and when it was."""
    a = kept.pair.a
    kept.update(**{"f": "one", "d/g": "g"})
    kept.clock.now += 5
    os.chmod(f"{a}/d/g", 0o600)
    kept.update(f="three")
    first, second = (
        {fields["path"]: fields for name, fields in logged(kept.pair.b) if f"-{number}-" in name}
        for number in (1, 2)
    )
    assert {path: fields["action"] for path, fields in first.items()} == {
        "f": "put",
        "d": "mkdir",
        "d/g": "put",
    }
    assert not any("former" in fields for fields in first.values())
    assert second["d/g"] == {"path": "d/g", "action": "touch"}
    assert second["f"]["size_bytes"] == 5
    assert second["f"]["former"]["size_bytes"] == 3
    with Places([kept.pair.b]) as places:
        found = [past.summary(places, 0, mark) for mark in past.marks(places, 0)]
    assert [each and (each.at, each.kept, dict(each.changes)) for each in found] == [
        (1_000_000.0, 0, {"put": 2, "mkdir": 1}),
        (1_000_005.0, 1, {"put": 1, "touch": 1}),
    ]


def test_nothing_is_done_without_the_setting(tmp_path: Path) -> None:
    kept = Kept(str(tmp_path), keep_s=0.0)
    with kept.pair:
        kept.update(f="one")
        kept.update(f="two")
        assert not os.path.exists(f"{kept.pair.b}/.sbs.staging")
        assert not kept.versions.pruner.step({"data": kept.pair.b})


def test_an_update_leaves_versions_of_earlier_ones_alone(kept: Kept) -> None:
    """B21: the staging directory is emptied again and again, but for these."""
    kept.update(f="one")
    kept.update(f="two")
    kept.pair.connect()
    kept.update(f="three")
    assert former(kept.pair.b) == {"f": [b"one", b"two"]}


@pytest.mark.parametrize(
    "name", ["list.jsonl", "\udcff\udcfe", "a\nb", 'q"\\', "new", "ü" * 127, "0", "\x1b[2J"]
)
def test_names_of_the_primary_do_no_harm(kept: Kept, name: str) -> None:
    """B21: whatever a file is called, its version is found under that name and no other."""
    kept.update(**{name: "one", "other": "other"})
    kept.update(**{name: "two", "other": "changed"})
    assert former(kept.pair.b)[name] == [b"one"]
    assert kept.content(name, 1) == b"one"
    with Places([kept.pair.b]) as places:
        (version,) = past.versions_of(places, 0, name)
    assert version.size_bytes == 3


def test_a_path_as_long_as_may_be(kept: Kept) -> None:
    """B21: the versions' own path adds nothing to it."""
    path = "/".join(["n" * 200] * 18)
    root = os.open(kept.pair.a, os.O_RDONLY)
    try:
        for depth in range(1, 18):
            os.mkdir("/".join(["n" * 200] * depth), dir_fd=root)
        for content in (b"one", b"two"):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=root)
            os.write(fd, content)
            os.close(fd)
            kept.update()
    finally:
        os.close(root)
    assert kept.content(path, 1) == b"one"


@pytest.mark.parametrize("where", ["", "/versions", "/versions/GENERATION"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_planted_leads_nowhere(kept: Kept, tmp_path: Path, where: str, kind: str) -> None:
    """B21, adversarial cases 1 to 3: links in the versions' place; nothing is written outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    kept.update(f="one")
    name = next(iter(os.listdir(f"{kept.pair.b}/{BASE}")))
    write(f"{kept.pair.a}/f", "two")
    record = kept.pair.commit(kept.pair.stage())
    name = f"1.0-2-{record.history.entries[-1].digest.hex()[:8]}"
    planted = f"{kept.pair.b}/.sbs.staging{where.replace('GENERATION', name)}"
    if os.path.isdir(planted):
        shutil.rmtree(planted)
    os.makedirs(os.path.dirname(planted), exist_ok=True)
    if kind == "link":
        os.symlink(outside, planted)
    else:
        write(planted, "in the way")
    with contextlib.suppress(ReplicationError):  # the place of all staging is tried again
        kept.pair.target.apply(record, proceed)
        assert former(kept.pair.b) == {"f": [b"one"]}
        assert read(f"{kept.pair.b}/f") == b"two"
    if not where:
        assert read(f"{kept.pair.b}/f") == b"one"
    assert os.listdir(outside) == []


def test_planted_lists_and_versions_are_not_followed(kept: Kept, tmp_path: Path) -> None:
    """B21: neither a list nor a version is read through a link, and no list names another place."""
    write(f"{tmp_path}/secret", "secret")
    kept.update(f="one")
    kept.update(f="two")
    (name, fields) = logged(kept.pair.b)[-1]
    directory = f"{kept.pair.b}/{BASE}/{name}"
    version = f"{directory}/{fields['former']['kept']}"
    os.unlink(version)
    os.symlink(f"{tmp_path}/secret", version)
    output = f"{tmp_path}/output"
    with Places([kept.pair.b]) as places:
        with pytest.raises(ReplicationError, match="was changed since it was kept"):
            write_out(places, 0, find(places, 0, "f", 1, 2), output)
        assert not os.path.exists(output)
        lines = read(f"{directory}/list.jsonl").replace(b'"kept": "0"', b'"kept": "../../../s"')
        write(f"{directory}/list.jsonl", lines)
        assert past.changes_of(places, 0, "f")[-1].mark.number == 1
        os.rename(f"{directory}/list.jsonl", f"{tmp_path}/list")
        os.symlink(f"{tmp_path}/list", f"{directory}/list.jsonl")
        assert past.versions_of(places, 0, "f") == []


def test_a_directory_planted_as_a_list_is_not_left_open(kept: Kept) -> None:
    kept.update(f="one")
    kept.update(f="two")
    for name, _ in logged(kept.pair.b):
        os.unlink(path := f"{kept.pair.b}/{BASE}/{name}/list.jsonl")
        os.mkdir(path)
    with Places([kept.pair.b]) as places:
        past.versions_of(places, 0, "f")
        opened = os.listdir("/proc/self/fd")
        assert past.versions_of(places, 0, "f") == []
        assert os.listdir("/proc/self/fd") == opened


def test_no_hard_link_is_possible(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """B21: a copy is kept, with mode and time; a symbolic link is made anew."""
    kept.update(f="one")
    os.symlink("first", f"{kept.pair.a}/link")
    os.chmod(f"{kept.pair.a}/f", 0o640)
    kept.update()
    stamp = os.stat(f"{kept.pair.b}/f").st_mtime_ns
    os.unlink(f"{kept.pair.a}/link")

    def refuse(*args: Any, **keywords: Any) -> None:
        os.stat(args[0], dir_fd=keywords["src_dir_fd"], follow_symlinks=False)
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refuse)
    kept.update(f="two", new="new")
    assert former(kept.pair.b) == {"f": [b"one"], "link": [b"first"]}
    status = os.stat(f"{kept.pair.b}/{kept.find('f', 2).kept}")
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o640, stamp)


def test_what_cannot_be_kept_is_not_replaced(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """B21: the update is tried again until it can."""
    kept.update(f="one")
    write(f"{kept.pair.a}/f", "two")
    record = kept.pair.commit(kept.pair.stage())
    with monkeypatch.context() as patches:
        patches.setattr(os, "link", _raises(errno.EIO))
        with pytest.raises(ReplicationError, match=r"cannot apply '/.*/f'.*tried again"):
            kept.pair.target.apply(record, proceed)
    assert read(f"{kept.pair.b}/f") == b"one"
    kept.pair.target.apply(record, proceed)
    assert (read(f"{kept.pair.b}/f"), former(kept.pair.b)) == (b"two", {"f": [b"one"]})


def _raises(number: int) -> Callable[..., None]:
    def fail(*_args: Any, **_keywords: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_that_is_in_the_way_is_told_and_its_version_is_no_loss(kept: Kept) -> None:
    kept.update(f="one", other="one")
    write(f"{kept.pair.a}/f", "two")
    record = kept.pair.commit(kept.pair.stage())
    os.unlink(f"{kept.pair.b}/f")
    os.makedirs(f"{kept.pair.b}/f/directory")
    applied = kept.pair.target.apply(record, proceed)
    assert [problem.path for problem in applied.problems] == ["data/f"]
    assert former(kept.pair.b) == {}


# Pruning.


def test_old_generations_go_first_and_are_logged(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """B21: by age, oldest first, never silently."""
    caplog.set_level(logging.INFO)
    for turn in range(4):
        kept.update(f=f"version {turn}")
        kept.clock.now += 250
    kept.prune()
    assert kept.generations == [1, 2, 3, 4]
    kept.clock.now += 300
    kept.prune()
    assert kept.generations == [3, 4]
    assert former(kept.pair.b) == {"f": [b"version 1", b"version 2"]}
    gone = [text for text in caplog.messages if "no longer kept" in text]
    assert len(gone) == 2
    assert "folder data: what generation 1 (epoch 1.0) replaced" in gone[0]
    assert "(1 files, " in gone[1]
    assert "older than 1000 s (sync.keep_versions_s)" in gone[1]
    kept.clock.now += 10_000
    kept.prune()
    assert os.listdir(f"{kept.pair.b}/{BASE}") == []


def test_too_much_goes_oldest_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """B21: by size, whatever its age."""
    caplog.set_level(logging.INFO)
    kept = Kept(str(tmp_path), keep_bytes=25_000)
    with kept.pair:
        for turn in range(5):
            kept.update(f=f"{turn}" * 10_000)
        kept.prune()
        assert kept.generations == [4, 5]
        assert "more than 25000 (sync.keep_versions_bytes)" in caplog.text
        assert kept.content("f", 3) == b"2" * 10_000


def test_a_clock_that_was_wrong_neither_loses_nor_keeps_for_ever(kept: Kept) -> None:
    kept.update(f="one")
    kept.clock.now += 1_000_000
    kept.update(f="two")
    kept.clock.now -= 1_000_000
    kept.update(f="three")
    kept.prune()
    assert kept.generations == [1, 2, 3]
    kept.clock.now += KEEP_S + 1
    kept.prune()
    assert kept.generations == []


def test_a_step_is_bounded_and_a_crash_between_two_does_no_harm(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B21: what is half removed is no version any more, and the next node goes on."""
    monkeypatch.setattr(pruning, "MAX_REMOVED", 10)
    names = [f"f{number}" for number in range(35)]
    for content in ("one", "two"):
        kept.update(**dict.fromkeys(names, content))
    kept.clock.now += KEEP_S + 1
    kept.update(f0="three")
    step = kept.versions.pruner.step
    assert step({"data": kept.pair.b})  # two generations, of which one replaced something
    assert kept.generations == [3]
    seen: list[list[int]] = []
    fresh = Versions(KEEP_S, 0, kept.clock)
    while fresh.pruner.step({"data": kept.pair.b}):
        seen.append(kept.generations)
        with pytest.raises(ReplicationError):
            kept.content("f1", 1)
        fresh = Versions(KEEP_S, 0, kept.clock)
    assert seen == [[3]] * 4, "at most ten files in each step"
    assert os.listdir(f"{kept.pair.b}/{BASE}") == [name for name, _ in logged(kept.pair.b)]


def test_what_is_being_written_is_not_pruned(kept: Kept) -> None:
    """B21: a roll-forward that takes long, or is tried again, keeps what it has."""
    kept.update(f="one")
    write(f"{kept.pair.a}/f", "two")
    record = kept.pair.commit(kept.pair.stage())
    steps: list[bool] = []

    def check() -> None:
        kept.clock.now += 10 * KEEP_S
        steps.append(kept.prune() > 0)

    kept.pair.target.apply(record, check)
    assert steps
    assert former(kept.pair.b) == {"f": [b"one"]}
    kept.clock.now += 10 * KEEP_S
    kept.prune()
    assert kept.generations == []


def test_versions_give_way_on_a_full_disk(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """B21: they are never why an update cannot be taken."""
    caplog.set_level(logging.INFO)
    for turn in range(4):
        kept.update(f=f"version {turn}")
    write(f"{kept.pair.a}/f", "last")
    update = kept.pair.stage()
    real = os.fstatvfs

    def full(fd: int) -> os.statvfs_result:
        found = real(fd)
        values = [*found, found.f_fsid]
        values[4] = 10**6 if len(kept.generations) < 3 else 0  # f_bavail
        values[2] = 10**6  # f_blocks
        return os.statvfs_result(values)

    monkeypatch.setattr(os, "fstatvfs", full)
    kept.pair.target.apply(kept.pair.commit(update), proceed)
    assert read(f"{kept.pair.b}/f") == b"last"
    assert kept.generations == [3, 4, 5]
    assert "the file system is full" in caplog.text


def test_versions_give_way_where_no_more_files_can_be_made(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """B21: thousands of small generations take inodes, not bytes."""
    caplog.set_level(logging.INFO)
    for turn in range(4):
        kept.update(f=f"version {turn}")
    real = os.fstatvfs

    def full(fd: int) -> os.statvfs_result:
        found = real(fd)
        values = [*found, found.f_fsid]
        values[5] = 1000  # f_files
        values[7] = 900 if len(kept.generations) < 3 else 0  # f_favail
        return os.statvfs_result(values)

    def refuse(_places: object) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(os, "fstatvfs", full)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kept.pair.target._journal, "create", refuse)
    write(f"{kept.pair.a}/f", "last")
    with pytest.raises(ReplicationError, match="No space left"):
        kept.pair.stage()
    assert kept.generations == [3, 4]
    assert "the file system is full" in caplog.text
    kept.pair.target.apply(kept.pair.commit(kept.pair.stage()), proceed)
    assert read(f"{kept.pair.b}/f") == b"last"


def test_many_generations_go_in_one_step(kept: Kept) -> None:
    """B21: to look at all of them for each that goes would take longer than they take to come."""
    for turn in range(12):
        kept.update(f=f"version {turn}")
    kept.clock.now += KEEP_S + 1
    assert kept.versions.pruner.step({"data": kept.pair.b})
    assert kept.generations == []
    assert kept.versions.pruner.step({"data": kept.pair.b})
    assert os.listdir(f"{kept.pair.b}/{BASE}") == []
    assert not kept.versions.pruner.step({"data": kept.pair.b})


class Reads:
    """The directories of versions that are listed, by name: that of all of them is ``versions``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._names: list[str] = []
        for name in ("listdir", "scandir"):
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def read(place: Any = ".") -> Any:
            path = os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) else str(place)
            if f"/{BASE}" in path:
                self._names.append(os.path.basename(path))
            return call(place)

        return read

    def taken(self) -> list[str]:
        names, self._names = self._names, []
        return names


def test_an_update_costs_what_it_adds_and_what_goes(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B21: and not what is kept, of which there may be a hundred thousand generations."""
    summary = {"generation": 1, "epoch": "0.1", "changes": {}, "kept": 0, "kept_bytes": 0}
    for number in range(300):
        line = json.dumps(summary | {"at": kept.clock.now - 900 + number})
        write(f"{kept.pair.b}/{BASE}/0.1-{number}-00000000/list.jsonl", f"{line}\n")
    reads = Reads(monkeypatch)
    assert kept.prune() == 1
    assert reads.taken() == ["versions"]
    summaries: list[str] = []
    real = past.summary

    def counted(places: Places, folder: int, mark: past.Mark) -> past.Summary | None:
        summaries.append(mark.name)
        return real(places, folder, mark)

    monkeypatch.setattr(past, "summary", counted)
    for turn in range(20):
        kept.update(f=f"version {turn}")
        assert kept.prune() == 1
    assert reads.taken() == []
    assert len(summaries) == 20, "each was looked at once"
    kept.clock.now += 103
    kept.update(f="last")
    kept.prune()
    assert sorted(reads.taken()) == [f"removed-0.1-{number}-00000000" for number in (0, 1, 2)]
    assert len(kept.generations) == 300 - 3 + 21


def test_what_others_made_or_removed_is_found(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """B21: sbs restore adds what it replaced, and people remove what they like."""
    for turn in range(4):
        kept.update(f=f"version {turn}")
    kept.prune()
    kept.put_back("f", 1)
    shutil.rmtree(next(path for path in Path(f"{kept.pair.b}/{BASE}").glob("1.0-2-*")))
    reads = Reads(monkeypatch)
    assert kept.prune() == 1
    assert reads.taken() == ["versions"]
    kept.clock.now += KEEP_S + 1
    kept.prune()
    left = os.listdir(f"{kept.pair.b}/{BASE}")
    assert left == ["1.0-4-restore-1"], "by the clock of this test it is new for ever"


# Having it back.


def test_each_generation_can_be_had_back(kept: Kept) -> None:
    """B21: as it was after each of them, also where it was not changed in between."""
    for content in ("one", "two", None, "four"):
        kept.update(f=content, other=str(content))
    kept.update(other="five")
    assert kept.content("f", 1) == b"one"
    assert kept.content("f", 2) == b"two"
    with pytest.raises(ReplicationError, match="was no file and no link after generation 3"):
        kept.content("f", 3)
    found = kept.find("f", 4)
    assert (found.kept, found.change) == ("f", None), "it is still as it was then"
    with pytest.raises(ReplicationError, match="allowed are numbers up to 5"):
        kept.content("f", 6)
    with pytest.raises(ReplicationError, match="was no file"):
        kept.content("f", 0)
    with pytest.raises(ReplicationError, match="no version of 'never'"):
        kept.content("never", 2)
    with pytest.raises(ValueError, match=r"'\.\.'"):
        kept.content("../f", 2)


def test_what_is_not_known_is_not_guessed(kept: Kept) -> None:
    """B21: this node led meanwhile, and what it overwrote itself is kept nowhere here."""
    kept.update(f="one")
    kept.update(f="two", other="two")
    pair = kept.pair
    pair.history = pair.history.append(Generation(Epoch(3, 0), 9))  # it led in epoch 2.1
    write(f"{pair.b}/f", "written while it led")
    pair.peer.forget(0, "f")
    write(f"{pair.a}/f", "ten")
    write(f"{pair.a}/other", "ten")
    pair.epoch = Epoch(3, 0)
    pair.update()
    assert kept.content("f", 1) == b"one"
    with pytest.raises(ReplicationError, match="--generation 9 is what that replaced"):
        kept.content("f", 2)
    assert kept.content("f", 9) == b"written while it led"
    assert kept.content("other", 2) == b"two", "its content proves that it was not changed"


def test_put_back_in_place(kept: Kept) -> None:
    """B21: with mode and time, as a file of its own; what stood there is kept first."""
    kept.update(f="one")
    os.chmod(f"{kept.pair.a}/f", 0o640)
    kept.update()
    stamp = os.stat(f"{kept.pair.b}/f").st_mtime_ns
    kept.update(f="two")
    b = kept.pair.b
    write(f"{b}/f", "two, edited here")
    kept.put_back("f", 1)
    status = os.stat(f"{b}/f")
    assert read(f"{b}/f") == b"one"
    assert (status.st_mode & 0o7777, status.st_mtime_ns, status.st_nlink) == (0o640, stamp, 1)
    assert kept.content("f", 3) == b"two, edited here", "a restore can be undone"
    kept.put_back("f", 3)
    assert read(f"{b}/f") == b"two, edited here"
    assert len(former(b)["f"]) == 3
    assert os.listdir(f"{b}/.sbs.staging") == ["versions"]


def test_put_back_what_was_deleted_with_its_directory(kept: Kept) -> None:
    kept.update(**{"d/e/f": "one"})
    os.symlink("target", f"{kept.pair.a}/d/link")
    kept.update()
    shutil.rmtree(f"{kept.pair.a}/d")
    kept.update()
    kept.put_back("d/e/f", 2)
    kept.put_back("d/link", 2)
    assert read(f"{kept.pair.b}/d/e/f") == b"one"
    assert os.readlink(f"{kept.pair.b}/d/link") == "target"


def test_put_back_where_a_directory_stands(kept: Kept) -> None:
    kept.update(f="one")
    os.unlink(f"{kept.pair.a}/f")
    kept.update(**{"f/inner": "inner"})
    before = look(kept.pair.b), kept.generations
    with pytest.raises(RefusedError, match="'f' is a directory now"):
        kept.put_back("f", 1)
    assert (look(kept.pair.b), kept.generations) == before


def test_put_back_through_a_planted_parent(kept: Kept, tmp_path: Path) -> None:
    """Adversarial cases 1 to 3: a link in a parent's place leads nowhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    kept.update(**{"d/f": "one"})
    kept.update(**{"d/f": "two"})
    shutil.rmtree(f"{kept.pair.b}/d")
    os.symlink(outside, f"{kept.pair.b}/d")
    with pytest.raises(ReplicationError, match="'d/f' cannot be restored"):
        kept.put_back("d/f", 1)
    assert os.listdir(outside) == []


def test_a_version_whose_file_had_another_name(kept: Kept) -> None:
    """B21: a hard link that somebody writes to is found to be changed."""
    kept.update(f="one")
    os.link(f"{kept.pair.b}/f", f"{kept.pair.base}/other-name")
    kept.update(f="two")
    write(f"{kept.pair.base}/other-name", "changed in place")
    with pytest.raises(ReplicationError, match="was changed since it was kept"):
        kept.put_back("f", 1)
    assert read(f"{kept.pair.b}/f") == b"two"


def test_write_out(kept: Kept, tmp_path: Path) -> None:
    kept.update(f="one")
    os.symlink("target", f"{kept.pair.a}/link")
    kept.update()
    os.unlink(f"{kept.pair.a}/link")
    kept.update(f="two")
    with Places([kept.pair.b]) as places:
        for path, name in (("f", "out"), ("link", "out-link")):
            write_out(places, 0, kept.find(path, 2), f"{tmp_path}/{name}")
        with pytest.raises(RefusedError, match="exists; allowed is the name of a new file"):
            write_out(places, 0, kept.find("f", 1), f"{tmp_path}/out")
        with pytest.raises(ReplicationError, match="cannot be written: No such"):
            write_out(places, 0, kept.find("f", 1), f"{tmp_path}/missing/out")
        write_out(places, 0, kept.find("f", 3), f"{tmp_path}/now")
    assert read(f"{tmp_path}/out") == b"one"
    assert os.readlink(f"{tmp_path}/out-link") == "target"
    assert read(f"{tmp_path}/now") == b"two"


def test_a_damaged_list_is_left_out(kept: Kept) -> None:
    """B21: the others are read all the same, and it goes in its time."""
    kept.update(f="one")
    kept.update(f="two")
    kept.update(f="three")
    (second,) = [name for name, _ in logged(kept.pair.b) if name.startswith("1.0-2-")]
    path = f"{kept.pair.b}/{BASE}/{second}/list.jsonl"
    for damaged in (
        b'{"path": "f", "action": "put", "former": 3}\n[]\n',
        b'{"path": "f", "former": {"kept": "0"}}\n{"at": "x"}\n',
        b'{"path": "f", torn',
        json.dumps({"at": 1e300, "kept": 1, "kept_bytes": 1, "changes": {}}).encode() + b"\n",
        b"",
    ):
        write(path, damaged)
        with Places([kept.pair.b]) as places:
            assert [each.mark.number for each in past.versions_of(places, 0, "f")] == [3]
            found = [past.summary(places, 0, mark) for mark in past.marks(places, 0)]
        assert [each and each.whole for each in found] == [True, False, True]
    kept.clock.now = 2e12
    kept.prune()
    assert kept.generations == []


def test_other_names_in_the_directory_are_let_alone(kept: Kept) -> None:
    kept.update(f="one")
    for name in ("notes", "1.0-5", "99999999999999999999.0-1-00000000", "1.0-1-restore-x"):
        os.mkdir(f"{kept.pair.b}/{BASE}/{name}")
    assert kept.generations == [1]
    kept.clock.now += 2 * KEEP_S
    kept.prune()
    assert len(os.listdir(f"{kept.pair.b}/{BASE}")) == 4
