"""Owner, extended attributes, mode and time: what a file gets beside its content.

A file is set-id only for the owner that it is meant for: the owner comes first, and where it is not
replicated, or cannot be set, set-id is left off. Everything is done to an open file, or to what an
``O_PATH`` descriptor refers to, so that no link that somebody puts in the way is followed
(adversarial case 2). What this account or the file system does not allow becomes one note for each
folder; the content stands.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Final, TypeAlias

from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.replication.files.attributes import NONE_HERE, SET_ID, Accounts, xattr_names
from sbs.replication.files.places import handle_path
from sbs.replication.files.problems import Problem

MAX_TEXTS: Final = 20
"""Different refusals that are counted; there are few causes, but names of accounts are many."""

_REFUSED: Final = NONE_HERE | {
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    errno.ENODATA,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.ERANGE,
    errno.E2BIG,
}
"""What trying again would not cure. ENOSPC is what ext4 says of more than fits beside an inode."""


Refusals: TypeAlias = dict[tuple[int, str], tuple[str, int]]
"""By folder and what could not be done, the first path and how many."""

_HANDLE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


_NO_MODES: Final = NONE_HERE | {errno.EPERM, errno.EINVAL}
"""What file systems without (all of the) modes say, and what somebody else's file does."""


class Dresser:
    """Dresses the entries of one generation.

    Args:
        folders: their settings.
    """

    def __init__(self, folders: Sequence[FolderSpec]) -> None:
        self._folders = folders
        self._accounts = Accounts()
        self.refusals: Refusals = {}

    def dress(
        self,
        file: int,
        operation: Operation,
        *,
        is_open: bool = True,
        atime_ns: int | None = None,
    ) -> None:
        """Give a file or directory everything that an operation says.

        Args:
            file: a descriptor of it.
            operation: PUT, TOUCH or MKDIR.
            is_open: it is more than an ``O_PATH`` descriptor.
            atime_ns: when it was last read; left out: the time stamp that is set.

        Raises:
            OSError: mode or time cannot be set, for want of room, say.
        """
        way: int | str = file if is_open else handle_path(file)
        mode = operation.mode
        if not self._folders[operation.folder].owner and operation.action is not Action.MKDIR:
            mode &= ~SET_ID
        if operation.attributes is not None:
            if not self._own(file, operation):
                mode &= ~SET_ID
            self._label(way, operation)
        try:
            os.chmod(way, mode)
        except OSError as error:
            if error.errno not in _NO_MODES:
                raise
            self._refuse(operation, "the mode cannot be set", error)
        stamp = operation.mtime_ns
        if stamp is not None:
            os.utime(way, ns=(stamp if atime_ns is None else atime_ns, stamp))

    def own_link(self, directory: int, name: str, operation: Operation) -> None:
        """Give a symbolic link its owner.

        Args:
            directory: a descriptor of the one that it lies in.
            name: of the link.
            operation: LINK.

        Raises:
            FileExistsError: it is no link any more.
            OSError: it is gone.
        """
        if operation.attributes is None:
            return
        handle = os.open(name, _HANDLE, dir_fd=directory)
        try:
            if not stat.S_ISLNK(os.fstat(handle).st_mode):
                raise FileExistsError(errno.EEXIST, "it is no longer a link")
            self._own(handle, operation)
        finally:
            os.close(handle)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """One for each folder in which something was refused."""
        return tuple(
            Problem.of(spec.name, "", "; ".join(self._texts(number)), note=True)
            for number, spec in enumerate(self._folders)
            if any(folder == number for folder, _ in self.refusals)
        )

    def _texts(self, number: int) -> list[str]:
        return [
            f"{what}: {first}" + (f" and {count - 1} more" if count > 1 else "")
            for (folder, what), (first, count) in self.refusals.items()
            if folder == number
        ]

    def _own(self, file: int, operation: Operation) -> bool:
        """Whether a file has its owner now; ``True`` where that is left out."""
        owner = None if operation.attributes is None else operation.attributes.owner
        if owner is None or not self._folders[operation.folder].owner:
            return True
        for missing in self._accounts.missing(owner):
            self._note(operation, f"{missing} is not known here, the number is used")
        wanted = self._accounts.ids(owner)
        status = os.fstat(file)
        if (status.st_uid, status.st_gid) == wanted:
            return True
        if status.st_mode & SET_ID and not stat.S_ISLNK(status.st_mode):
            os.chmod(handle_path(file), stat.S_IMODE(status.st_mode) & ~SET_ID)
        try:
            os.chown(handle_path(file), *wanted)
        except OSError as error:
            self._refuse(operation, "the owner cannot be set", error)
            return False
        return True

    def _label(self, way: str | int, operation: Operation) -> None:
        wanted = None if operation.attributes is None else operation.attributes.xattrs
        if wanted is None or not self._folders[operation.folder].xattr:
            return
        kept = {name for name, _ in wanted}
        try:
            for name in xattr_names(way, follow=True):
                if name not in kept:
                    os.removexattr(way, name)
        except OSError as error:
            self._refuse(operation, "extended attributes cannot be removed", error)
        for name, value in wanted:
            try:
                os.setxattr(way, name, value)
            except OSError as error:
                space = "" if error.errno in NONE_HERE else f" {name.partition('.')[0]}.*"
                self._refuse(operation, f"extended attributes{space} cannot be set", error)

    def _refuse(self, operation: Operation, what: str, error: OSError) -> None:
        if error.errno not in _REFUSED:
            raise error
        self._note(operation, f"{what} ({error.strerror})")

    def _note(self, operation: Operation, what: str) -> None:
        key = operation.folder, what
        first, count = self.refusals.get(key, (operation.path, 0))
        if len(self.refusals) < MAX_TEXTS or key in self.refusals:
            self.refusals[key] = first, count + 1
