"""Hints where a folder may have changed: inotify, recursive (B23).

Only hints: the index decides what changed. Whatever could be missed is reported as a change: a
directory that is filled before its watch is set, and everything when the queue overflows.
(What is stored through a shared memory map, or through another name of the same file, is never
reported by the kernel: full scans find it.)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

from sbs.core.manifest import STAGING_NAME
from sbs.errors import ReplicationError
from sbs.replication.changes import EVERYTHING, MAX_NAMES, Changes

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

_Place: TypeAlias = tuple[int, bytes]
"""Position of a folder, and a path within it; empty for its root."""

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
        self._roots = [os.fsencode(path) for path in paths]
        self._watches: dict[int, _Place] = {}
        self._changed: set[tuple[int, str]] = set()
        """Directories in which something changed that has no name here."""
        self._named: set[tuple[int, str, str]] = set()
        self._lost = False
        try:
            for folder, root in enumerate(self._roots):
                if not self._add((folder, b"")):
                    raise ReplicationError(f"{os.fsdecode(root)!r} is no folder to watch")
                self._add_below((folder, b""))
        except ReplicationError:
            self.close()
            raise
        self._forget()

    def fileno(self) -> int:
        """Readable when :meth:`drain` has something to do."""
        return self._fd

    def drain(self) -> Changes:
        """Take all events.

        Returns:
            where something may have changed since the last call.

        Raises:
            ReplicationError: a new directory cannot be watched, for the kernel's limit is reached.
        """
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
                self._take(watch, mask, name)
        changes = EVERYTHING if self._lost else Changes.of(self._changed, self._named)
        self._forget()
        return changes

    def close(self) -> None:
        """Stop watching."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _take(self, watch: int, mask: int, name: bytes) -> None:
        place = self._watches.get(watch)
        if mask & _IGNORED:
            self._watches.pop(watch, None)
        elif place is None:  # the queue overflowed (watch -1), or a directory that moved away
            self._lost = True
        elif not _is_staging(child := _below(place, name)):
            self._note(place, name)
            came, watched = mask & (_CREATE | _MOVED_TO), len(self._watches)
            # One that was closed to us when it came can be watched when its mode changes.
            looked = name and mask & _ISDIR and mask & (_CREATE | _MOVED_TO | _ATTRIB)
            if looked and self._add(child) and (came or len(self._watches) > watched):
                # Its old watch, if it was moved, was found again by the kernel.
                self._add_below(child)

    def _note(self, place: _Place, name: bytes = b"") -> None:
        folder, directory = place[0], os.fsdecode(place[1])
        if name and len(self._named) < MAX_NAMES:
            self._named.add((folder, directory, os.fsdecode(name)))
        else:
            self._changed.add((folder, directory))

    def _forget(self) -> None:
        self._changed, self._named, self._lost = set(), set(), False

    def _add_below(self, place: _Place) -> None:
        pending = [place]
        while pending:
            directory = pending.pop()
            with contextlib.suppress(OSError):  # gone again, or closed to us: the scan says so
                with os.scandir(self._path(directory)) as entries:
                    names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
                pending += [p for name in names if self._add(p := _below(directory, name))]

    def _add(self, place: _Place) -> bool:
        """Watch one directory; False where it is none (any more) or is closed to us."""
        if _is_staging(place):
            return False
        path, follow = self._path(place), _DONT_FOLLOW if place[1] else 0
        watch = _libc.inotify_add_watch(self._fd, path, _CHANGES | _SELF | _OPTIONS | follow)
        if watch >= 0:
            self._watches[watch] = place
            self._note(place)
            return True
        error = ctypes.get_errno()
        if error in (errno.ENOSPC, errno.ENOMEM):
            raise ReplicationError(
                f"cannot watch {os.fsdecode(path)!r}: the kernel's limit of watches is reached;"
                " raise the sysctl fs.inotify.max_user_watches or set sync.watch = false"
            )
        return False

    def _path(self, place: _Place) -> bytes:
        folder, below = place
        return self._roots[folder] + b"/" + below if below else self._roots[folder]

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""


def _below(place: _Place, name: bytes) -> _Place:
    folder, directory = place
    return folder, directory + b"/" + name if directory else name


def _is_staging(place: _Place) -> bool:
    return place[1] == STAGING_NAME.encode()
