"""What generations overwrote and deleted, kept for a set time, and what they did (B21).

Just before a roll-forward replaces or deletes a file or a link it keeps it, by a hard link, in
``.sbs.staging/versions/<epoch>-<number>-<digest>/`` of the folder, under the number of the
operation. No name there is anybody else's choice, so none can be too long, hostile or taken; the
directory of a generation is its alone. The list beside them says what each number was: JSON lines,
one for each change, and a summary as the last. It appears, by rename, when all is done.

A roll-forward that is taken again after a crash finds what it kept, and keeps nothing twice: what
stands there by then may be the new file.

Of a large file that is changed in its place only the blocks that are replaced are kept
(:mod:`sbs.replication.former.undo`), as ``<number>.blocks``.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Sequence

from sbs.core.history import Generation
from sbs.core.manifest import Action, Operation
from sbs.replication.files.opening import READ
from sbs.replication.files.places import Places
from sbs.replication.files.reading import digest_of
from sbs.replication.former.change_list import ChangeList, change_line
from sbs.replication.former.pruning import Pruner
from sbs.replication.receiving.overlay import Overlay
from sbs.replication.receiving.record import CommitRecord
from sbs.replication.receiving.remains import Remains


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
        self.again: bool = remains is not None
        """A part of the generation may have been applied before."""
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
                self.again = self.again or not changes.is_new

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
        if not (self.again and self._is_done(operation, parent, name)):
            changes.keep(number, (parent, name), self._check)

    def keep_blocks(
        self, number: int, operation: Operation, place: tuple[int, str], overlay: Overlay
    ) -> None:
        """Keep what an operation is about to replace in a file that stays in its place.

        To be made durable, for all of the generation's, before any of these files is changed. So
        where one was kept before a crash but is not whole, none of the files has been changed.

        Args:
            number: of the operation within its generation.
            operation: PUT.
            place: directory and name of the file.
            overlay: what is to be laid over it.

        Raises:
            OSError: it cannot be kept.
        """
        changes = self._lists.get(operation.folder)
        if changes is not None:
            changes.keep_blocks(number, place, overlay, self._check)

    def note(self, number: int, operation: Operation) -> None:
        """Write down an operation that was carried out.

        Raises:
            OSError: it cannot be written.
        """
        changes = self._lists.get(operation.folder)
        if changes is not None:
            changes.add(
                change_line(operation, changes.former(number)), operation.action.name.lower()
            )

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


def name_of(generation: Generation) -> str:
    """The directory of a generation; the digest tells apart two that bear one number."""
    return f"{generation.epoch}-{generation.number}-{generation.digest.hex()[:8]}"


def _holds(
    parent: int,
    name: str,
    operation: Operation,
    remains: Remains | None,
    check: Callable[[], object],
) -> bool:
    """Whether a file has the content that an operation puts, or what a power cut left of it."""
    try:
        fd = os.open(name, READ, dir_fd=parent)
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
