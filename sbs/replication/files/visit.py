"""One directory of a folder: what stands in it, and what of that could not be read."""

from __future__ import annotations

import os
import stat

import attrs

from sbs.core.manifest import Entry, Kind
from sbs.replication.files.attributes import AttributeReader, digest_of_attributes, mode_of
from sbs.replication.files.index import Row, stat_key
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem, Problems


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
        names: that were looked at; ``None``: everything in it.
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
    names: frozenset[str] | None = None
    entries: dict[str, Entry] = attrs.field(factory=dict[str, Entry])
    unreadable: set[str] = attrs.field(factory=set[str])
    unsettled: dict[str, Row] = attrs.field(factory=dict[str, Row])
    inodes: dict[str, tuple[int, int]] = attrs.field(factory=dict[str, tuple[int, int]])
    problems: tuple[Problem, ...] = ()
    below: tuple[str, ...] = ()
    gone: dict[str, Row] = attrs.field(factory=dict[str, Row])
    fingerprint: bytes = b""
    alike: Alike | None = None


@attrs.frozen
class Named:
    """An entry that was looked up by its name; like :class:`os.DirEntry`."""

    name: str
    status: os.stat_result

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Its status; a link is never followed."""
        assert not follow_symlinks  # noqa: S101 - nobody asks otherwise
        return self.status

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """Whether it is a directory; a link is none."""
        assert not follow_symlinks  # noqa: S101 - nobody asks otherwise
        return stat.S_ISDIR(self.status.st_mode)


class Visit:
    """One directory being read.

    Args:
        places: where the folders lie.
        folder: which of them.
        name: of the folder, for people.
        reader: of owner and extended attributes, where they are replicated.

    Attributes:
        rows: what the index knows of the directory's files; in the end of those that are gone.
        entries: found so far, by path.
    """

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

    def part(
        self, directory: str, fingerprint: bytes = b"", names: frozenset[str] | None = None
    ) -> Part:
        """What was found in a directory.

        Args:
            directory: its path.
            fingerprint: of it, see :class:`Part`.
            names: likewise.
        """
        return Part(
            directory=directory,
            names=names,
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

    def enter(self, entry: os.DirEntry[str] | Named, path: str) -> None:
        """Look at one entry."""
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

    def _enter(self, entry: os.DirEntry[str] | Named, path: str) -> None:
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
