"""Files of a committed generation, put in their places (B20).

They appear whole, by rename from the folder's staging directory. Each may be put again after a
crash, with the same outcome.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from sbs.core.manifest import STAGING_NAME, Operation
from sbs.errors import ReplicationError
from sbs.replication.files.copying import copy_content
from sbs.replication.files.index import Row, stat_key
from sbs.replication.files.opening import READ
from sbs.replication.files.places import Places
from sbs.replication.files.reading import digest_of, settled_status
from sbs.replication.former.keeping import BESIDE
from sbs.replication.receiving.area import create, stream_name
from sbs.replication.receiving.dressing import Dresser
from sbs.replication.receiving.folding import Spellings
from sbs.replication.receiving.journal import Journal, write_all
from sbs.replication.receiving.overlay import Overlay, alone, digest_of_both, fill, lay, opened
from sbs.replication.receiving.record import CommitRecord
from sbs.replication.receiving.trees import name_of

Keep: TypeAlias = Callable[[Operation, int, str], object]
"""Called with operation, directory and name, before what stands there is replaced (B21)."""

_TEMPORARY: Final = "put"

_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Parents:
    """The directories that the operations of one generation act in.

    Args:
        places: of the generation's folders.
        record: the generation.

    Attributes:
        number: of the operation that is carried out.
    """

    def __init__(self, places: Places, record: CommitRecord) -> None:
        self.number: int = 0
        self._places = places
        self._spellings = Spellings.of(places, record)

    def of(self, operation: Operation) -> tuple[int, str]:
        """The directory that an operation acts in, which is made, and the name there.

        Raises:
            OSError: it cannot be made, or what stands there cannot be given that name.
        """
        if operation.folder in self._spellings:
            self._spellings[operation.folder].settle(operation.path, self.number)
        return self._places.parent(operation.folder, operation.path, make=True)


class Putter:
    """Puts the files of one generation, in the order of its operations.

    Args:
        places: of the generation's folders.
        journal: holds the small contents.
        record: the generation.
        check: called for each MiB; may raise to cancel.
        parents: of the operations.
        dresser: gives a file what it has beside its content.
        again: a part of it may have been put before.
    """

    def __init__(
        self,
        places: Places,
        journal: Journal,
        record: CommitRecord,
        check: Callable[[], object],
        parents: Parents,
        dresser: Dresser,
        *,
        again: bool,
    ) -> None:
        self._places = places
        self._journal = journal
        self._position = record.contents_at
        self._record = record
        self._again = again
        self._check = check
        self._parents = parents
        self._dresser = dresser
        self._mounts: dict[int, int] = {}

    @property
    def mounts(self) -> Collection[int]:
        """Descriptors on file systems that are mounted inside a folder, and were written to."""
        return self._mounts.values()

    def remember_mount(self, fd: int) -> None:
        """Something was written to the file system of this directory."""
        device = os.fstat(fd).st_dev
        if device not in self._mounts:
            self._mounts[device] = os.dup(fd)

    def close(self) -> None:
        """Close all descriptors."""
        for fd in self._mounts.values():
            os.close(fd)
        self._mounts.clear()

    def put(self, operation: Operation, keep: Keep) -> Row:
        """Put one file.

        Args:
            operation: PUT.
            keep: called before anything is replaced.

        Returns:
            what is known of it, read at 0 if it was written only now.

        Raises:
            ReplicationError: the journal lacks its content.
            OSError: it cannot be put.
        """
        if operation.stream is not None:
            overlay, temporary = self._record.overlay(operation), stream_name(operation.stream)
            if overlay is not None:
                return self._lay(operation, temporary, overlay, keep)
            return _written(self._move(operation, STAGING_NAME, temporary, keep), operation)
        position = self._position
        self._position += operation.size_bytes
        content = self._journal.read(position, operation.size_bytes)
        if len(content) != operation.size_bytes:
            raise ReplicationError(f"the journal lacks the content of {operation.path!r}")
        return _written(self._put_content(operation, content, keep), operation)

    def _put_content(self, operation: Operation, content: bytes, keep: Keep) -> os.stat_result:
        staging = self._staging(operation.folder)
        fd = create(_TEMPORARY, staging)
        try:
            write_all(fd, content)
            self._dresser.dress(fd, operation)
            return self._place(fd, (staging, _TEMPORARY), operation, keep)
        finally:
            os.close(fd)

    def _place(
        self, file: int, staged: tuple[int, str], operation: Operation, keep: Keep
    ) -> os.stat_result:
        """Move a staged file, given by a descriptor, its directory and its name there."""
        staging, temporary = staged
        parent, name = self._parents.of(operation)
        keep(operation, parent, name)
        try:
            os.rename(temporary, name, src_dir_fd=staging, dst_dir_fd=parent)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return self._copy(staging, temporary, operation)
        return os.fstat(file)

    def _lay(self, operation: Operation, temporary: str, overlay: Overlay, keep: Keep) -> Row:
        """Change a large file in its place; what is replaced in it was kept before."""
        try:
            stream = os.open(temporary, _WRITE, dir_fd=self._staging(operation.folder))
        except FileNotFoundError:
            return _written(self._in_place(operation), operation)
        try:
            parent, name = self._parents.of(operation)
            with opened(parent, name) as fd:
                before = settled_status(fd)
                if self._again:  # it may be half changed; what it is to be tells whether it is it
                    self._expect(digest_of_both(stream, fd, overlay, self._check), operation)
                with alone(fd) as is_alone:
                    status = os.fstat(fd)
                    if self._again:
                        suits = status.st_nlink == 1 and stat_key(status) == stat_key(before)
                    else:
                        suits = overlay.suits(status)
                    if is_alone and suits:
                        lay(stream, fd, overlay, self._check)
                        self.remember_mount(parent)
                        self._dresser.dress(fd, operation)
                        # Else the file would be read anew before the next change of it.
                        return Row.certain(stat_key(settled_status(fd)), operation.digest)
                fill(fd, stream, overlay, self._check)
                digest = digest_of(stream, operation.size_bytes, self._check)
                self._expect(digest, operation)
                os.fdatasync(stream)  # the file that it replaces is no version by itself
        finally:
            os.close(stream)
        return _written(self._move(operation, STAGING_NAME, temporary, keep), operation)

    def _expect(self, digest: bytes, operation: Operation) -> None:
        if digest != operation.digest:
            raise _replaced()

    def move(self, operation: Operation, place: str, keep: Keep) -> Row:
        """Put one file that was built in staging, by itself.

        Args:
            operation: PUT.
            place: the directory in the folder that it was built in.
            keep: called before anything is replaced.

        Returns:
            as :meth:`put`.

        Raises:
            OSError: it cannot be put.
        """
        return _written(self._move(operation, place, name_of(operation), keep), operation)

    def stand(self, operation: Operation) -> Row:
        """Look at a file that was put together with the directory that it lies in.

        Raises:
            OSError: it is not there any more.
        """
        parent, name = self._parents.of(operation)
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_size != operation.size_bytes:
            raise _replaced()
        return _written(status, operation)

    def _move(self, operation: Operation, place: str, temporary: str, keep: Keep) -> os.stat_result:
        try:
            staging = self._places.directory(operation.folder, place)
            handle = os.open(temporary, _HANDLE, dir_fd=staging)
        except FileNotFoundError:
            return self._in_place(operation)
        try:
            self._dresser.dress(handle, operation, is_open=False)
            return self._place(handle, (staging, temporary), operation, keep)
        finally:
            os.close(handle)

    def _in_place(self, operation: Operation) -> os.stat_result:
        """A file that was moved already, before a crash."""
        parent, name = self._parents.of(operation)
        fd = os.open(name, READ, dir_fd=parent)
        try:
            status = os.fstat(fd)
            if (
                not stat.S_ISREG(status.st_mode)
                or status.st_size != operation.size_bytes
                or digest_of(fd, status.st_size, self._check) != operation.digest
            ):
                raise _replaced()
            return status
        finally:
            os.close(fd)

    def _copy(self, staging: int, temporary: str, operation: Operation) -> os.stat_result:
        """Put a file where another file system is mounted inside the folder."""
        parent, name = self._parents.of(operation)
        self.remember_mount(parent)
        source = os.open(temporary, READ, dir_fd=staging)  # it stays until all is durable
        try:
            fd = create(BESIDE, parent)
            try:
                copy_content(source, fd, operation.size_bytes, self._check)
                self._dresser.dress(fd, operation)
                os.rename(BESIDE, name, src_dir_fd=parent, dst_dir_fd=parent)
                return os.fstat(fd)
            except OSError:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(BESIDE, dir_fd=parent)
                raise
            finally:
                os.close(fd)
        finally:
            os.close(source)

    def _staging(self, folder: int) -> int:
        return self._places.directory(folder, STAGING_NAME)


def _written(status: os.stat_result, operation: Operation) -> Row:
    return Row(stat_key(status), operation.digest, 0)


def _replaced() -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, "its content is gone; somebody replaced it")
