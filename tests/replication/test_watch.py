"""Hints that something may have changed."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sbs.core.manifest import STAGING_NAME
from sbs.errors import ReplicationError
from sbs.replication.leading.watch import Watcher
from tests.replication.rig import write


@pytest.fixture
def root(tmp_path: Path) -> str:
    root = f"{tmp_path}/root"
    write(f"{root}/d/e/f", b"1")
    return root


@pytest.fixture
def watcher(root: str) -> Iterator[Watcher]:
    made = Watcher([root])
    yield made
    made.close()


def readable(watcher: Watcher, timeout_s: float = 5) -> bool:
    return bool(select.select([watcher.fileno()], [], [], timeout_s)[0])


CHANGES: list[Callable[[str], object]] = [
    lambda root: write(f"{root}/new", b"1"),
    lambda root: write(f"{root}/d/e/f", b"2"),
    lambda root: os.chmod(f"{root}/d/e/f", 0o600),
    lambda root: os.utime(f"{root}/d/e/f", ns=(1, 1)),
    lambda root: os.unlink(f"{root}/d/e/f"),
    lambda root: os.rename(f"{root}/d/e/f", f"{root}/g"),
    lambda root: os.symlink("x", f"{root}/d/link"),
    lambda root: os.rename(f"{root}/d", f"{root}/moved"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_hinted_at_once(
    root: str, watcher: Watcher, change: Callable[[str], object]
) -> None:
    """B23."""
    assert not watcher.drain()
    change(root)
    assert readable(watcher)
    assert watcher.drain()
    assert not watcher.drain()


def test_new_and_moved_directories_are_watched_with_all_below(root: str, watcher: Watcher) -> None:
    """B23, adversarial case 18: also what was made before the watch was set."""
    write(f"{root}/x/y/z/f", b"1")
    os.rename(f"{root}/d", f"{root}/moved")
    assert watcher.drain()
    for path in ("x/y/z/f", "moved/e/f"):
        write(f"{root}/{path}", b"2")
        assert watcher.drain(), path
    write(f"{root}/x/y/z/new/deep/f", b"1")
    assert watcher.drain()
    write(f"{root}/x/y/z/new/deep/f", b"2")
    assert watcher.drain()


def test_our_own_staging_is_no_change(root: str, watcher: Watcher) -> None:
    os.mkdir(f"{root}/{STAGING_NAME}")
    write(f"{root}/{STAGING_NAME}/temporary", b"1")
    assert not watcher.drain()


def test_an_overflow_of_the_queue_is_a_change(root: str, watcher: Watcher) -> None:
    """B23, adversarial case 18."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        events = int(file.read())
    for number in range(events // 2 + 10):
        os.chmod(f"{root}/d/e/f", 0o600 + number % 2)
        os.chmod(f"{root}/d/e", 0o700 + number % 2)
    while watcher.drain():
        pass
    write(f"{root}/d/e/f", b"after")
    assert watcher.drain()


def test_links_are_not_followed(tmp_path: Path, root: str) -> None:
    write(f"{tmp_path}/outside/f", b"1")
    os.symlink(f"{tmp_path}/outside", f"{root}/link")
    watcher = Watcher([root])
    write(f"{tmp_path}/outside/f", b"2")
    assert not watcher.drain()
    watcher.close()


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match="is no folder"):
        Watcher([f"{tmp_path}/missing"])


def test_the_limit_of_watches_says_which_sysctl_to_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own limit is for all processes of a user: a fake refuses instead."""

    class Full:
        @staticmethod
        def inotify_init1(_flags: int) -> int:
            return os.open("/dev/null", os.O_RDONLY)

        @staticmethod
        def inotify_add_watch(_fd: int, _path: bytes, _mask: int) -> int:
            return -1

    monkeypatch.setattr("sbs.replication.leading.watch._libc", Full)
    monkeypatch.setattr("ctypes.get_errno", lambda: 28)
    with pytest.raises(ReplicationError, match=r"fs\.inotify\.max_user_watches"):
        Watcher([str(tmp_path)])
