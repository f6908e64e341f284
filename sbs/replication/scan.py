"""What stands in a folder: its manifest, and what could not be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

import attrs

from sbs.core.filters import Filter
from sbs.core.manifest import STAGING_NAME, Entry, Kind
from sbs.errors import ReplicationError
from sbs.replication.index import Index, Row, stat_key
from sbs.replication.places import Places
from sbs.replication.problems import Problem, Problems


@attrs.frozen(kw_only=True)
class Scan:
    """What was found in one folder.

    Args:
        root: which directory it is, see :meth:`~sbs.replication.places.Places.root`.
        manifest: included entries by path, a directory before what is below it, the entries of
            one directory together and in the order of their names.
        unreadable: paths at and below which nothing is known.
        unsettled: files whose digest is known from a reading that came too soon after a change.
        problems: a line for each of ``unreadable``.
    """

    root: str
    manifest: dict[str, Entry]
    unreadable: set[str]
    unsettled: dict[str, Row]
    problems: tuple[Problem, ...]


def scan(
    places: Places,
    folder: int,
    name: str,
    rules: Filter,
    index: Index,
    check: Callable[[], object],
) -> Scan:
    """Walk a folder.

    Args:
        places: where the folders lie.
        folder: which of them.
        name: of the folder, as the index knows it.
        rules: excluded directories are not entered.
        index: known digests; rows of files that are gone are dropped from it.
        check: called for each directory and each thousand entries; may raise to cancel.

    Raises:
        ReplicationError: the folder's root is missing or cannot be read.
        StateError: the index cannot be read.
    """
    walk = _Walk(places, folder, name, rules, index, check)
    try:
        root = places.root(folder)
        walk.visit("")
    except OSError as error:
        raise ReplicationError(
            f"folder {name!r}: {places.roots[folder]!r} cannot be read: {error.strerror}"
        ) from error
    while walk.pending:
        path = walk.pending.pop()
        try:
            walk.visit(path)
        except OSError as error:
            walk.leave_out(path, f"cannot be read: {error.strerror}")
    index.keep_directories(name, walk.visited)
    return Scan(
        root=root,
        manifest=walk.manifest,
        unreadable=walk.unreadable,
        unsettled=walk.unsettled,
        problems=walk.problems.collected,
    )


class _Walk:
    def __init__(
        self,
        places: Places,
        folder: int,
        name: str,
        rules: Filter,
        index: Index,
        check: Callable[[], object],
    ) -> None:
        self._places = places
        self._folder = folder
        self._name = name
        self._rules = rules
        self._index = index
        self._check = check
        self.manifest: dict[str, Entry] = {}
        self.unreadable: set[str] = set()
        self.unsettled: dict[str, Row] = {}
        self.problems = Problems(name)
        self.visited: set[str] = set()
        self.pending: list[str] = []

    def leave_out(self, path: str, text: str) -> None:
        self.unreadable.add(path)
        self.problems.add(path, text)

    def visit(self, directory: str) -> None:
        """Enter what stands in one directory; those in it are left pending."""
        self._check()
        self.visited.add(directory)
        with os.scandir(self._places.directory(self._folder, directory)) as entries:
            found = sorted(entries, key=_entry_name)
        rows = self._index.rows(self._name, directory)
        prefix = directory + "/" if directory else ""
        below: list[str] = []
        for count, entry in enumerate(found, 1):
            if count % 1000 == 0:
                self._check()
            if not prefix and entry.name == STAGING_NAME:
                continue
            path = prefix + entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            if not self._rules.decide(path, is_directory).included:
                continue
            try:
                self._enter(entry, path, rows)
            except FileNotFoundError:
                continue  # gone since the directory was listed
            except OSError as error:
                self.leave_out(path, f"cannot be read: {error.strerror}")
                continue
            except ValueError as error:  # longer than a path may be
                self.leave_out(path, str(error))
                continue
            if is_directory and path in self.manifest:
                below.append(path)
        if rows:
            self._index.drop(self._name, [(directory, name) for name in rows])
        self.pending += reversed(below)

    def _enter(self, entry: os.DirEntry[str], path: str, rows: dict[str, Row]) -> None:
        status = entry.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode) is not entry.is_dir(follow_symlinks=False):
            self.leave_out(path, "was replaced while its folder was read")
            return
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFREG:
                row = rows.pop(entry.name, None)
                digest = None
                if row is not None and row.stat == stat_key(status):
                    if row.settled:
                        digest = row.digest
                    else:
                        self.unsettled[path] = row
                self.manifest[path] = Entry(
                    path=path,
                    kind=Kind.FILE,
                    mode=mode,
                    size_bytes=status.st_size,
                    mtime_ns=status.st_mtime_ns,
                    digest=digest,
                )
            case stat.S_IFDIR:
                self.manifest[path] = Entry(path=path, kind=Kind.DIRECTORY, mode=mode)
            case stat.S_IFLNK:
                parent = self._places.parent(self._folder, path)[0]
                target = os.readlink(entry.name, dir_fd=parent)
                self.manifest[path] = Entry(path=path, kind=Kind.SYMLINK, target=target)
            case _:
                self.leave_out(path, "is a device, pipe or socket; only files are replicated")


def _entry_name(entry: os.DirEntry[str]) -> str:
    return entry.name
