"""Room for an update on the file systems of its folders; former versions give way to it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from typing import Final

from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.errors import ReplicationError
from sbs.replication.places import Places
from sbs.replication.pruning import Pruner

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def make_room(
    error: ReplicationError, places: Places, folders: Sequence[FolderSpec], pruner: Pruner
) -> None:
    """Versions are never why an update cannot be taken: a full disk gets the oldest back.

    Args:
        error: why it could not be taken; nothing is done if that is something else.
        places: of the folders.
        folders: their settings.
        pruner: removes versions.
    """
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _FULL:
        for number, spec in enumerate(folders):
            pruner.make_room(places, number, spec.name)


def check_space(
    places: Places, folders: Sequence[FolderSpec], operations: Iterable[Operation], pruner: Pruner
) -> None:
    """Whether the contents that lie in the journal fit into the folders.

    Args:
        places: of the folders.
        folders: their settings.
        operations: of the generation.
        pruner: removes versions where there is no room.

    Raises:
        ReplicationError: they do not.
    """
    needed: dict[int, int] = {}
    for operation in operations:
        if operation.action is Action.PUT and operation.stream is None:
            needed[operation.folder] = needed.get(operation.folder, 0) + operation.size_bytes
    for folder, size_bytes in needed.items():
        if size_bytes > _free_bytes(places, folder):
            pruner.make_room(places, folder, folders[folder].name, size_bytes)
        if size_bytes > (free_bytes := _free_bytes(places, folder)):
            raise ReplicationError(
                f"{places.roots[folder]!r}: the update needs {size_bytes} bytes,"
                f" {free_bytes} are free"
            )


def _free_bytes(places: Places, folder: int) -> int:
    status = os.fstatvfs(places.directory(folder))
    return status.f_bavail * status.f_frsize
