"""A hint that a folder may have changed: inotify, recursive (B23).

Only a hint: the index decides what changed. Whatever could be missed (a directory that is
filled before its watch is set, a queue that overflows) is reported as a change.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from typing import Final

from sbs.core.manifest import STAGING_NAME
from sbs.errors import ReplicationError

_EVENT: Final = struct.Struct("iIII")
_READ_BYTES: Final = 256 * 1024

_READS: Final = 64
"""Reads in one call, about the kernel's default queue: a busy writer must not keep it busy."""

# linux/inotify.h
_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x1000000
_DONT_FOLLOW: Final = 0x2000000
_EXCL_UNLINK: Final = 0x4000000
_ISDIR: Final = 0x40000000

# A writer that keeps its file open (a log, a database) never closes: MODIFY tells of it.
_CHANGES: Final = _MODIFY | _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_SELF: Final = _DELETE_SELF | _MOVE_SELF
_OPTIONS: Final = _ONLYDIR | _EXCL_UNLINK

_libc: Final = ctypes.CDLL(None, use_errno=True)


class Watcher:
    """Watches folders with all that is below them.

    Args:
        paths: the folders' roots; they must exist.

    Raises:
        ReplicationError: a root cannot be watched, or the kernel's limit on watches is reached.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise ReplicationError(
                f"cannot watch folders: {os.strerror(ctypes.get_errno())};"
                " raise the sysctl fs.inotify.max_user_instances or set sync.watch = false"
            )
        self._directories: dict[int, bytes] = {}
        self._roots = frozenset(os.fsencode(path) for path in paths)
        try:
            for path in self._roots:
                if not self._add(path):
                    raise ReplicationError(f"{os.fsdecode(path)!r} is no folder to watch")
                self._add_below(path)
        except ReplicationError:
            self.close()
            raise

    def fileno(self) -> int:
        """Readable when :meth:`drain` has something to do."""
        return self._fd

    def drain(self) -> bool:
        """Take all events; whether something may have changed.

        Raises:
            ReplicationError: a new directory cannot be watched, for the kernel's limit is reached.
        """
        changed = False
        for _ in range(_READS):
            events = self._read()
            if not events:
                break
            position = 0
            while position < len(events):
                watch, mask, _, length = _EVENT.unpack_from(events, position)
                position += _EVENT.size
                name = events[position : position + length].rstrip(b"\0")
                position += length
                changed = self._take(watch, mask, name) or changed
        return changed

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take(self, watch: int, mask: int, name: bytes) -> bool:
        directory = self._directories.get(watch)
        if mask & _IGNORED:
            self._directories.pop(watch, None)
            return False
        if directory is None:
            return True  # the queue overflowed (watch -1), or a directory that moved away
        if name == STAGING_NAME.encode() and directory in self._roots:
            return False
        if mask & _ISDIR and mask & (_CREATE | _MOVED_TO):
            # Its old watch, if it was moved, is found again by the kernel and gets the new path.
            path = directory + b"/" + name
            if self._add(path):
                self._add_below(path)
        return True

    def _add_below(self, path: bytes) -> None:
        pending = [path]
        while pending:
            directory = pending.pop()
            with contextlib.suppress(OSError):  # gone again, or closed to us: the scan says so
                with os.scandir(directory) as entries:
                    below = [e.path for e in entries if e.is_dir(follow_symlinks=False)]
                pending += [p for p in below if self._add(p)]

    def _add(self, path: bytes) -> bool:
        """Watch one directory; False where it is none (any more) or is closed to us."""
        if self._is_staging(path):
            return False
        follow = 0 if path in self._roots else _DONT_FOLLOW
        watch = _libc.inotify_add_watch(self._fd, path, _CHANGES | _SELF | _OPTIONS | follow)
        if watch >= 0:
            self._directories[watch] = path
            return True
        error = ctypes.get_errno()
        if error in (errno.ENOSPC, errno.ENOMEM):
            raise ReplicationError(
                f"cannot watch {os.fsdecode(path)!r}: the kernel's limit of watches is reached;"
                " raise the sysctl fs.inotify.max_user_watches or set sync.watch = false"
            )
        return False

    def _is_staging(self, path: bytes) -> bool:
        directory, _, name = path.rpartition(b"/")
        return name == STAGING_NAME.encode() and directory in self._roots

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
