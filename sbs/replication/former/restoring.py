"""Getting a former version back (B21): to its place, or to another file."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Final

import attrs

from sbs.core.history import Generation
from sbs.core.manifest import STAGING_NAME, check_path
from sbs.errors import NotKeptError, RefusedError, ReplicationError
from sbs.replication.files.copying import copy_content
from sbs.replication.files.opening import READ
from sbs.replication.files.places import Places, handle_path, sync_file_system
from sbs.replication.files.reading import digest_of
from sbs.replication.former import past
from sbs.replication.former.change_list import ChangeList, restore_line
from sbs.replication.former.keeping import BESIDE, HANDLE, copy_file, dress, place_link
from sbs.replication.former.past import VERSIONS, Change, Mark
from sbs.replication.former.rebuilding import digest_before, rebuild

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen(kw_only=True)
class Found:
    """Where the content of a path is, as it was after a generation.

    Args:
        path: of the file, within the folder.
        kept: where the content is, within the folder: ``path`` itself if it is as it was.
        change: what replaced or deleted it; ``None`` if it is as it was.
        edited: the generation had put other content there, which was replaced by hand, and is not
            kept; what is kept is what that made of it.
        chain: this change and those after it, where only blocks are kept; see
            :func:`sbs.replication.former.rebuilding.rebuild`.
    """

    path: str
    kept: str
    change: Change | None = None
    edited: bool = False
    chain: tuple[Change, ...] = ()


def find(places: Places, folder: int, path: str, generation: int, newest: int) -> Found:
    """Find what a path was after a generation.

    Args:
        places: of the folders.
        folder: which one.
        path: of a file or link, within the folder.
        generation: number of the generation.
        newest: number of the last one that this node holds.

    Raises:
        NotKeptError: that is not known, or it is not kept; the text says what is.
        ValueError: the path cannot name a file in a folder.
    """
    check_path(path)
    if generation > newest:
        raise NotKeptError(
            f"generation {generation} does not exist here; allowed are numbers up to {newest}"
        )
    marks = past.marks(places, folder)
    if not marks:
        raise NotKeptError(
            f"no versions are kept in {places.roots[folder]!r}: nothing was replaced here within"
            " sync.keep_versions_s; what this node replaced on the other one is kept there: see sbs"
            " history there"
        )
    # Two lines of history may have used one number; what was replaced last is what counts.
    last = max((mark for mark in marks if mark.after < generation), default=None)
    changes = [each for each in past.changes_of(places, folder, path) if each.action != "touch"]
    earlier = [each for each in changes if last is not None and each.mark <= last]
    later = [each for each in changes if last is None or each.mark > last]
    if not later:
        return _standing(places, folder, path, generation, earlier)
    # Where a file takes a directory's place both are listed; but a file may have stood there.
    first = (each for each in later if each.mark == later[0].mark)
    change = next((each for each in first if each.kept), later[0])
    if change.mark.after != generation and not _continuous(marks, change.mark, generation):
        _check_content(places, folder, generation, change, earlier)
    if not change.kept:
        raise NotKeptError(
            f"{path!r} was no file and no link after generation {generation}: {change.mark} made"
            " it, or deleted a directory of that name; sbs history lists what there was"
        )
    edited = _is_edited(places, folder, change, earlier)
    chain = _chain(change, later)
    return Found(path=path, kept=change.kept, change=change, edited=edited, chain=chain)


def _chain(change: Change, later: list[Change]) -> tuple[Change, ...]:
    """What it takes to put a version together of which only blocks are kept."""
    if change.kind != "blocks":
        return ()
    following = later[later.index(change) :]
    end = next((at for at, each in enumerate(following, 1) if each.kind != "blocks"), None)
    return tuple(following[:end])


def _is_edited(places: Places, folder: int, change: Change, earlier: list[Change]) -> bool:
    """Whether what a change replaced is not what the same leader had put there before."""
    before = earlier[-1] if earlier else None
    if before is None or not before.digest or before.mark.epoch != change.mark.epoch:
        return False
    return change.kind == "link" or _former_digest(places, folder, change) != before.digest


def _continuous(marks: list[Mark], until: Mark, generation: int) -> bool:
    """Whether all that was done to the folder from a generation to a mark is in the lists.

    One epoch has one leader: while it led, nothing but its generations changed this folder.
    """
    return not until.restored and any(
        mark.epoch == until.epoch and not mark.restored and mark.number <= generation + 1
        for mark in marks
    )


def _check_content(
    places: Places, folder: int, generation: int, change: Change, earlier: list[Change]
) -> None:
    """Raise unless what a change replaced is what an earlier one had put there."""
    digest = earlier[-1].digest if earlier else b""
    if change.kept and digest and _former_digest(places, folder, change) == digest:
        return
    raise NotKeptError(
        f"what {change.path!r} was after generation {generation} is not known here: this node led"
        f" before {change.mark}, or the lists up to then are no longer kept; --generation"
        f" {change.mark.after} is what that replaced, and the other node may know more"
    )


def _standing(
    places: Places, folder: int, path: str, generation: int, earlier: list[Change]
) -> Found:
    """The path was not replaced since: it is what stands there, if that is as it was put."""
    digest = earlier[-1].digest if earlier else b""
    if digest and _digest(places, folder, path) == digest:
        return Found(path=path, kept=path)
    raise NotKeptError(
        f"no version of {path!r} after generation {generation} is kept here; sbs history {path!r}"
        " lists those that are. What the primary itself overwrites is kept on the secondary"
    )


def _former_digest(places: Places, folder: int, change: Change) -> bytes:
    read = digest_before if change.kind == "blocks" else _digest
    return read(places, folder, change.kept)


def _digest(places: Places, folder: int, path: str) -> bytes:
    try:
        parent, name = places.parent(folder, path)
        fd = os.open(name, READ, dir_fd=parent)
    except OSError:
        return b""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return b""
        return digest_of(fd, status.st_size, _proceed)
    finally:
        os.close(fd)


def put_back(places: Places, folder: int, found: Found, tip: Generation) -> None:
    """Put a version in its place, durably; what stands there is kept as a version first.

    Args:
        places: of the folders.
        folder: which one.
        found: the version.
        tip: the last generation that this node holds.

    Raises:
        RefusedError: a directory stands there.
        NotKeptError: what was kept is gone, or is not what was kept.
        ReplicationError: it cannot be done; the text names the path and the cause.
    """
    if found.change is None:
        return
    try:
        handle = _open(places, folder, found)
        try:
            parent, name = places.parent(folder, found.path, make=True)
            if _is_directory(parent, name):
                raise RefusedError(
                    f"{found.path!r} is a directory now: nothing is put in its place; move it away"
                    " first, or use --output FILE"
                )
            _keep_standing(places, folder, found.path, tip)
            _put(places, folder, found.path, handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise ReplicationError(f"{found.path!r} cannot be restored: {error.strerror}") from error


def write_out(places: Places, folder: int, found: Found, output: str) -> None:
    """Write a version to a new file.

    Args:
        places: of the folders.
        folder: which one.
        found: the version.
        output: path of the file.

    Raises:
        NotKeptError: what was kept is gone, or is not what was kept.
        RefusedError: it exists already.
        ReplicationError: it cannot be written.
    """
    try:
        handle = _open(places, folder, found)
    except OSError as error:
        raise ReplicationError(f"{found.path!r} cannot be read: {error.strerror}") from error
    try:
        _copy_out(handle, output)
    except FileExistsError as error:
        raise RefusedError(f"{output!r} exists; allowed is the name of a new file") from error
    except OSError as error:
        raise ReplicationError(f"{output!r} cannot be written: {error.strerror}") from error
    finally:
        os.close(handle)


def _copy_out(handle: int, output: str) -> None:
    status = os.fstat(handle)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink("", dir_fd=handle), output)
        return
    fd = os.open(output, _NEW, 0o600)
    try:
        source = os.open(handle_path(handle), os.O_RDONLY | os.O_CLOEXEC)
        try:
            copy_content(source, fd, status.st_size, _proceed)
        finally:
            os.close(source)
        dress(fd, status)
        os.fsync(fd)
    except BaseException:
        os.unlink(output)
        raise
    finally:
        os.close(fd)


def _open(places: Places, folder: int, found: Found) -> int:
    """A handle of what is kept.

    Raises:
        NotKeptError: it is gone, or not what was kept.
        OSError: it cannot be opened.
    """
    if found.chain:
        return rebuild(places, folder, found.chain)
    try:
        parent, name = places.parent(folder, found.kept)
        handle = os.open(name, HANDLE, dir_fd=parent)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotKeptError(
            f"{found.kept!r}, the version of {found.path!r}, was removed; sbs history lists others"
        ) from error
    change, status = found.change, os.fstat(handle)
    kind = "link" if stat.S_ISLNK(status.st_mode) else "file"
    if kind == "file" and not stat.S_ISREG(status.st_mode):
        kind = "device"
    if change is not None and (kind, status.st_size, status.st_mtime_ns) != (
        change.kind,
        change.size_bytes,
        change.mtime_ns,
    ):
        os.close(handle)
        raise NotKeptError(
            f"{found.kept!r}, the version of {found.path!r}, was changed since it was kept (it may"
            " have had another name in the folder), or is no file; sbs history lists others"
        )
    return handle


def _is_directory(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _keep_standing(places: Places, folder: int, path: str, tip: Generation) -> None:
    """Keep what is about to be replaced, durably, as a change of its own."""
    restored = 1 + max(
        (
            mark.restored
            for mark in past.marks(places, folder)
            if (mark.epoch, mark.number) == (tip.epoch, tip.number)
        ),
        default=0,
    )
    changes = ChangeList(places, folder, f"{tip.epoch}-{tip.number}-restore-{restored}")
    try:
        changes.keep(0, places.parent(folder, path), _proceed)
        changes.add(restore_line(path, changes.former(0)), "restore")
        changes.finish(tip, time.time())
        sync_file_system(places.directory(folder, VERSIONS))
    finally:
        changes.close()


def _put(places: Places, folder: int, path: str, handle: int) -> None:
    staging = places.directory(folder, STAGING_NAME)
    parent, name = places.parent(folder, path)
    try:
        _copy_in(handle, staging, parent, name)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another file system is mounted inside the folder
            raise
        _copy_in(handle, parent, parent, name)
    sync_file_system(parent)


def _copy_in(handle: int, beside: int, parent: int, name: str) -> None:
    if stat.S_ISLNK(os.fstat(handle).st_mode):
        place_link(os.readlink("", dir_fd=handle), beside, parent, name)
    else:
        copy_file(handle, beside, parent, name, _proceed, temporary=BESIDE)


def _proceed() -> None:
    """What is restored is not cancelled half-way."""
