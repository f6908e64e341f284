"""Which files only went elsewhere in their folder: they are no loss to the guard (B22).

A file is the same under another path if its inode, its size and its time of modification to the
nanosecond are those that the index had read under the path that is deleted. A freed inode is given
to the next new file, but not with the time of the old one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from sbs.core.filters import basename, parent_of
from sbs.core.manifest import Action, Entry, Kind, Operation
from sbs.core.plan import Candidate, Step
from sbs.errors import ReplicationError
from sbs.replication.files.index import Index, Row, Stat, stat_key
from sbs.replication.files.places import Places
from sbs.replication.files.reading import open_file

Identity: TypeAlias = tuple[int, int, int]
"""Size, mtime_ns, inode."""

_INODE: Final = 3
"""Position in a row's stat."""


class Moves:
    """Remembers what stood at the paths of one folder that the follower is to lose.

    The index forgets a file when it is gone; while an update is held, it is gone at each look. What
    is remembered ends with the session: then the guard counts once more than it need.

    Args:
        index: of the leader.
        folder: number of the folder.
        name: of the folder, as the index knows it.
    """

    def __init__(self, index: Index, folder: int, name: str) -> None:
        self._index = index
        self._folder = folder
        self._name = name
        self._known: dict[str, Identity] = {}

    def note(self, deletes: Mapping[str, Entry], gone: Mapping[str, Row]) -> None:
        """The follower is to lose files.

        Args:
            deletes: they, as the follower has them, by path.
            gone: what the index knew of the files of the directory that was looked at.
        """
        directories: dict[str, dict[str, Row]] = {}
        for path, entry in deletes.items():
            row = gone.get(path)
            if row is None:
                directory = parent_of(path)
                if directory not in directories:
                    directories[directory] = self._index.rows(self._name, directory)
                row = directories[directory].get(basename(path))
            if row is not None and row.digest == entry.digest:
                self._known[path] = _identity(row.stat)

    def lost(
        self,
        deletes: Mapping[str, Entry],
        steps: Iterable[Step],
        places: Places,
        check: Callable[[], object],
    ) -> tuple[str, ...]:
        """The paths whose content does not come under another one.

        Args:
            deletes: of the update, as for :meth:`note`.
            steps: of the update.
            places: of the leader's folders.
            check: called for each file that may be one of them; may raise to cancel.
        """
        self._known = {path: self._known[path] for path in deletes if path in self._known}
        shapes = {identity[:2] for identity in self._known.values()}
        found: set[Identity | None] = set()
        targets: set[str] = set()
        for step in steps:
            if isinstance(step, Operation):
                if step.action is Action.LINK:
                    targets.add(step.target)
            elif (step.entry.size_bytes, step.entry.mtime_ns) in shapes:
                check()
                found.add(self._identity_of(step, places))
        found.discard(None)

        def is_moved(path: str, entry: Entry) -> bool:
            if entry.kind is Kind.SYMLINK:
                return entry.target in targets
            return self._known.get(path) in found

        return tuple(path for path, entry in deletes.items() if not is_moved(path, entry))

    def _identity_of(self, step: Candidate, places: Places) -> Identity | None:
        """Of a file that is about to be sent; ``None``: it cannot be read."""
        try:
            fd = open_file(places, self._folder, step.entry.path)
        except (OSError, ReplicationError):
            return None
        try:
            return _identity(stat_key(os.fstat(fd)))
        finally:
            os.close(fd)


def _identity(stat: Stat) -> Identity:
    return stat[0], stat[1], stat[_INODE]
