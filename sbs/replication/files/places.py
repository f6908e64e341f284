"""Directories below the roots of folders, opened so that no symbolic link leads outside.

A path is walked component by component with ``O_NOFOLLOW`` from a descriptor of the root, so a
link swapped into a parent is refused whenever it is swapped (docs: adversarial cases 1 to 3).
The root itself is the administrator's choice and may be reached through links.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Sequence
from types import TracebackType
from typing import Final

from sbs.core.filters import basename, parent_of
from sbs.errors import ReplicationError

MAX_OPEN: Final = 128
"""Directories held open: well below the customary 1024 descriptors of a process."""

DIRECTORY_MODE: Final = 0o755
"""Of roots and parents that must be made; those that are replicated get their own mode."""

READ_ACCESS: Final = 0o500
"""What looking at a directory takes; nothing may change before a generation is committed."""

IN_THE_WAY: Final = frozenset(
    {
        errno.ELOOP,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOTEMPTY,
        errno.EEXIST,
        errno.EBUSY,
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.EINVAL,
        errno.EILSEQ,
        errno.ENOENT,
        errno.ENOSYS,
        errno.EOPNOTSUPP,
    }
)
"""What trying again would not cure: a link, a directory or a mount where there should be none,
entries in a directory to remove, a name, a mode or a link that the file system does not take."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_BELOW: Final = _DIRECTORY | os.O_NOFOLLOW


class Places:
    """The local places of a session's folders.

    Args:
        roots: the path of each folder.
        unlock: mode bits that directories on the way are given where this account needs them (on
            the secondary, which sets their modes again when a generation is applied).
    """

    def __init__(self, roots: Sequence[str], *, unlock: int = 0) -> None:
        if sys.getfilesystemencoding() != "utf-8":
            raise ReplicationError(
                f"file names are {sys.getfilesystemencoding()} here; run SBS in a UTF-8 locale"
            )
        self.roots: tuple[str, ...] = tuple(roots)
        self._unlock = unlock
        self.opened: dict[tuple[int, str], int] = {}
        """Modes that directories had before they were given any, by folder and path."""
        self._open: OrderedDict[tuple[int, str], int] = OrderedDict()
        self._last: tuple[int, str] | None = None
        self._last_fd = -1

    def directory(self, folder: int, path: str = "", *, make: bool = False) -> int:
        """A descriptor of a directory, the caller's until its next two calls.

        Args:
            folder: which one, from 0.
            path: below its root; ``""`` for the root.
            make: create what is missing of ``path`` (never the root).

        Raises:
            OSError: it cannot be opened; ``ELOOP`` or ``ENOTDIR`` where a link stands in the way.
        """
        key = (folder, path)
        if key == self._last:
            return self._last_fd
        fd = self._open.get(key, -1)
        if fd < 0:
            fd = self._enter(folder, path, make)
            self._open[key] = fd
            if len(self._open) > MAX_OPEN:
                self._close(next(iter(self._open)))
        self._open.move_to_end(key)
        self._last, self._last_fd = key, fd
        return fd

    def root(self, folder: int) -> str:
        """What tells a folder's root from any other directory, mounted or not (B22).

        A directory made where one was removed may get its number again; a mounted file system, and
        one that stands beside the first for a moment, do not.

        Raises:
            OSError: it cannot be opened.
        """
        fd = self.directory(folder)
        return f"{os.fstatvfs(fd).f_fsid:x}:{os.fstat(fd).st_ino:x}"

    def parent(self, folder: int, path: str, *, make: bool = False) -> tuple[int, str]:
        """A descriptor of the directory that ``path`` lies in, and the name it has there."""
        slash = path.rfind("/")
        if slash < 0:
            return self.directory(folder), path
        return self.directory(folder, path[:slash], make=make), path[slash + 1 :]

    def forget(self, folder: int, path: str) -> None:
        """Close what is open at ``path`` and below, before it is removed or replaced."""
        below = path + "/"
        for key in [k for k in self._open if k[0] == folder and (k[1] + "/").startswith(below)]:
            self._close(key)

    def close(self) -> None:
        """Close all descriptors; the object can be used again."""
        for key in list(self._open):
            self._close(key)

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _close(self, key: tuple[int, str]) -> None:
        if key == self._last:
            self._last = None
        os.close(self._open.pop(key))

    def _enter(self, folder: int, path: str, make: bool) -> int:
        if not path:
            return os.open(self.roots[folder], _DIRECTORY)
        # From the nearest directory that is open already; deep paths need no deep recursion.
        names: list[str] = []
        above = path
        while above and (folder, above) not in self._open:
            names.append(basename(above))
            above = parent_of(above)
        fd = os.dup(self.directory(folder, above))
        while names:
            name = names.pop()
            above = f"{above}/{name}" if above else name
            try:
                below = self._step(fd, name, make, (folder, above))
            finally:
                os.close(fd)
            fd = below
        return fd

    def _step(self, fd: int, name: str, make: bool, key: tuple[int, str]) -> int:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, DIRECTORY_MODE, dir_fd=fd)
        try:
            below = os.open(name, _BELOW, dir_fd=fd)
        except PermissionError:
            if not self._unlock:
                raise
            self.opened.setdefault(key, _grant(fd, name, self._unlock))
            below = os.open(name, _BELOW, dir_fd=fd)
        if self._unlock:
            mode = stat.S_IMODE(os.fstat(below).st_mode)
            # root needs nothing; the bits of the owner are those of access(2), six places up
            if mode & self._unlock != self._unlock and not os.access(
                ".", self._unlock >> 6, dir_fd=below, effective_ids=True
            ):
                self.opened.setdefault(key, mode)
                os.fchmod(below, mode | self._unlock)
        return below


def _grant(fd: int, name: str, access: int) -> int:
    """Give the owner access to a directory that cannot be opened otherwise; returns its mode."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.chmod(handle_path(handle), mode | access)
        return mode
    finally:
        os.close(handle)


def handle_path(fd: int) -> str:
    """A path that names what an ``O_PATH`` descriptor refers to, whatever stands there by now."""
    return f"/proc/self/fd/{fd}"


def check_apart(names: Sequence[str], places: Sequence[str], state_dir: str) -> None:
    """Refuse folders of which one could change another, or where another one leads.

    A link that one folder brings must not stand on the way to the next (adversarial cases 3
    and 20).

    Args:
        names: of the folders.
        places: where each of them lies.
        state_dir: the node's own.

    Raises:
        ReplicationError: a name or a place is there twice, a place is relative, or one lies in
            another or in the state directory, or holds it.
    """
    if len(set(names)) < len(names):
        raise ReplicationError("two folders have one name; allowed are names that differ")
    taken = [("the state directory", os.path.realpath(state_dir))]
    for name, place in zip(names, places, strict=True):
        if not os.path.isabs(place):
            raise ReplicationError(f"folder {name!r}: {place!r} is relative; allowed is absolute")
        real = os.path.realpath(place)
        for other, taken_place in taken:
            if os.path.commonpath([real, taken_place]) in (real, taken_place):
                raise ReplicationError(
                    f"folder {name!r} ({real!r}) overlaps {other} ({taken_place!r}); allowed are"
                    " folders and a state directory that lie apart"
                )
        taken.append((f"folder {name!r}", real))


_libc: Final = ctypes.CDLL(None, use_errno=True)


def sync_file_system(fd: int) -> None:
    """Make everything on the file system of ``fd`` durable.

    Raises:
        OSError: data could not be written.
    """
    if not hasattr(_libc, "syncfs"):
        os.sync()
    elif _libc.syncfs(fd) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
