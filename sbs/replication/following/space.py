"""Room for an update on the file systems of its folders; former versions give way to it."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Generator, Sequence
from typing import Final

from sbs.core.manifest import FolderSpec
from sbs.errors import ReplicationError, StateError
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import Places
from sbs.replication.former.pruning import Pruner
from sbs.replication.receiving.record import CommitRecord

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""No room, for whoever asks or for anybody."""


@contextlib.contextmanager
def making_room(places: Places, folders: Sequence[FolderSpec], pruner: Pruner) -> Generator[None]:
    """Versions are never why an update cannot be taken: a full disk gets the oldest back.

    The journal and the index may lie on the file system that versions fill. What failed for want
    of room fails all the same, and is tried again.

    Args:
        places: of the folders.
        folders: their settings.
        pruner: removes versions.
    """
    try:
        yield
    except (ReplicationError, StateError) as error:
        if _is_full(error.__cause__):
            for number, spec in enumerate(folders):
                pruner.make_room(places, number, spec.name)
        raise


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return cause.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(cause, OSError) and cause.errno in FULL


def check_space(places: Places, record: CommitRecord, pruner: Pruner) -> None:
    """Whether the contents that lie in the journal, and versions of blocks, fit into the folders.

    Args:
        places: of the folders.
        record: of the generation.
        pruner: removes versions where there is no room.

    Raises:
        ReplicationError: they do not.
    """
    needed: dict[int, int] = {}
    for operation in record.journaled:
        needed[operation.folder] = needed.get(operation.folder, 0) + operation.size_bytes
    for _, operation, overlay in record.overlaid if pruner.keeps else ():
        kept_bytes = sum(length for _, length in overlay.replaced)
        needed[operation.folder] = needed.get(operation.folder, 0) + kept_bytes
    for folder, size_bytes in needed.items():
        if size_bytes > _free_bytes(places, folder):
            pruner.make_room(places, folder, record.folders[folder].name, size_bytes)
        if size_bytes > (free_bytes := _free_bytes(places, folder)):
            raise ReplicationError(
                f"{places.roots[folder]!r}: the update needs {size_bytes} bytes,"
                f" {free_bytes} are free"
            )


def _free_bytes(places: Places, folder: int) -> int:
    with mapped(places.roots[folder]):
        status = os.fstatvfs(places.directory(folder))
    return status.f_bavail * status.f_frsize
