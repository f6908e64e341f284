"""A crash at any instant ends in one whole generation (B20).

Here at random instants, and with files that have grown apart; at every call on the disk, and with
the power failing, in ``tests/disk``.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sbs.core.history import History
from sbs.core.manifest import STAGING_NAME
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.following.target import CommitRecord
from tests.replication.rig import NOTHING, Pair, kept, look, proceed, read, write

CRASHED = 77

WATCHED = (
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "symlink",
    "fsync",
    "write",
    "fchmod",
    "chmod",
    "utime",
    "chown",
    "setxattr",
    "removexattr",
)
"""Every call by which the replication changes anything on disk, but SQLite's and syncfs."""


class Points:
    """Counts the steps of this process on disk, and ends it at one of them.

    A write is torn: half of it is done.
    """

    def __init__(self, crash_at: int = 0) -> None:
        self.count = 0
        self._crash_at = crash_at

    def install(self) -> None:
        for name in WATCHED:
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **keywords: Any) -> Any:
            self.count += 1
            if self.count == self._crash_at:
                if name == "write":
                    call(args[0], args[1][: len(args[1]) // 2])
                os._exit(CRASHED)
            return call(*args, **keywords)

        return step


def in_child(work: Callable[[], object], crash_at: int = 0) -> int:
    """Run ``work`` in a process that ends at its n-th step; returns the exit code."""
    child = os.fork()
    if child == 0:
        Points(crash_at).install()
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Versions:
    """Two trees, either of which may be the source, and one copy."""

    def __init__(self, base: str, files: int) -> None:
        self.base = base
        self.trees: list[dict[bytes, tuple[object, ...]]] = []
        for number in range(2):
            root = f"{base}/version-{number}"
            self._make(root, number, files)
            self.trees.append(look(root))
        os.makedirs(f"{base}/a")
        self._history = f"{base}/history"
        self._save(NOTHING)
        self.lead(0)
        self.replicate()

    def _make(self, root: str, number: int, files: int) -> None:
        for each in range(files):
            write(f"{root}/common/{each % 7}/{each}", f"{number} {each}" * 40)
        write(f"{root}/only-{number}/deep/file", b"x")
        write(f"{root}/large", os.urandom(BLOCKS_ABOVE * 5))
        write(f"{root}/constant", b"constant", mode=0o600 + number)
        os.symlink(f"target {number}", f"{root}/link")
        if number:
            write(f"{root}/swapped", b"file" * BLOCKS_ABOVE)
            os.makedirs(f"{root}/swopped", mode=0o550)
        else:
            write(f"{root}/swapped/inner/f", b"directory")
            write(f"{root}/swopped", b"file")

    def lead(self, number: int) -> None:
        """Make one version the source."""
        link = f"{self.base}/a/data"
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(f"{self.base}/version-{number}", link)

    def pair(self) -> Pair:
        with open(self._history, "rb") as file:
            history = pickle.load(file)  # noqa: S301 - the test wrote it
        return Pair(self.base, strict_delete=True, history=history)

    def _save(self, history: History) -> None:
        """What both nodes have gone through; the crash does not touch it."""
        with open(f"{self._history}.new", "wb") as file:
            pickle.dump(history, file)
        os.rename(f"{self._history}.new", self._history)  # the kill may come right here

    def commit(self, pair: Pair) -> CommitRecord:
        pair.connect()
        record = pair.commit(pair.stage())
        self._save(record.history)
        return record

    def replicate(self) -> None:
        with self.pair() as pair:
            pair.target.recover(proceed)
            pair.target.apply(self.commit(pair), proceed)

    def recover(self) -> CommitRecord | None:
        with self.pair() as pair:
            record = pair.target.recover(proceed)
            assert pair.target.recover(proceed) is None
        if record is not None:
            self._save(record.history)
        return record

    def standing(self) -> int:
        """Which version the copy is, whole; anything else fails."""
        copy = look(f"{self.base}/b/data")
        assert copy in self.trees, "a mixture of two generations"
        assert not os.path.exists(f"{self.base}/b/data/{STAGING_NAME}")
        assert os.listdir(f"{self.base}/state-b/journal") == []
        assert kept(f"{self.base}/b/data") == {}, "nothing here is of one node alone"
        return self.trees.index(copy)


def test_killed_at_random_instants_of_an_update(tmp_path: Path) -> None:
    """B20: SIGKILL at 50 seeded instants; after recovery one whole generation stands."""
    versions = Versions(str(tmp_path), files=150)
    versions.lead(1)
    began_s = time.monotonic()
    assert in_child(versions.replicate) == 0
    duration_s = time.monotonic() - began_s
    instants = random.Random(20)
    standing = 1
    for _ in range(50):
        versions.lead(1 - standing)
        child = os.fork()
        if child == 0:
            versions.replicate()
            os._exit(0)
        time.sleep(instants.uniform(0, duration_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        committed = os.path.exists(f"{tmp_path}/state-b/journal/commit")
        record = versions.recover()
        assert (record is not None) is committed
        now = versions.standing()
        if committed:
            assert now != standing, "a committed generation was not rolled forward"
        standing = now


def test_the_record_is_saved_before_the_journal_forgets_it(tmp_path: Path) -> None:
    """B20: no crash can come between the files of a generation and its history."""
    versions = Versions(str(tmp_path), files=2)
    versions.lead(1)
    with versions.pair() as pair:
        record = versions.commit(pair)
        saved: list[tuple[CommitRecord, bool]] = []

        def save(rolled_forward: CommitRecord) -> None:
            kept = os.path.exists(f"{pair.state_dir}/journal/commit")
            saved.append((rolled_forward, kept))

        pair.target.recover(proceed, save)
        assert saved == [(record, True)]
        assert record.history.number == 2
    assert versions.standing() == 1


def test_crashed_at_every_step_with_diverging_files(tmp_path: Path) -> None:
    """B4: each version that only one node had is in its folder or in quarantine, whenever it was.

    A crash of the update is followed by one of the recovery, at another step.
    """
    point, ended, committed = 0, False, 0
    while not ended:
        point += 1
        base = f"{tmp_path}/{point}"
        lost = Diverging(base)
        code = in_child(lost.update, crash_at=point)
        assert code in (0, CRASHED)
        ended = code == 0
        committed += os.path.exists(f"{base}/state-b/journal/commit")
        in_child(lost.recover, crash_at=1 + point % 11)
        lost.recover()
        lost.check()
        lost.update()
        lost.check()
        assert look(f"{base}/b/data") == look(f"{base}/a/data")
        assert len(kept(f"{base}/b/data")) == len(lost.versions)
        shutil.rmtree(base)
    assert point > 60, "the steps were counted"
    assert committed > 15


class Diverging:
    """A primary and a secondary whose files have grown apart since they were equal."""

    def __init__(self, base: str) -> None:
        self._base = base
        for name in ("edited", "deleted", "linked", "now-directory", "d/inner", "equal"):
            write(f"{base}/a/data/{name}", f"both have {name}")
        with self._pair() as pair:
            pair.replicate()
            self._history = pair.history
        for name in ("edited", "linked", "deleted", "equal"):
            os.unlink(f"{base}/a/data/{name}")
        os.unlink(f"{base}/a/data/now-directory")
        shutil.rmtree(f"{base}/a/data/d")
        write(f"{base}/a/data/edited", "the primary's")
        write(f"{base}/a/data/large", "the primary's large" * BLOCKS_ABOVE)
        write(f"{base}/a/data/now-directory/f", "the primary's")
        write(f"{base}/a/data/d", "the primary's")
        write(f"{base}/a/data/equal", "both came to this")
        os.symlink("the primary's", f"{base}/a/data/linked")
        for name in ("edited", "deleted", "linked", "now-directory", "d/inner", "large", "only"):
            write(f"{base}/b/data/{name}", f"the secondary's {name}")
        write(f"{base}/b/data/equal", "both came to this")
        self.versions = {
            entry[2] for entry in look(f"{base}/b/data").values() if entry[0] == "file"
        } - {b"both came to this"}
        assert len(self.versions) == 7

    def _pair(self, history: History = NOTHING) -> Pair:
        return Pair(self._base, strict_delete=True, history=history)

    def update(self) -> None:
        with self._pair(self._history) as pair:
            pair.target.recover(proceed)
            pair.replicate()

    def recover(self) -> None:
        with self._pair() as pair:
            record = pair.target.recover(proceed)
        if record is not None:
            self._history = record.history

    def check(self) -> None:
        copy = f"{self._base}/b/data"
        tree = {entry[2] for entry in look(copy).values() if entry[0] == "file"}
        kept_contents = set(kept(copy).values())
        assert self.versions <= tree | kept_contents, "a version is lost"
        assert kept_contents <= self.versions, "what replaced a version was kept as if it were one"


@pytest.mark.parametrize("damage", ["record", "trailer", "short", "empty"])
def test_a_damaged_journal_is_set_aside_and_reported(tmp_path: Path, damage: str) -> None:
    """B20: never guessed; the next session finds what is missing."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"content")
        pair.connect()
        pair.commit(pair.stage())
    path = f"{tmp_path}/state-b/journal/commit"
    content = bytearray(read(path))
    match damage:
        case "record":
            content[-100] ^= 1
        case "trailer":
            content[-1] ^= 1
        case "short":
            del content[20:]
        case _:
            content.clear()
    write(path, bytes(content))
    with Pair(str(tmp_path)) as pair:
        assert pair.target.recover(proceed) is None
        assert "damaged-1" in pair.target.damage
        assert os.listdir(f"{pair.state_dir}/journal") == ["damaged-1"]
        pair.replicate()
        assert look(pair.b) == look(pair.a)


def test_damaged_contents_in_the_journal_are_never_put_in_place(tmp_path: Path) -> None:
    """Adversarial case 14: neither zeros after a power cut reach the folder, nor the rest."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/another", b"content")
        write(f"{pair.a}/f", b"precious content")
        pair.connect()
        pair.commit(pair.stage())
    path = f"{tmp_path}/state-b/journal/commit"
    write(path, read(path).replace(b"precious content", bytes(16)))
    with Pair(str(tmp_path)) as pair:
        assert pair.target.recover(proceed) is None
        assert "the content for 'f'" in pair.target.damage
        assert os.listdir(pair.b) == []
        pair.replicate()
        assert look(pair.b) == look(pair.a)


@pytest.mark.parametrize("kept_bytes", [0, 10, 50])
def test_a_torn_beginning_of_staging_is_thrown_away(tmp_path: Path, kept_bytes: int) -> None:
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"content")
        pair.connect()
        pair.stage()
        path = f"{pair.state_dir}/journal/staged"
        os.truncate(path, kept_bytes)
    with Pair(str(tmp_path)) as pair:
        assert pair.target.recover(proceed) is None
        assert os.listdir(f"{pair.state_dir}/journal") == []


def test_a_missing_place_holds_the_recovery_up(tmp_path: Path) -> None:
    """An unmounted folder is not made anew below its mount point; it is tried again."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"content")
        pair.connect()
        pair.commit(pair.stage())
    os.rename(f"{tmp_path}/b/data", f"{tmp_path}/b/unmounted")
    with Pair(str(tmp_path)) as pair:
        os.rmdir(pair.b)
        with pytest.raises(Exception, match="No such file"):
            pair.target.recover(proceed)
        os.rename(f"{tmp_path}/b/unmounted", pair.b)
        assert pair.target.recover(proceed) is not None
        assert look(pair.b) == look(pair.a)
