"""What generations overwrote and deleted, kept for a set time, and what they did (B21).

Just before a roll-forward replaces or deletes a file or a link it keeps it, by a hard link, in
``.sbs.staging/versions/<epoch>-<number>-<digest>/`` of the folder, under the number of the
operation. No name there is anybody else's choice, so none can be too long, hostile or taken; the
directory of a generation is its alone. The list beside them says what each number was: JSON lines,
one for each change, and a summary as the last. It appears, by rename, when all is done.

A roll-forward that is taken again after a crash finds what it kept, and keeps nothing twice: what
stands there by then may be the new file.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence
from json.encoder import encode_basestring_ascii
from typing import Final

import attrs

from sbs.core.history import Generation
from sbs.core.manifest import Action, Operation
from sbs.replication.journal import CommitRecord, write_all
from sbs.replication.keeping import link_entry
from sbs.replication.past import LIST_NAME, VERSIONS
from sbs.replication.places import Places
from sbs.replication.pruning import Pruner
from sbs.replication.reading import digest_of
from sbs.replication.remains import Remains
from sbs.replication.staging import VERSIONS_NAME, create, open_staging

_LIST_WRITTEN: Final = "list.new"

_FLUSH_BYTES: Final = 256 * 1024
"""Of the list, collected before they are written."""

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@attrs.frozen(kw_only=True)
class Former:
    """What a change replaced or deleted.

    Args:
        name: it is kept under, in its generation's directory.
        status: of what is kept.
    """

    name: str
    status: os.stat_result

    @property
    def size_bytes(self) -> int:
        """Of its content."""
        return self.status.st_size

    @property
    def text(self) -> str:
        """What the list says of it, in JSON."""
        status = self.status
        kind = "link" if stat.S_ISLNK(status.st_mode) else "file"
        return (
            f'{{"kept": "{self.name}", "kind": "{kind}", "size_bytes": {status.st_size},'
            f' "mtime_ns": {status.st_mtime_ns}}}'
        )


class Versions:
    """The versions of one node.

    Args:
        keep_s: how long they are kept; 0: none is.
        keep_bytes: how much of them in each folder; 0: whatever their size.
        clock: tells the time, seconds since 1970.
    """

    def __init__(
        self, keep_s: float = 0.0, keep_bytes: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self._keep_s = keep_s
        self._clock = clock
        self.pruner: Pruner = Pruner(keep_s, keep_bytes, clock)
        """Removes what is too old or too much."""

    def keeper(
        self,
        places: Places,
        record: CommitRecord,
        check: Callable[[], object],
        remains: Remains | None,
    ) -> Keeper:
        """Keeps what a roll-forward replaces.

        Args:
            places: of the record's folders.
            record: what is applied.
            check: called for each MiB that is read or copied; may raise to cancel.
            remains: of an earlier attempt; ``None``: there was none.
        """
        generation = record.history.entries[-1]
        folders = range(len(record.folders)) if self._keep_s > 0 else ()
        self.pruner.spare = name_of(generation)
        return Keeper(places, folders, generation, self._clock(), check, remains, self.pruner)

    def applied(self) -> None:
        """The generation of the last keeper stands in the folders."""
        self.pruner.spare = ""


class Keeper:
    """Keeps what one roll-forward replaces; see :meth:`Versions.keeper`."""

    def __init__(
        self,
        places: Places,
        folders: Sequence[int],
        generation: Generation,
        at: float,
        check: Callable[[], object],
        remains: Remains | None,
        pruner: Pruner,
    ) -> None:
        self._places = places
        self._folders = folders
        self._generation = generation
        self._at = at
        self._check = check
        self._remains = remains
        self._again = remains is not None
        self._pruner = pruner
        self._lists: dict[int, ChangeList] = {}

    def open(self, folders: Iterable[int]) -> None:
        """Make the generation's directory in these folders, if versions are kept.

        Raises:
            OSError: it cannot be made.
        """
        name = name_of(self._generation)
        for folder in folders:
            if folder in self._folders:
                with self._pruner.adding(self._places, folder, name):
                    changes = self._lists[folder] = ChangeList(self._places, folder, name)
                self._again = self._again or not changes.is_new

    def keep(self, number: int, operation: Operation, parent: int, name: str) -> None:
        """Keep what an operation is about to replace or delete.

        Args:
            number: of the operation within its generation.
            operation: PUT, LINK or DELETE.
            parent: the directory it acts in.
            name: what it acts on.

        Raises:
            OSError: it cannot be kept.
        """
        changes = self._lists.get(operation.folder)
        if changes is None or number in changes.kept:
            return
        if not (self._again and self._is_done(operation, parent, name)):
            changes.keep(number, (parent, name), self._check)

    def note(self, number: int, operation: Operation) -> None:
        """Write down an operation that was carried out.

        Raises:
            OSError: it cannot be written.
        """
        changes = self._lists.get(operation.folder)
        if changes is not None:
            changes.add(_line(operation, changes.former(number)), operation.action.name.lower())

    def finish(self) -> None:
        """All is done: complete the lists.

        Raises:
            OSError: one cannot be written.
        """
        for changes in self._lists.values():
            changes.finish(self._generation, self._at)

    def close(self) -> None:
        """Close all files."""
        for changes in self._lists.values():
            changes.close()

    def _is_done(self, operation: Operation, parent: int, name: str) -> bool:
        """Whether what stands there was put there by the operation, before a crash."""
        match operation.action:
            case Action.PUT:
                return _holds(parent, name, operation, self._remains, self._check)
            case Action.LINK:
                with contextlib.suppress(OSError):
                    return os.readlink(name, dir_fd=parent) == operation.target
                return False
            case _:
                return False


class ChangeList:
    """The directory of one generation in one folder, while it is written.

    Args:
        places: of the folders.
        folder: which one.
        name: of the directory.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, places: Places, folder: int, name: str) -> None:
        _make(VERSIONS_NAME, open_staging(places, folder))
        self.kept: set[int] = set()
        """Numbers of the changes whose former version is kept."""
        self.is_new: bool = _make(name, places.directory(folder, VERSIONS))
        """Nothing was written here before."""
        self._fd = os.dup(places.directory(folder, f"{VERSIONS}/{name}"))
        try:
            if not self.is_new:
                self.kept.update(int(each) for each in os.listdir(self._fd) if each.isdecimal())
            self._list_fd = create(_LIST_WRITTEN, self._fd)
        except OSError:
            os.close(self._fd)
            raise
        self._new: dict[int, Former] = {}
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._counts: dict[str, int] = {}
        self._formers = 0
        self._size_bytes = 0

    def keep(self, number: int, place: tuple[int, str], check: Callable[[], object]) -> None:
        """Keep what stands at a place; see :func:`~sbs.replication.keeping.link_entry`."""
        status = link_entry(place, self._fd, self._fd, str(number), check)
        if status is not None:
            self.kept.add(number)
            self._new[number] = Former(name=str(number), status=status)

    def former(self, number: int) -> Former | None:
        """What was kept under a number, by this attempt or an earlier one; counts it."""
        if number not in self.kept:
            return None
        former = self._new.pop(number, None)
        if former is None:
            name = str(number)
            status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            former = Former(name=name, status=status)
        self._formers += 1
        self._size_bytes += former.size_bytes
        return former

    def add(self, line: bytes, action: str) -> None:
        """Add the line of a change."""
        self._counts[action] = self._counts.get(action, 0) + 1
        self._lines.append(line)
        self._waiting_bytes += len(line)
        if self._waiting_bytes >= _FLUSH_BYTES:
            self._flush()

    def finish(self, generation: Generation, at: float) -> None:
        """Write the summary, and let the list appear."""
        summary = {
            "generation": generation.number,
            "epoch": str(generation.epoch),
            "at": at,
            "changes": self._counts,
            "kept": self._formers,
            "kept_bytes": self._size_bytes,
        }
        self._lines.append(json.dumps(summary).encode() + b"\n")
        self._flush()
        os.rename(_LIST_WRITTEN, LIST_NAME, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def close(self) -> None:
        """Close the files."""
        os.close(self._list_fd)
        os.close(self._fd)

    def _flush(self) -> None:
        write_all(self._list_fd, b"".join(self._lines))
        self._lines.clear()
        self._waiting_bytes = 0


def _make(name: str, directory: int) -> bool:
    """Make a directory; whether it was not there. What else bears its name has no business here."""
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return False
        os.unlink(name, dir_fd=directory)
        os.mkdir(name, 0o700, dir_fd=directory)
    return True


def name_of(generation: Generation) -> str:
    """The directory of a generation; the digest tells apart two that bear one number."""
    return f"{generation.epoch}-{generation.number}-{generation.digest.hex()[:8]}"


def _line(operation: Operation, former: Former | None) -> bytes:
    """The line of a change; there may be a million, and nothing but the path has to be escaped."""
    line = (
        f'{{"path": {encode_basestring_ascii(operation.path)},'
        f' "action": "{operation.action.name.lower()}"'
    )
    if operation.action is Action.PUT:
        line += f', "size_bytes": {operation.size_bytes}, "digest": "{operation.digest.hex()}"'
    if former is not None:
        line += f', "former": {former.text}'
    return f"{line}}}\n".encode()


def restore_line(path: str, former: Former | None) -> bytes:
    """The line of what was put back by hand; see :mod:`sbs.replication.restoring`."""
    line = f'{{"path": {encode_basestring_ascii(path)}, "action": "restore"'
    if former is not None:
        line += f', "former": {former.text}'
    return f"{line}}}\n".encode()


def _holds(
    parent: int,
    name: str,
    operation: Operation,
    remains: Remains | None,
    check: Callable[[], object],
) -> bool:
    """Whether a file has the content that an operation puts, or what a power cut left of it."""
    try:
        fd = os.open(name, _READ, dir_fd=parent)
    except OSError:
        return False  # nothing there, a link, or not to be read: then it is kept once more
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return False
        whole = status.st_size == operation.size_bytes
        if whole and digest_of(fd, status.st_size, check) == operation.digest:
            return True
        return remains is not None and remains.is_of(fd, operation.folder, operation.path)
    finally:
        os.close(fd)
