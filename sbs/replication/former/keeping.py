"""Keeping what stands somewhere under another name, too: by a hard link, else by a copy."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from sbs.core.manifest import STAGING_NAME
from sbs.replication.files.attributes import copy_xattrs
from sbs.replication.files.copying import copy_content
from sbs.replication.files.places import handle_path
from sbs.replication.receiving.area import create

_TEMPORARY: Final = "kept"
"""Name of a copy under way, in the staging directory."""

BESIDE: Final = f"{STAGING_NAME}.put"
"""Temporary name in a directory on another file system than its folder's root."""

_NO_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
"""Another file system, one without links, a file of somebody else's (``protected_hardlinks``), or
one that has too many: a copy does as well."""

HANDLE: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def link_file(
    handle: int, staging: int, parent: int, name: str, check: Callable[[], object]
) -> None:
    """Keep a regular file, durably where it is copied.

    Args:
        handle: an ``O_PATH`` descriptor of it.
        staging: directory for a copy under way, on the file system of ``parent``.
        parent: directory to keep it in.
        name: to keep it under, which must be free.
        check: called for each MiB of a copy; may raise to cancel.

    Raises:
        OSError: it cannot be kept.
    """
    try:
        os.link(handle_path(handle), name, dst_dir_fd=parent, follow_symlinks=True)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        copy_file(handle, staging, parent, name, check)


def link_entry(
    place: tuple[int, str], staging: int, parent: int, name: str, check: Callable[[], object]
) -> os.stat_result | None:
    """Keep a file or a symbolic link, whatever stands there now; a link is kept as a link.

    Args:
        place: directory and name of what is kept.
        staging: as for :func:`link_file`.
        parent: likewise.
        name: likewise.
        check: likewise.

    Returns:
        what is kept; ``None`` if there is neither a file nor a link.

    Raises:
        OSError: it cannot be kept.
    """
    directory, entry = place
    try:
        os.link(entry, name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        handle = os.open(entry, HANDLE, dir_fd=directory)
        try:
            mode = os.fstat(handle).st_mode
            if stat.S_ISREG(mode):
                copy_file(handle, staging, parent, name, check)
            elif stat.S_ISLNK(mode):
                os.symlink(os.readlink("", dir_fd=handle), name, dir_fd=parent)
            else:
                return None
        finally:
            os.close(handle)
    return os.stat(name, dir_fd=parent, follow_symlinks=False)


def copy_file(
    handle: int,
    staging: int,
    parent: int,
    name: str,
    check: Callable[[], object],
    *,
    temporary: str = _TEMPORARY,
) -> None:
    """Put a copy of a file somewhere, durable and whole or not at all, with its mode and times.

    Owner and extended attributes are kept as well where this account may do that. What stands at
    ``name`` is replaced.

    Args:
        handle: as for :func:`link_file`.
        staging: likewise.
        parent: likewise.
        name: likewise.
        check: likewise.
        temporary: its name in ``staging`` while it is written.

    Raises:
        OSError: it cannot be copied.
    """
    source = os.open(handle_path(handle), os.O_RDONLY | os.O_CLOEXEC)
    try:
        status = os.fstat(source)
        fd = create(temporary, staging)
        try:
            copy_content(source, fd, status.st_size, check)
            dress(fd, status)
            copy_xattrs(source, fd)
            os.fsync(fd)
            os.rename(temporary, name, src_dir_fd=staging, dst_dir_fd=parent)
        except BaseException:
            os.unlink(temporary, dir_fd=staging)
            raise
        finally:
            os.close(fd)
    finally:
        os.close(source)


def dress(fd: int, status: os.stat_result) -> None:
    """Give a file the owner, as far as that is permitted, mode and times of another."""
    own = os.fstat(fd)
    mode = stat.S_IMODE(status.st_mode)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.fchown(fd, status.st_uid, status.st_gid)
        except PermissionError:
            mode &= ~(stat.S_ISUID | stat.S_ISGID)  # meant for another owner
    os.fchmod(fd, mode)
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def place_link(target: str, beside: int, parent: int, name: str) -> None:
    """Put a symbolic link in place of whatever stands there, but a directory.

    Args:
        target: of the link.
        beside: directory for a moment, on the file system of ``parent``.
        parent: directory of the link.
        name: of the link.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(BESIDE, dir_fd=beside)
    os.symlink(target, BESIDE, dir_fd=beside)
    try:
        os.rename(BESIDE, name, src_dir_fd=beside, dst_dir_fd=parent)
    except OSError:
        os.unlink(BESIDE, dir_fd=beside)
        raise
