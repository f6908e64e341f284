"""Roll-forward: make a folder what a committed generation says (B20).

Every step may be taken again after a crash, with the same outcome. Files appear whole, by
rename from the folder's staging directory. What somebody else put in the way becomes a
problem for the administrator; an I/O error raises, and the roll-forward is tried again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import attrs

from sbs.core.filters import basename, directories_above, parent_of
from sbs.core.guard import Basis
from sbs.core.manifest import STAGING_NAME, Action, Operation
from sbs.errors import ReplicationError
from sbs.replication.common import Common
from sbs.replication.files.index import Index, Row, Stat, stat_key
from sbs.replication.files.places import IN_THE_WAY, Places, sync_file_system
from sbs.replication.files.problems import Problem, Problems
from sbs.replication.following.putting import Parents, Putter
from sbs.replication.former.keeping import BESIDE, copy_file, place_link
from sbs.replication.former.versions import Keeper
from sbs.replication.receiving.area import open_staging, remove_staging
from sbs.replication.receiving.building import NOTHING, Built
from sbs.replication.receiving.dressing import Dresser
from sbs.replication.receiving.journal import Journal
from sbs.replication.receiving.record import CommitRecord
from sbs.replication.receiving.trees import Root, Trees

_HANDLE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen(kw_only=True)
class Applied:
    """What a roll-forward did.

    Args:
        files: put in place.
        size_bytes: of their contents.
        problems: what could not be done.
    """

    files: int = 0
    size_bytes: int = 0
    problems: tuple[Problem, ...] = ()


class RollForward:
    """Applies one record.

    Args:
        places: of the record's folders.
        record: what to apply.
        journal: holds the record's contents.
        index: learns the digests of what was put.
        common: learns what both nodes hold now.
        bases: on what basis, as far as known, by folder.
        keeper: keeps what is replaced or deleted (B21).
        check: called for each operation and each MiB; may raise to cancel.
    """

    def __init__(
        self,
        places: Places,
        record: CommitRecord,
        journal: Journal,
        index: Index,
        common: Common,
        bases: Mapping[str, Basis],
        keeper: Keeper,
        check: Callable[[], object],
    ) -> None:
        self._places = places
        self._record = record
        self._index = index
        self._common = common
        self._bases = bases
        self._keeper = keeper
        self._check = check
        self._dresser = Dresser(record.folders)
        self._parents = Parents(places, record)
        self._putter = Putter(
            places, journal, record, check, self._parents, self._dresser, again=keeper.again
        )
        self._looks: Iterator[Stat] = iter(())
        self._trees = Trees(record.trees, record.unbuilt)
        self._planted: set[tuple[int, str]] = set()
        """Folders and names of the trees that were put in their places as a whole."""
        self._directories: dict[tuple[int, str], Operation] = {}
        """Dressed when all is in them."""
        self._made: set[tuple[int, str]] = set()
        """Directories that were not there: nothing was in them."""
        self._rows: list[list[tuple[str, str, Row]]] = [[] for _ in record.folders]
        self._held: dict[tuple[str, str], bytes | None] = {}
        self._successors = _successors(record.operations)
        self._problems = Problems()
        self._files = 0
        self._size_bytes = 0

    def run(self, done: Callable[[int, int], object], built: Built = NOTHING) -> Applied:
        """Apply everything, durably.

        Args:
            done: called after each operation with 1 and the size of its content.
            built: what was built in staging; not known after a crash.

        Raises:
            ReplicationError: a place is missing, or an I/O error; it can be tried again.
            StateError: the index cannot be written.
        """
        self._looks = iter(built.looks)
        self._dresser.refusals.update(built.refusals)
        folders = sorted({operation.folder for operation in self._record.operations})
        at, path = folders, ""
        try:
            self._open(folders)
            self._keep_blocks()
            for number, operation in enumerate(self._record.operations):
                self._parents.number = number
                self._check()
                at, path = [operation.folder], operation.path
                self._guarded(operation)
                done(1, operation.size_bytes if operation.digest else 0)
            closing = self._places.opened.keys() | self._directories.keys()
            for folder, path in sorted(closing, reverse=True):
                at = [folder]
                self._close_directory(folder, path)
            at, path = folders, ""
            self._keeper.finish()
            self._finish(folders)
        except OSError as error:
            below = f"/{path}" if path else ""
            where = " or ".join(repr(self._record.places[each] + below) for each in at)
            raise ReplicationError(
                f"cannot apply {where}: {error.strerror}; it will be tried again"
            ) from error
        finally:
            self._keeper.close()
            self._putter.close()
        return Applied(
            files=self._files,
            size_bytes=self._size_bytes,
            problems=self._problems.collected + self._dresser.notes,
        )

    def _open(self, folders: list[int]) -> None:
        for folder in folders:
            open_staging(self._places, folder)
        self._keeper.open(folders)

    def _keep_blocks(self) -> None:
        """Before any file is changed in its place: what is replaced there is kept, durably.

        And nothing is known of such a file any more: after a power cut it may be half changed, and
        bear the time of before.
        """
        known: dict[int, list[tuple[str, str]]] = {}
        for number, operation, overlay in self._record.overlaid:
            try:
                parent, name = self._places.parent(operation.folder, operation.path)
                self._keeper.keep_blocks(number, operation, (parent, name), overlay)
            except OSError as error:
                if error.errno not in IN_THE_WAY:
                    raise
                continue  # whoever changes the file meets it, too
            known.setdefault(operation.folder, []).append((parent_of(operation.path), name))
        for folder, names in known.items():
            self._index.drop(self._record.folders[folder].name, names)
            sync_file_system(self._staging(folder))
        if known:
            self._index.sync()

    def _finish(self, folders: list[int]) -> None:
        devices: set[int] = set()
        for fd in (*(self._places.directory(folder) for folder in folders), *self._putter.mounts):
            device = os.fstat(fd).st_dev
            if device not in devices:
                devices.add(device)
                sync_file_system(fd)
        # Not before: it holds what was laid over files.
        for folder in range(len(self._record.places)):
            with contextlib.suppress(FileNotFoundError):  # nothing is to be done in this one
                remove_staging(self._places, folder)
        # Written as read now: by then the stamps of all but the last files are out of their tick.
        now = time.time_ns()
        for spec, rows in zip(self._record.folders, self._rows, strict=True):
            read = (
                (place, name, row if row.read_at_ns else Row(row.stat, row.digest, now))
                for place, name, row in rows
            )
            self._index.store(spec.name, read)
        self._common.store(self._record.history.entries[-1], self._held, self._bases)

    def _guarded(self, operation: Operation) -> None:
        place = self._trees.place(self._parents.number, operation)
        try:
            match operation.action:
                case Action.PUT:
                    self._put(operation, place)
                case Action.MKDIR:
                    self._mkdir(operation)
                case Action.LINK:
                    self._link(operation, place)
                case Action.TOUCH:
                    self._touch(operation)
                case Action.DELETE:
                    self._delete(operation)
        except OSError as error:
            self._problem(operation.folder, operation.path, error)
            return
        self._keeper.note(self._parents.number, operation)
        if operation.action is not Action.TOUCH:
            at = self._record.folders[operation.folder].name, operation.path
            self._held[at] = operation.digest or None

    def _problem(self, folder: int, path: str, error: OSError) -> None:
        if error.errno not in IN_THE_WAY:
            raise error
        name = self._record.folders[folder].name
        self._problems.add(path, f"something is in the way here: {error.strerror}", name)

    def _put(self, operation: Operation, place: str | None) -> None:
        if place is None:
            row = self._putter.put(operation, self._keep)
        else:
            row = self._put_built(operation, place, next(self._looks, None))
        self._files += 1
        self._size_bytes += operation.size_bytes
        path = operation.path
        self._rows[operation.folder].append((parent_of(path), basename(path), row))

    def _put_built(self, operation: Operation, place: str, look: Stat | None) -> Row:
        if not self._is_planted(operation, place):
            return self._putter.move(operation, place, self._keep)
        return self._putter.stand(operation) if look is None else Row(look, operation.digest, 0)

    def _mkdir(self, operation: Operation) -> None:
        root = self._trees.root(operation)
        if root is not None:
            self._plant(root, operation)
        parent, name = self._parents.of(operation)
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
            self._made.add((operation.folder, operation.path))
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise  # a file that filters protect, say
        self._directories[operation.folder, operation.path] = operation

    def _plant(self, root: Root, operation: Operation) -> None:
        """Put a new directory in its place with all that is in it.

        Else, or if a crash came after it, what is in it is put one by one.
        """
        self._places.forget(operation.folder, operation.path)
        parent, name = self._parents.of(operation)
        try:
            os.rename(
                root.name, name, src_dir_fd=self._staging(operation.folder), dst_dir_fd=parent
            )
        except OSError as error:
            if error.errno not in IN_THE_WAY and error.errno != errno.EXDEV:
                raise
        else:
            self._planted.add((root.folder, root.name))

    def _is_planted(self, operation: Operation, place: str) -> bool:
        return (operation.folder, place.split("/")[1]) in self._planted

    def _close_directory(self, folder: int, path: str) -> None:
        """Dress one that is in the generation; of one that was only opened, set the mode again."""
        operation = self._directories.get((folder, path))
        try:
            directory = self._places.directory(folder, path)
            if operation is None:
                os.fchmod(directory, self._places.opened[folder, path])
            else:
                self._dresser.dress(directory, operation)
        except OSError as error:
            gone = error.errno in (errno.ENOENT, errno.ENOTDIR)
            if not gone or operation is not None:  # one that was opened may be deleted
                self._problem(folder, path, error)

    def _link(self, operation: Operation, place: str | None) -> None:
        if place is not None and self._is_planted(operation, place):
            return
        parent, name = self._parents.of(operation)
        self._keep(operation, parent, name)
        try:
            place_link(operation.target, self._staging(operation.folder), parent, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._putter.remember_mount(parent)
            place_link(operation.target, parent, parent, name)
        self._dresser.own_link(parent, name, operation)

    def _touch(self, operation: Operation) -> None:
        parent, name = self._parents.of(operation)
        handle = os.open(name, _HANDLE, dir_fd=parent)
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode):
                raise FileExistsError(errno.EEXIST, "it is no longer a file")
            if before.st_nlink > 1:  # its other names are other files to the leader
                self._copy_in_place(handle, operation.folder, parent, name)
                other, handle = handle, os.open(name, _HANDLE, dir_fd=parent)
                os.close(other)
            self._dresser.dress(handle, operation, is_open=False, atime_ns=before.st_atime_ns)
            after = os.fstat(handle)
        finally:
            os.close(handle)
        place = parent_of(operation.path)
        row = self._index.row(self._record.folders[operation.folder].name, place, name)
        if row is not None and row.stat == stat_key(before):
            read_at_ns = 0 if row.settled else 1  # as little as before is known of its content
            touched = attrs.evolve(row, stat=stat_key(after), read_at_ns=read_at_ns)
            self._rows[operation.folder].append((place, name, touched))

    def _copy_in_place(self, handle: int, folder: int, parent: int, name: str) -> None:
        try:
            copy_file(handle, self._staging(folder), parent, name, self._check)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._putter.remember_mount(parent)
            copy_file(handle, parent, parent, name, self._check, temporary=BESIDE)

    def _keep(self, operation: Operation, parent: int, name: str) -> None:
        if (operation.folder, parent_of(operation.path)) not in self._made:
            self._keeper.keep(self._parents.number, operation, parent, name)

    def _delete(self, operation: Operation) -> None:
        """Remove what stands there, but never what this generation put there before a crash."""
        folder, path = operation.folder, operation.path
        try:
            parent, name = self._places.parent(folder, path)
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return  # done before a crash, or by somebody else
        except NotADirectoryError:
            if any((folder, above) in self._successors for above in directories_above([path])):
                return  # the directory that it stood in has given way already
            raise
        is_directory = stat.S_ISDIR(status.st_mode)
        successor = self._successors.get((folder, path))
        if successor is not None and (successor is Action.MKDIR) is is_directory:
            return  # it may be the successor itself; if not, a rename replaces it
        if is_directory:
            self._places.forget(folder, path)
            parent, name = self._places.parent(folder, path)
            os.rmdir(name, dir_fd=parent)
        else:
            self._keep(operation, parent, name)
            os.unlink(name, dir_fd=parent)

    def _staging(self, folder: int) -> int:
        return self._places.directory(folder, STAGING_NAME)


def _successors(operations: Sequence[Operation]) -> dict[tuple[int, str], Action]:
    """What is made where something else is deleted before: a file for a directory, say."""
    deleted: set[tuple[int, str]] = set()
    made: dict[tuple[int, str], Action] = {}
    for operation in operations:
        key = operation.folder, operation.path
        if operation.action is Action.DELETE:
            deleted.add(key)
        elif key in deleted:
            made[key] = operation.action
    return made
