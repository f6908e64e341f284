"""A crash at any instant ends in one whole generation (B20)."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sbs.core.manifest import STAGING_NAME
from sbs.errors import StateError
from sbs.replication.source import STREAM_ABOVE
from sbs.replication.target import CommitRecord
from tests.replication.rig import Pair, look, proceed, read, write

CRASHED = 77

WATCHED = (
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "symlink",
    "fsync",
    "write",
    "fchmod",
    "chmod",
    "utime",
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
        self.lead(0)
        self.replicate()

    def _make(self, root: str, number: int, files: int) -> None:
        for each in range(files):
            write(f"{root}/common/{each % 7}/{each}", f"{number} {each}" * 40)
        write(f"{root}/only-{number}/deep/file", b"x")
        write(f"{root}/large", os.urandom(STREAM_ABOVE * 5))
        write(f"{root}/constant", b"constant", mode=0o600 + number)
        os.symlink(f"target {number}", f"{root}/link")
        if number:
            write(f"{root}/swapped", b"file" * STREAM_ABOVE)
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
        return Pair(self.base, strict_delete=True)

    def replicate(self) -> None:
        with self.pair() as pair:
            pair.target.recover(proceed)
            pair.replicate()

    def recover(self) -> CommitRecord | None:
        with self.pair() as pair:
            record = pair.target.recover(proceed)
            assert pair.target.recover(proceed) is None
            return record

    def standing(self) -> int:
        """Which version the copy is, whole; anything else fails."""
        copy = look(f"{self.base}/b/data")
        assert copy in self.trees, "a mixture of two generations"
        assert STAGING_NAME.encode() not in copy
        assert os.listdir(f"{self.base}/state-b/journal") == []
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


def test_crashed_at_every_step_of_an_update(tmp_path: Path) -> None:
    """B20: every step on disk, from the first staged byte to the journal's removal."""
    versions = Versions(str(tmp_path), files=2)
    standing, point, ended = 0, 0, False
    seen: set[tuple[bool, bool]] = set()
    while not ended:
        point += 1
        versions.lead(1 - standing)
        code = in_child(versions.replicate, crash_at=point)
        assert code in (0, CRASHED)
        ended = code == 0
        committed = os.path.exists(f"{tmp_path}/state-b/journal/commit")
        assert (versions.recover() is not None) is committed
        now = versions.standing()
        if committed:
            assert now != standing
        seen.add((committed, now != standing))
        standing = now
    assert point > 50, "the steps were counted"
    assert seen == {(False, False), (True, True), (False, True)}
    versions.lead(1 - standing)
    versions.replicate()
    assert versions.standing() != standing


def test_crashed_at_every_step_of_the_recovery(tmp_path: Path) -> None:
    """B20: a recovery that crashes is finished by the next."""
    versions = Versions(str(tmp_path), files=2)

    def commit() -> None:
        with versions.pair() as pair:
            pair.connect()
            pair.commit(pair.stage())
            os._exit(CRASHED)

    standing, point, ended = 0, 0, False
    while not ended:
        point += 1
        versions.lead(1 - standing)
        assert in_child(commit) == CRASHED
        ended = in_child(versions.recover, crash_at=point) == 0
        versions.recover()
        assert versions.standing() != standing
        standing = 1 - standing
    assert point > 20


def test_the_record_is_saved_before_the_journal_forgets_it(tmp_path: Path) -> None:
    """B20: no crash can come between the files of a generation and its history."""
    versions = Versions(str(tmp_path), files=2)
    versions.lead(1)
    with versions.pair() as pair:
        pair.connect()
        record = pair.commit(pair.stage())
        saved: list[tuple[CommitRecord, bool]] = []

        def save(rolled_forward: CommitRecord) -> None:
            kept = os.path.exists(f"{pair.state_dir}/journal/commit")
            saved.append((rolled_forward, kept))

        pair.target.recover(proceed, save)
        assert saved == [(record, True)]
        assert record.history.number == 1
    assert versions.standing() == 1


@pytest.mark.parametrize("damage", ["record", "trailer", "short", "empty"])
def test_a_damaged_journal_is_set_aside_and_reported(tmp_path: Path, damage: str) -> None:
    """B20: never guessed."""
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
        with pytest.raises(StateError, match="damaged-1"):
            pair.target.recover(proceed)
        assert os.listdir(f"{pair.state_dir}/journal") == ["damaged-1"]
        assert pair.target.recover(proceed) is None
        pair.replicate()
        assert look(pair.b) == look(pair.a)


def test_damaged_contents_in_the_journal_are_never_put_in_place(tmp_path: Path) -> None:
    """Adversarial case 14: zeros after a power cut do not reach the folder."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", b"precious content")
        pair.connect()
        pair.commit(pair.stage())
    path = f"{tmp_path}/state-b/journal/commit"
    write(path, read(path).replace(b"precious content", bytes(16)))
    with Pair(str(tmp_path)) as pair:
        with pytest.raises(StateError, match="'f' is damaged"):
            pair.target.recover(proceed)
        assert not os.path.exists(f"{pair.b}/f")


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
        with pytest.raises(Exception, match="will be tried again"):
            pair.target.recover(proceed)
        os.rename(f"{tmp_path}/b/unmounted", pair.b)
        assert pair.target.recover(proceed) is not None
        assert look(pair.b) == look(pair.a)
