"""What stands in a folder, directory by directory, and what could not be read."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Final, TypeAlias

import attrs
from blake3 import blake3

from sbs.core.filters import Filter, directories_above, parent_of
from sbs.core.manifest import STAGING_NAME, Entry, Kind
from sbs.errors import ReplicationError
from sbs.replication.files.attributes import AttributeReader, digest_of_attributes, mode_of
from sbs.replication.files.index import Index, Row, stat_key
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem, Problems

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


@attrs.frozen
class Alike:
    """A directory of which the follower has all that the leader has.

    Args:
        fingerprint: of the leader's, as :class:`Part` has it.
        content: whether there is a file or a link in it.
    """

    fingerprint: bytes
    content: bool


@attrs.frozen(kw_only=True)
class Part:
    """What was found in one directory.

    Args:
        directory: its path; ``""`` for the folder's root.
        entries: what is included of it by path, in the order of names.
        unreadable: paths at and below which nothing is known; the directory itself, perhaps.
        unsettled: files whose digest is known from a reading that came too soon after a change.
        inodes: device and inode of the files that have another name somewhere.
        problems: a line for each of ``unreadable``.
        below: the directories in it.
        gone: what the index knew of files that are no longer there, by path.
        fingerprint: tells any change in the directory, excluded entries included; empty where
            none can be told, or where something was left out or has another name.
        alike: it looks as it did when the follower had all of it, and was not looked at further.
    """

    directory: str
    entries: dict[str, Entry] = attrs.field(factory=dict[str, Entry])
    unreadable: set[str] = attrs.field(factory=set[str])
    unsettled: dict[str, Row] = attrs.field(factory=dict[str, Row])
    inodes: dict[str, tuple[int, int]] = attrs.field(factory=dict[str, tuple[int, int]])
    problems: tuple[Problem, ...] = ()
    below: tuple[str, ...] = ()
    gone: dict[str, Row] = attrs.field(factory=dict[str, Row])
    fingerprint: bytes = b""
    alike: Alike | None = None


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

    def some(self, directories: Iterable[str], known: Callable[[str], bool]) -> Iterator[Part]:
        """These directories, without what is below them, but for what is not known.

        Of one that is gone, the nearest directory above it that is there.

        Args:
            directories: paths.
            known: whether the directory with this path is known to the caller.

        Raises:
            ReplicationError: the folder's root is missing or cannot be read.
            StateError: the index cannot be read.
        """
        visited: set[str] = set()
        pending = sorted(_with_unknown(directories, known), reverse=True)
        while pending:
            directory = pending.pop()
            if directory in visited or not self._is_included(directory):
                continue
            visited.add(directory)
            try:
                part = self._visit(directory)
            except OSError as error:
                if not directory:
                    raise self._lost(error) from error
                if error.errno in _GONE:
                    pending.append(parent_of(directory))
                    continue
                part = self._closed(directory, error)
            yield part
            pending += [path for path in reversed(part.below) if not known(path)]

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
        visit = _Visit(self._places, self._folder, self._name, self._reader)
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


class _Visit:
    """One directory being read; ``rows`` in the end are those of files that are gone."""

    def __init__(
        self, places: Places, folder: int, name: str, reader: AttributeReader | None
    ) -> None:
        self._places = places
        self._folder = folder
        self._reader = reader
        self.rows: dict[str, Row] = {}
        self.entries: dict[str, Entry] = {}
        self._unreadable: set[str] = set()
        self._unsettled: dict[str, Row] = {}
        self._inodes: dict[str, tuple[int, int]] = {}
        self._problems = Problems(name)

    def part(self, directory: str, fingerprint: bytes) -> Part:
        return Part(
            directory=directory,
            entries=self.entries,
            unreadable=self._unreadable,
            unsettled=self._unsettled,
            problems=self._problems.collected,
            inodes=self._inodes,
            below=tuple(
                path for path, entry in self.entries.items() if entry.kind is Kind.DIRECTORY
            ),
            gone={
                f"{directory}/{name}" if directory else name: row for name, row in self.rows.items()
            },
            fingerprint=b"" if self._problems.collected or self._inodes else fingerprint,
        )

    def enter(self, entry: os.DirEntry[str], path: str) -> None:
        try:
            self._enter(entry, path)
        except FileNotFoundError:
            return  # gone since the directory was listed
        except OSError as error:
            self._leave_out(path, f"cannot be read: {error.strerror}")
        except ValueError as error:  # longer than a path may be
            self._leave_out(path, str(error))

    def clash(self, path: str, chosen: str) -> None:
        """Leave out what would replace another entry on the secondary."""
        self.entries.pop(path)
        self._inodes.pop(path, None)
        self._unsettled.pop(path, None)
        self._leave_out(
            path,
            "the secondary's file system takes its name for that of"
            f" {chosen[chosen.rfind('/') + 1 :]!r}, which is replicated; rename one of them",
        )

    def _leave_out(self, path: str, text: str) -> None:
        self._unreadable.add(path)
        self._problems.add(path, text)

    def _enter(self, entry: os.DirEntry[str], path: str) -> None:
        status = entry.stat(follow_symlinks=False)
        mode = mode_of(status, owner=self._reader is not None and self._reader.owner)
        attributes = self._attributes(entry.name, path, status)
        if stat.S_ISDIR(status.st_mode) is not entry.is_dir(follow_symlinks=False):
            self._leave_out(path, "was replaced while its folder was read")
            return
        match stat.S_IFMT(status.st_mode):
            case stat.S_IFREG:
                self.entries[path] = Entry(
                    path=path,
                    kind=Kind.FILE,
                    mode=mode,
                    size_bytes=status.st_size,
                    mtime_ns=status.st_mtime_ns,
                    digest=self._digest(entry.name, path, status),
                    attributes=attributes,
                )
                if status.st_nlink > 1:
                    self._inodes[path] = status.st_dev, status.st_ino
            case stat.S_IFDIR:
                self.entries[path] = Entry(
                    path=path, kind=Kind.DIRECTORY, mode=mode, attributes=attributes
                )
            case stat.S_IFLNK:
                parent = self._places.parent(self._folder, path)[0]
                target = os.readlink(entry.name, dir_fd=parent)
                self.entries[path] = Entry(
                    path=path, kind=Kind.SYMLINK, target=target, attributes=attributes
                )
            case _:
                self._leave_out(path, "is a device, pipe or socket; only files are replicated")

    def _attributes(self, name: str, path: str, status: os.stat_result) -> bytes | None:
        if self._reader is None:
            return None
        parent = self._places.parent(self._folder, path)[0]
        attributes, left_out = self._reader.named(parent, name, status)
        if left_out:
            self._problems.add(path, left_out, note=True)
        return digest_of_attributes(attributes)

    def _digest(self, name: str, path: str, status: os.stat_result) -> bytes | None:
        row = self.rows.pop(name, None)
        if row is None or row.stat != stat_key(status):
            return None
        if row.settled:
            return row.digest
        self._unsettled[path] = row
        return None


def _with_unknown(directories: Iterable[str], known: Callable[[str], bool]) -> set[str]:
    """The directories, and those above them that have to be made first."""
    found: set[str] = set()
    for path in directories:
        directory = path
        while directory not in found:
            found.add(directory)
            if known(directory):
                break
            directory = parent_of(directory)
    return found
