"""Removing versions that are too old, or too many: oldest generation first, never in silence (B21).

A generation goes as a whole. Its directory is renamed first, so that a crash leaves nothing that
could be taken for a version: what bears the name of a removed one is removed by the next step.

What lies in a folder is listed once, and again only if others than the updates and the pruner have
made or removed something there: an update costs what it adds and what goes, not what is kept.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from sbs.errors import ReplicationError
from sbs.log import INFO, WARNING, Log
from sbs.replication.files.places import Places
from sbs.replication.former import past
from sbs.replication.former.past import VERSIONS, Mark, Summary

MAX_REMOVED: Final = 1000
"""Files removed in one step: some ten milliseconds, then others have their turn."""

FREE_SHARE: Final = 0.05
"""Of a full file system, that versions give back: enough for most updates, and little to lose."""

_REMOVED: Final = "removed-"

_NO_CHANGES: Final[Mapping[str, int]] = MappingProxyType({})
"""Of all summaries that are remembered: nobody asks, and there may be a hundred thousand."""

_log = Log(__name__)
_STUCK = _log.event(
    "versions-not-removed",
    WARNING,
    "folder {folder}: its versions cannot be removed: {error}",
    "Old versions take more room than they may; it is tried again. Mend what the text names.",
)
_GONE = _log.event(
    "versions-removed",
    INFO,
    "folder {folder}: what {generation} replaced is no longer kept ({files} files, "
    "{size_bytes} bytes): {reason}",
    "`sbs restore` cannot bring it back any more. If that is too early, raise "
    "`sync.keep_versions_s` or `sync.keep_versions_bytes`.",
)


@attrs.define
class _Kept:
    """What lies in one folder.

    Args:
        stamp: of its directory, when this was true.
        summaries: of all generations that may go, oldest first.
        total_bytes: of them.
        written: names of generations that came since.
        given_up: names of directories that are to be removed.
    """

    stamp: tuple[int, ...]
    summaries: deque[Summary] = attrs.field(factory=deque[Summary])
    total_bytes: int = 0
    written: list[str] = attrs.field(factory=list[str])
    given_up: deque[str] = attrs.field(factory=deque[str])

    def add(self, summary: Summary) -> None:
        """The newest generation."""
        self.summaries.append(attrs.evolve(summary, changes=_NO_CHANGES))
        self.total_bytes += summary.size_bytes


class Pruner:
    """Removes versions of one node.

    Args:
        keep_s: how long they are kept; 0: nothing is done.
        keep_bytes: how much of them in each folder; 0: whatever their size.
        clock: tells the time, seconds since 1970.
    """

    def __init__(self, keep_s: float, keep_bytes: int, clock: Callable[[], float]) -> None:
        self._keep_s = keep_s
        self._keep_bytes = keep_bytes
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        """By the folder's root."""
        self._lock = threading.Lock()
        """Updates are applied in another thread than versions are removed."""
        self.spare: str = ""
        """Name of the generation that is being written."""

    @contextlib.contextmanager
    def adding(self, places: Places, folder: int, name: str) -> Generator[None]:
        """The directory of a generation is made meanwhile, if it is not there.

        Args:
            places: of the folders.
            folder: which one.
            name: of the directory.
        """
        with self._lock:
            kept = self._kept.get(places.roots[folder])
            if kept is None or kept.stamp != _stamp(places, folder):
                kept = None  # it is listed anew in any case
            was_there = _is_there(places, folder, name)
            yield
            if kept is not None and not was_there:
                kept.written.append(name)
                kept.stamp = _stamp(places, folder)

    @property
    def keeps(self) -> bool:
        """Whether versions are kept at all."""
        return self._keep_s > 0

    def step(self, folders: Mapping[str, str]) -> bool:
        """Remove a little of what is to be removed.

        Args:
            folders: where each of them lies, by name.

        Returns:
            whether there may be more to do.
        """
        return self.keeps and any(self._guarded(name, root) for name, root in folders.items())

    def make_room(self, places: Places, folder: int, name: str, needed_bytes: int = 0) -> None:
        """A folder's file system is full: give back what is oldest, at once.

        Args:
            places: of the folders.
            folder: which one.
            name: of it.
            needed_bytes: that an update needs.
        """
        with self._lock:
            try:
                while self.keeps and _lacks(places, folder, needed_bytes):
                    if not self._give_back(places, folder, name):
                        return
            except (OSError, ReplicationError) as error:
                self._failed(places.roots[folder], name, error)

    def _give_back(self, places: Places, folder: int, name: str) -> bool:
        """Give back a tenth of what is kept, or remove what was given up; whether there was any."""
        kept = self._look(places, folder)
        if kept.given_up:
            self._clear(places, folder, kept)
            return True
        count = -(-len(kept.summaries) // 10)
        for _ in range(count):
            self._remove(places, folder, name, kept, "the file system is full")
        return count > 0

    def _guarded(self, name: str, root: str) -> bool:
        try:
            with self._lock, Places([root]) as places:
                return self._step(places, name)
        except (OSError, ReplicationError) as error:
            self._failed(root, name, error)
            return False

    def _failed(self, root: str, name: str, error: Exception) -> None:
        self._kept.pop(root, None)
        _STUCK(folder=name, error=error)

    def _step(self, places: Places, name: str) -> bool:
        kept = self._look(places, 0)
        if kept.given_up:
            self._clear(places, 0, kept)
            return True
        files = 0
        while kept.summaries and files < MAX_REMOVED and (reason := self._reason(kept)):
            files += kept.summaries[0].kept + 1
            self._remove(places, 0, name, kept, reason)
        return files > 0

    def _look(self, places: Places, folder: int) -> _Kept:
        """What lies in a folder now."""
        root, stamp = places.roots[folder], _stamp(places, folder)
        kept = self._kept.get(root)
        if kept is None or kept.stamp != stamp:
            kept = self._kept[root] = self._list(places, folder, stamp)
        for name in [name for name in kept.written if name != self.spare]:
            kept.written.remove(name)
            mark = Mark.parse(name)
            if mark is None or (kept.summaries and mark < kept.summaries[-1].mark):
                kept = self._kept[root] = self._list(places, folder, stamp)
                break  # of another line of history: its place is not the last
            if (summary := past.summary(places, folder, mark)) is not None:
                kept.add(summary)
        return kept

    def _list(self, places: Places, folder: int, stamp: tuple[int, ...]) -> _Kept:
        kept = _Kept(stamp)
        if not stamp:
            return kept
        names = os.listdir(places.directory(folder, VERSIONS))
        kept.given_up.extend(name for name in names if name.startswith(_REMOVED))
        for mark in sorted(mark for name in names if (mark := Mark.parse(name)) is not None):
            if mark.name == self.spare:
                kept.written.append(mark.name)
            elif (summary := past.summary(places, folder, mark)) is not None:
                kept.add(summary)
        return kept

    def _reason(self, kept: _Kept) -> str:
        """Why the oldest has to go; empty: it stays."""
        now = self._clock()
        oldest_at = kept.summaries[0].at
        if oldest_at > now:  # a clock was wrong: it is no newer than what came after it
            oldest_at = min(summary.at for summary in kept.summaries)
        if oldest_at < now - self._keep_s:
            return f"older than {self._keep_s:g} s (sync.keep_versions_s)"
        if 0 < self._keep_bytes < kept.total_bytes:
            total = kept.total_bytes
            return f"{total} bytes are more than {self._keep_bytes} (sync.keep_versions_bytes)"
        return ""

    def _remove(self, places: Places, folder: int, name: str, kept: _Kept, reason: str) -> None:
        """Give up the oldest generation."""
        summary = kept.summaries.popleft()
        kept.total_bytes -= summary.size_bytes
        mark = summary.mark
        _GONE(
            folder=name,
            generation=mark,
            files=summary.kept,
            size_bytes=summary.size_bytes,
            reason=reason,
        )
        directory = places.directory(folder, VERSIONS)
        os.rename(mark.name, _REMOVED + mark.name, src_dir_fd=directory, dst_dir_fd=directory)
        places.forget(folder, f"{VERSIONS}/{mark.name}")
        kept.given_up.append(_REMOVED + mark.name)
        kept.stamp = _stamp(places, folder)

    def _clear(self, places: Places, folder: int, kept: _Kept) -> None:
        """Remove some files of generations that were given up."""
        left = MAX_REMOVED
        while kept.given_up and left > 0:
            removed = self._empty(places, folder, kept.given_up[0], left)
            if removed < left:
                kept.given_up.popleft()
            left -= removed
        kept.stamp = _stamp(places, folder)

    def _empty(self, places: Places, folder: int, name: str, limit: int) -> int:
        """Remove files of a generation, and its directory after the last; how many."""
        path = f"{VERSIONS}/{name}"
        directory = places.directory(folder, path)
        with os.scandir(directory) as entries:
            some = list(itertools.islice(entries, limit))
        for entry in some:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.name, dir_fd=directory)  # nobody but others made it
            else:
                os.unlink(entry.name, dir_fd=directory)
        if len(some) < limit:
            places.forget(folder, path)
            os.rmdir(name, dir_fd=places.directory(folder, VERSIONS))
        return len(some)


def _stamp(places: Places, folder: int) -> tuple[int, ...]:
    """What changes when something is made, renamed or removed there; empty: nothing is kept."""
    try:
        status = os.fstat(places.directory(folder, VERSIONS))
    except FileNotFoundError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _is_there(places: Places, folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=places.directory(folder, VERSIONS), follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _lacks(places: Places, folder: int, needed_bytes: int) -> bool:
    status = os.fstatvfs(places.directory(folder))
    free_bytes = status.f_bavail * status.f_frsize
    # Inodes run out, too; a file system without a table of them says 0 of 0.
    return status.f_favail < FREE_SHARE * status.f_files or free_bytes < max(
        needed_bytes, FREE_SHARE * status.f_blocks * status.f_frsize
    )
