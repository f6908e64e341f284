"""A folder on a disk that can be unmounted, and made read-only, under a running node."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import require, wait_until


class Disk:
    """A file system in memory, mounted at a second place that comes and goes.

    Args:
        home: an existing directory, where it stays.
        place: an existing directory, where it is mounted.
    """

    def __init__(self, home: Path, place: Path) -> None:
        self._home = home
        self._place = place

    def mount(self) -> None:
        """Let it appear at its place."""
        _run("mount", "--bind", str(self._home), str(self._place))

    def unmount(self) -> None:
        """Take it away from its place, as soon as nobody looks at it."""

        def is_done() -> bool:
            command = ["umount", str(self._place)]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        wait_until(is_done, f"{self._place} is unmounted")

    def make_read_only(self) -> None:
        """Nothing can be written at its place any more."""

        def is_done() -> bool:
            command = ["mount", "-o", "remount,ro,bind", str(self._place)]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0

        wait_until(is_done, f"{self._place} is read-only")

    def make_writable(self) -> None:
        """It can be written again."""
        _run("mount", "-o", "remount,rw,bind", str(self._place))


@contextmanager
def disk_at(place: Path) -> Iterator[Disk]:
    """A disk that is mounted at a place, and gone with the block.

    Args:
        place: an existing directory.
    """
    require("mount", "umount", root=True)
    home = place.with_name(f"disk-of-{place.name}")
    home.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=16m", "none", str(home))
    try:
        disk = Disk(home, place)
        disk.mount()
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)
        _run("umount", "-l", str(home))


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)
