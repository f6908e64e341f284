"""What stands in a folder, directory by directory, and what could not be read."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, TypeAlias

from blake3 import blake3

from sbs.core.filters import Filter, basename, directories_above, parent_of
from sbs.core.manifest import STAGING_NAME
from sbs.errors import ReplicationError
from sbs.replication.changes import Looks
from sbs.replication.files.attributes import AttributeReader
from sbs.replication.files.index import Index
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem
from sbs.replication.files.visit import Alike, Named, Part, Visit

Clashes: TypeAlias = Callable[[str, Collection[str]], Mapping[str, str]]

_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""A directory is no longer there, or something else is."""

_STATE: Final = struct.Struct("=IIQqqQQII")
_state: Final = attrgetter(
    "st_mode",
    "st_nlink",
    "st_size",
    "st_mtime_ns",
    "st_ctime_ns",
    "st_ino",
    "st_dev",
    "st_uid",
    "st_gid",
)
_name: Final[Callable[[os.DirEntry[str]], str]] = attrgetter("name")


def _nothing_known(_directory: str) -> Alike | None:
    return None


class Scanner:
    """Reads the directories of one folder.

    Args:
        places: where the folders lie.
        folder: which of them.
        name: of the folder, as the index knows it.
        rules: excluded directories are not entered.
        index: known digests; rows of files that are gone are dropped from it.
        check: called for each directory and each thousand entries; may raise to cancel.
        alike: how a directory looked when the other node had all that is in it.
        reader: of owner and extended attributes, where they are replicated.
        clashes: tells of a directory and the paths in it which of them are left out, and for which
            other one each; left out: none.
    """

    def __init__(
        self,
        places: Places,
        folder: int,
        name: str,
        rules: Filter,
        index: Index,
        check: Callable[[], object],
        alike: Callable[[str], Alike | None] = _nothing_known,
        reader: AttributeReader | None = None,
        clashes: Clashes | None = None,
    ) -> None:
        self._places = places
        self._folder = folder
        self._name = name
        self._rules = rules
        self._index = index
        self._check = check
        self._alike = alike
        self._reader = reader
        self._clashes = clashes
        self._left_out: set[str] = set()

    def root(self) -> str:
        """Which directory the folder is, see :meth:`~sbs.replication.files.places.Places.root`.

        Raises:
            ReplicationError: it is missing or cannot be read.
        """
        try:
            return self._places.root(self._folder)
        except OSError as error:
            raise self._lost(error) from error

    def all(self) -> Iterator[Part]:
        """Every directory, after the one that it lies in.

        Raises:
            ReplicationError: the folder's root is missing or cannot be read.
            StateError: the index cannot be read.
        """
        visited: set[str] = set()
        pending = [""]
        while pending:
            directory = pending.pop()
            visited.add(directory)
            try:
                part = self._visit(directory)
            except OSError as error:
                if not directory:
                    raise self._lost(error) from error
                part = self._closed(directory, error)
            yield part
            pending += reversed(part.below)
        self._index.keep_directories(self._name, visited)

    def some(self, looks: Looks, known: Callable[[str], bool]) -> Iterator[Part]:
        """These directories, or names in them, without what is below, but for what is not known.

        Of one that is gone, the nearest directory above it that is there.

        Args:
            looks: where to look.
            known: whether the directory with this path is known to the caller.

        Raises:
            ReplicationError: the folder's root is missing or cannot be read.
            StateError: the index cannot be read.
        """
        wanted = self._wanted(looks, known)
        visited: set[str] = set()
        pending = sorted(wanted, reverse=True)
        while pending:
            directory = pending.pop()
            if directory in visited or not self._is_included(directory):
                continue
            visited.add(directory)
            names = wanted.get(directory)
            try:
                part = self._visit(directory) if names is None else self._glance(directory, names)
            except OSError as error:
                if not directory:
                    raise self._lost(error) from error
                if error.errno in _GONE:  # a moment ago: the watcher will tell of it
                    pending.append(parent_of(directory))
                    continue
                part = self._closed(directory, error)
            yield part
            pending += [path for path in reversed(part.below) if not known(path)]

    def _wanted(
        self, looks: Looks, known: Callable[[str], bool]
    ) -> dict[str, frozenset[str] | None]:
        """Where to look, so that directories that are gone, or not known, are seen from above."""
        wanted: dict[str, frozenset[str] | None] = {}
        for path, told in looks.items():
            if not self._is_included(path):
                continue
            directory, names = path, told
            while directory and not self._stands(directory):
                names = frozenset({basename(directory)})
                directory = parent_of(directory)
            while True:
                before = wanted.get(directory, frozenset())
                if names is None or before is None or not known(directory):
                    wanted[directory] = None
                else:
                    wanted[directory] = before | names
                if not directory or known(directory):
                    break
                names = frozenset({basename(directory)})
                directory = parent_of(directory)
        return wanted

    def _stands(self, directory: str) -> bool:
        """Whether there is a directory at a path, if perhaps closed to us."""
        try:
            self._places.directory(self._folder, directory)
        except OSError as error:
            return error.errno not in _GONE
        return True

    def _is_included(self, directory: str) -> bool:
        above = sorted(directories_above([f"{directory}/."])) if directory else []
        return self._left_out.isdisjoint(above) and all(
            self._rules.decide(path, True).included for path in above
        )

    def _lost(self, error: OSError) -> ReplicationError:
        place = self._places.roots[self._folder]
        return ReplicationError(
            f"folder {self._name!r}: {place!r} cannot be read: {error.strerror}"
        )

    def _closed(self, directory: str, error: OSError) -> Part:
        problem = Problem.of(self._name, directory, f"cannot be read: {error.strerror}")
        return Part(directory=directory, unreadable={directory}, problems=(problem,))

    def _visit(self, directory: str) -> Part:
        self._check()
        with os.scandir(self._places.directory(self._folder, directory)) as entries:
            found = sorted(entries, key=_name)
        prefix = directory + "/" if directory else ""
        if not prefix:
            found = [entry for entry in found if entry.name != STAGING_NAME]
        fingerprint = _fingerprint(found, self._check)
        alike = self._alike(directory)
        if alike is not None and alike.fingerprint == fingerprint:
            below = tuple(
                path
                for entry in found
                if entry.is_dir(follow_symlinks=False)
                and self._rules.decide(path := prefix + entry.name, True).included
            )
            return Part(directory=directory, below=below, alike=alike)
        visit = Visit(self._places, self._folder, self._name, self._reader)
        visit.rows = self._index.rows(self._name, directory)
        for count, entry in enumerate(found, 1):
            if count % 1000 == 0:
                self._check()
            path = prefix + entry.name
            if self._rules.decide(path, entry.is_dir(follow_symlinks=False)).included:
                visit.enter(entry, path)
        if visit.rows:
            self._index.drop(self._name, [(directory, name) for name in visit.rows])
        if self._clashes is not None:
            for path, chosen in self._clashes(directory, visit.entries).items():
                visit.clash(path, chosen)
                self._left_out.add(path)
        return visit.part(directory, fingerprint)

    def _glance(self, directory: str, names: frozenset[str]) -> Part:
        """Look at some names in a directory; at all of it where these may mean others, too."""
        self._check()
        parent = self._places.directory(self._folder, directory)
        if _may_fold(parent, names):
            return self._visit(directory)
        visit = Visit(self._places, self._folder, self._name, self._reader)
        prefix = directory + "/" if directory else ""
        for name in sorted(names):
            row = self._index.row(self._name, directory, name)
            if row is not None:
                visit.rows[name] = row
            try:
                entry = Named(name, os.stat(name, dir_fd=parent, follow_symlinks=False))
            except FileNotFoundError:
                continue
            if entry.status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                return self._visit(directory)  # another name of the file may be here
            path = prefix + name
            if self._rules.decide(path, entry.is_dir(follow_symlinks=False)).included:
                visit.enter(entry, path)
        if visit.rows:
            self._index.drop(self._name, [(directory, name) for name in visit.rows])
        return visit.part(directory, names=names)


def _may_fold(parent: int, names: Iterable[str]) -> bool:
    """Whether names by which files were opened may not be those that the directory has.

    The kernel tells a watcher the former. One name with letters is tried in the other case; what
    the file system does to Unicode is not asked, so that such names are taken for others.
    """
    if not all(map(str.isascii, names)):
        return True
    if all(name == name.swapcase() for name in names):
        return False
    with os.scandir(parent) as entries:
        for entry in entries:
            other = entry.name.swapcase()
            if entry.name == other or not entry.name.isascii():
                continue
            try:
                os.stat(other, dir_fd=parent, follow_symlinks=False)
            except OSError:
                return False
            if other not in os.listdir(parent):
                return True
    return True


def _fingerprint(entries: Sequence[os.DirEntry[str]], check: Callable[[], object]) -> bytes:
    """What changes with every change in a directory that ``stat`` shows, or nothing."""
    states: list[bytes] = []
    try:
        for count, entry in enumerate(entries, 1):
            if count % 1000 == 0:
                check()
            states.append(_STATE.pack(*_state(entry.stat(follow_symlinks=False))))
            states.append(entry.name.encode("utf-8", "surrogateescape") + b"/")
    except (OSError, struct.error):  # it is gone by now, or bears a date beyond all dates
        return b""
    return blake3(b"".join(states)).digest()
