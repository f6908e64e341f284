"""A file on a shared folder, opened anew and locked for milliseconds; Linux only."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from typing import Final

from sbs.errors import WitnessError

MAX_FILE_BYTES: Final = 4096
"""Longest content: a name, three numbers and a checksum."""

LOCK_BOUND_S: Final = 0.5
"""How long a busy lock is tried for: it is held for milliseconds, unless its holder hangs."""

LOCK_INTERVAL_S: Final = 0.01

HELD_BOUND_S: Final = 2.0
"""How long a lock is believed in: a server takes it from a client that it has lost, which does not
learn of that before it is connected again. Much more than a read and a write take."""

_OFD_SETLK: Final = 37
"""F_OFD_SETLK: a lock of the open file, not of the process; Python 3.11 has no name for it."""


def now() -> float:
    """The time that goes on while the machine sleeps, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseFile:
    """The file, locked for the length of a ``with`` block.

    Args:
        path: of the file, in a folder that must be there.
        create: make it where it is missing.

    Attributes:
        is_new: this very opening has made it.

    Raises:
        WitnessError: another holds the lock for too long.
        OSError: whatever the file system says.
    """

    def __init__(self, path: str, *, create: bool) -> None:
        self._path = path
        self._create = create
        self._fd = -1
        self._locked_at = 0.0
        self.is_new: bool = False

    def __enter__(self) -> LeaseFile:
        self._fd = self._open()
        try:
            self._lock()
        except BaseException:
            os.close(self._fd)
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._fd)  # and so unlock

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._path, flags)
        except FileNotFoundError:
            if not self._create:
                raise
        try:
            fd = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o660)
        except FileExistsError:
            return os.open(self._path, flags)
        self.is_new = True
        return fd

    def _lock(self) -> None:
        lock = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        give_up_at = now() + LOCK_BOUND_S
        while True:
            asked_at = now()
            try:
                fcntl.fcntl(self._fd, _OFD_SETLK, lock)
            except (BlockingIOError, PermissionError) as error:
                if now() >= give_up_at:
                    text = f"{self._path}: locked by another for over {LOCK_BOUND_S:g} s"
                    raise WitnessError(text) from error
            else:
                self._locked_at = asked_at
                return
            time.sleep(LOCK_INTERVAL_S)

    def read(self) -> bytes:
        """What the file holds, as far as it may reach and one byte more."""
        return os.pread(self._fd, MAX_FILE_BYTES + 1, 0)

    def write(self, data: bytes) -> None:
        """Replace what the file holds, durably.

        Raises:
            WitnessError: the lock may have been another's when the data arrived.
        """
        self._check_lock()
        view = memoryview(data)
        offset = 0
        while offset < len(view):
            offset += os.pwrite(self._fd, view[offset:], offset)
        os.ftruncate(self._fd, len(view))
        os.fsync(self._fd)
        self._check_lock()

    def _check_lock(self) -> None:
        held_s = now() - self._locked_at
        if held_s > HELD_BOUND_S:
            raise WitnessError(
                f"{self._path}: locked for {held_s:.1f} s, over {HELD_BOUND_S:g}: the server may "
                "have given the lock to another"
            )
