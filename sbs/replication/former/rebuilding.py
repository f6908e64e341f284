"""A former version of which only the replaced blocks are kept, put together (B21)."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from typing import IO

from sbs.core.manifest import STAGING_NAME
from sbs.errors import NotKeptError
from sbs.replication.files.attributes import copy_xattrs
from sbs.replication.files.copying import copy_content
from sbs.replication.files.opening import READ
from sbs.replication.files.places import Places, handle_path
from sbs.replication.files.reading import digest_of
from sbs.replication.former import undo
from sbs.replication.former.past import Change
from sbs.replication.former.undo import Undo


def rebuild(places: Places, folder: int, chain: Sequence[Change]) -> int:
    """Put a version together: what came after it, with the blocks that were replaced since.

    Args:
        places: of the folders.
        folder: which one.
        chain: the change that replaced blocks of the version, and all changes of the path after
            it up to one that keeps it whole; if there is none, the file stands in its place.

    Returns:
        a descriptor of a file without a name, with mode and time stamp of the version, its owner
        as far as that is permitted, and extended attributes as what came after it has them.

    Raises:
        NotKeptError: it cannot be had any more; the text says why.
        OSError: something cannot be read, or there is no room.
    """
    wanted, last = chain[0], chain[-1]
    if last.kind not in ("blocks", "file"):
        raise _lost(wanted)
    later = [each for each in chain[1:] if each.kind == "blocks"]
    with tempfile.TemporaryFile(
        dir=handle_path(places.directory(folder, STAGING_NAME)), buffering=0
    ) as file:
        _copy(places, folder, last.kept if last.kind == "file" else wanted.path, file)
        for change in reversed(later):
            _revert(places, folder, change, file.fileno())
        found = _revert(places, folder, wanted, file.fileno())
        if digest_of(file.fileno(), found.size_bytes, _proceed) != found.digest:
            raise _lost(wanted)
        _dress(file.fileno(), found)
        return os.dup(file.fileno())


def digest_before(places: Places, folder: int, kept: str) -> bytes:
    """BLAKE3 of the file whose replaced blocks are kept; empty if they cannot be read."""
    try:
        parent, name = places.parent(folder, kept)
        fd = os.open(name, READ, dir_fd=parent)
    except OSError:
        return b""
    try:
        found = undo.read(fd)
    finally:
        os.close(fd)
    return b"" if found is None else found.digest


def _copy(places: Places, folder: int, path: str, file: IO[bytes]) -> None:
    parent, name = places.parent(folder, path)
    source = os.open(name, READ, dir_fd=parent)
    try:
        copy_content(source, file.fileno(), os.fstat(source).st_size, _proceed)
        copy_xattrs(source, file.fileno())
    finally:
        os.close(source)


def _revert(places: Places, folder: int, change: Change, target: int) -> Undo:
    parent, name = places.parent(folder, change.kept)
    fd = os.open(name, READ, dir_fd=parent)
    try:
        found = undo.read(fd)
        if found is None:
            raise NotKeptError(
                f"{change.kept!r}, a version of {change.path!r}, is damaged; sbs history lists "
                "others"
            )
        undo.revert(fd, found, target)
    finally:
        os.close(fd)
    return found


def _dress(fd: int, found: Undo) -> None:
    mode = found.mode
    try:
        os.fchown(fd, *found.owner)
    except PermissionError:
        mode &= ~(stat.S_ISUID | stat.S_ISGID)  # meant for another owner
    os.fchmod(fd, mode)
    os.utime(fd, ns=(found.mtime_ns, found.mtime_ns))


def _lost(change: Change) -> NotKeptError:
    return NotKeptError(
        f"{change.kept!r}: of this version of {change.path!r} only the blocks are kept that"
        f" {change.mark} replaced, and the file that they belong to is no longer what it was then:"
        " it was changed on this node since, or is being changed; if the latter, try again"
    )


def _proceed() -> None:
    """What is restored is not cancelled half-way."""
