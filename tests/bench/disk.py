"""A fresh journaled file system for each run: ext4 on a loop device, made and removed here.

A file system that has seen many removals is slower, whoever writes to it. Without root there is
only a directory, and the result says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MIB: Final = 1024 * 1024

SPARE_BYTES: Final = 256 * MIB
"""For the journal and the tables of a file system, and the state of a node."""

UNMOUNT_S: Final = 20.0
"""For processes that were ended just now to let go of their files."""


class Disk:
    """A file system that can be made anew; see :func:`disk`.

    Args:
        directory: an empty one, for the image and the place where it is mounted.
        size_bytes: of contents that it will hold at most.
        files: likewise.
        real: a file system of its own; else a directory.
    """

    def __init__(self, directory: Path, size_bytes: int, files: int, *, real: bool) -> None:
        self.path = directory / "mount"
        self.real = real
        self._image = directory / "image"
        self._size_bytes = size_bytes + size_bytes // 20 + 8192 * files + SPARE_BYTES
        self._files = 2 * files + 20_000
        self._mounted = False
        free = shutil.disk_usage(directory).free
        if free < self._size_bytes:
            raise OSError(f"{directory}: {self._size_bytes} bytes are needed, {free} are free")

    def remake(self) -> None:
        """Begin with an empty one."""
        self.end()
        self.path.mkdir()
        if not self.real:
            return
        with self._image.open("wb") as image:
            image.truncate(self._size_bytes)
        options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard"
        _run("mkfs.ext4", "-q", "-F", "-N", str(self._files), "-E", options, str(self._image))
        _run("mount", "-o", "loop,noinit_itable", str(self._image), str(self.path))
        self._mounted = True
        shutil.rmtree(self.path / "lost+found")

    def flush(self) -> None:
        """Write out what was written to it until now."""
        flush(self.path)

    def end(self) -> None:
        """Remove it."""
        give_up_at = time.monotonic() + UNMOUNT_S
        while self._mounted:
            try:
                _run("umount", str(self.path))
            except subprocess.CalledProcessError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.1)
            else:
                self._mounted = False
        if self.path.exists():
            shutil.rmtree(self.path)
        self._image.unlink(missing_ok=True)


@contextmanager
def disk(directory: Path, size_bytes: int, files: int) -> Iterator[Disk]:
    """A fresh file system that ends with the block, where this process may make one.

    Args:
        directory: an existing one; a temporary one is made in it.
        size_bytes: of the contents that it will hold at most.
        files: likewise.
    """
    real = os.geteuid() == 0 and shutil.which("mkfs.ext4") is not None
    with tempfile.TemporaryDirectory(prefix="sbs-bench-", dir=directory) as base:
        made = Disk(Path(base), size_bytes, files, real=real)
        try:
            made.remake()
            yield made
        finally:
            made.end()


def flush(path: Path) -> None:
    """Write out the file system on which ``path`` lies."""
    _run("sync", "-f", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
