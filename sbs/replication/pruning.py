"""Removing versions that are too old, or too many: oldest generation first, never in silence (B21).

A generation goes as a whole. Its directory is renamed first, so that a crash leaves nothing that
could be taken for a version: what bears the name of a removed one is removed by the next step.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from typing import Final

from sbs.errors import ReplicationError
from sbs.replication import past
from sbs.replication.past import VERSIONS, Summary
from sbs.replication.places import Places

MAX_REMOVED: Final = 1000
"""Files removed in one step: some ten milliseconds, then others have their turn."""

FREE_SHARE: Final = 0.05
"""Of a full file system, that versions give back: enough for most updates, and little to lose."""

_REMOVED: Final = "removed-"

_log = logging.getLogger(__name__)


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
        self._known: dict[tuple[str, str], Summary] = {}
        """By root and name: reading all of them again and again would take long."""
        self.spare: str = ""
        """Name of the generation that is being written."""

    def step(self, folders: Mapping[str, str]) -> bool:
        """Remove a little of what is to be removed.

        Args:
            folders: where each of them lies, by name.

        Returns:
            whether there may be more to do.
        """
        return self._keep_s > 0 and any(self._guarded(name, root) for name, root in folders.items())

    def make_room(self, places: Places, folder: int, name: str, needed_bytes: int = 0) -> None:
        """A folder's file system is full: give back what is oldest, at once.

        Args:
            places: of the folders.
            folder: which one.
            name: of it.
            needed_bytes: that an update needs.
        """
        try:
            while self._keep_s > 0 and _lacks(places, folder, needed_bytes):
                if self._clear(places, folder):
                    continue
                summaries = self._summaries(places, folder)
                if not summaries:
                    return
                for summary in summaries[: max(1, len(summaries) // 10)]:
                    self._remove(places, folder, name, summary, "the file system is full")
        except (OSError, ReplicationError) as error:
            _log.warning("folder %s: its versions cannot be removed: %s", name, error)

    def _guarded(self, name: str, root: str) -> bool:
        try:
            with Places([root]) as places:
                return self._step(places, name)
        except (OSError, ReplicationError) as error:
            _log.warning("folder %s: its versions cannot be removed: %s", name, error)
            return False

    def _step(self, places: Places, name: str) -> bool:
        if self._clear(places, 0):
            return True
        summaries = self._summaries(places, 0)
        total = sum(summary.size_bytes for summary in summaries)
        files = 0
        for place, summary in enumerate(summaries):
            reason = self._reason(summaries, place, total)
            if not reason or files >= MAX_REMOVED:
                break
            self._remove(places, 0, name, summary, reason)
            total -= summary.size_bytes
            files += summary.kept + 1
        return files > 0

    def _summaries(self, places: Places, folder: int) -> list[Summary]:
        """Of all generations that may go, oldest first."""
        root = places.roots[folder]
        found: list[Summary] = []
        for mark in past.marks(places, folder):
            if mark.name == self.spare:
                continue
            summary = self._known.get((root, mark.name))
            if summary is None:
                summary = past.summary(places, folder, mark)
                if summary is not None and summary.whole:
                    self._known[root, mark.name] = summary
            if summary is not None:
                found.append(summary)
        return found

    def _reason(self, summaries: list[Summary], place: int, total: int) -> str:
        """Why the oldest that is left has to go; empty: it stays.

        Args:
            summaries: of all, oldest first.
            place: of the oldest that is left.
            total: bytes of those that are left.
        """
        now = self._clock()
        oldest_at = summaries[place].at
        if oldest_at > now:  # a clock was wrong: it is no newer than what came after it
            oldest_at = min(summary.at for summary in summaries[place:])
        if oldest_at < now - self._keep_s:
            return f"older than {self._keep_s:g} s (sync.keep_versions_s)"
        if 0 < self._keep_bytes < total:
            return f"{total} bytes are more than {self._keep_bytes} (sync.keep_versions_bytes)"
        return ""

    def _remove(
        self, places: Places, folder: int, name: str, summary: Summary, reason: str
    ) -> None:
        mark = summary.mark
        _log.info(
            "folder %s: what %s replaced is no longer kept (%d files, %d bytes): %s",
            name,
            mark,
            summary.kept,
            summary.size_bytes,
            reason,
        )
        directory = places.directory(folder, VERSIONS)
        os.rename(mark.name, _REMOVED + mark.name, src_dir_fd=directory, dst_dir_fd=directory)
        places.forget(folder, f"{VERSIONS}/{mark.name}")
        self._known.pop((places.roots[folder], mark.name), None)

    def _clear(self, places: Places, folder: int) -> bool:
        """Remove some files of generations that were given up; whether there was one."""
        try:
            names = os.listdir(places.directory(folder, VERSIONS))
        except FileNotFoundError:
            return False
        left = MAX_REMOVED
        given_up = [name for name in names if name.startswith(_REMOVED)]
        for name in given_up:
            left -= self._empty(places, folder, name, left)
            if left <= 0:
                break
        return bool(given_up)

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


def _lacks(places: Places, folder: int, needed_bytes: int) -> bool:
    status = os.fstatvfs(places.directory(folder))
    free_bytes = status.f_bavail * status.f_frsize
    # Inodes run out, too; a file system without a table of them says 0 of 0.
    return status.f_favail < FREE_SHARE * status.f_files or free_bytes < max(
        needed_bytes, FREE_SHARE * status.f_blocks * status.f_frsize
    )
