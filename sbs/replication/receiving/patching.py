"""The follower's own file as the beginning of the one that replaces it (B24)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator

from sbs.core.filters import basename, parent_of
from sbs.core.messages import Patch
from sbs.errors import MismatchError, ReplicationError
from sbs.replication.files.index import Index, stat_key
from sbs.replication.files.places import Places
from sbs.replication.files.reading import content_of, open_file, settled_status, unchanged


@contextlib.contextmanager
def opened_base(
    places: Places, index: Index, name: str, patch: Patch, check: Callable[[], object]
) -> Generator[tuple[int, bytes]]:
    """The file that a patch begins with.

    Args:
        places: where the folders lie.
        index: digests of the node's own files.
        name: of the folder.
        patch: which file, and what its content must be.
        check: called for each MiB that is read; may raise to cancel.

    Returns:
        a descriptor to read it, and the digests of its blocks.

    Raises:
        ReplicationError: it is not what the leader takes it for, or changed meanwhile.
        OSError: it cannot be read.
        StateError: the index cannot be read.
    """
    try:
        fd = open_file(places, patch.folder, patch.path)
    except ReplicationError as error:
        raise MismatchError(f"{patch.path!r}: {error}") from error
    try:
        before = settled_status(fd)
        yield fd, _blocks(fd, before, index, name, patch, check)
        if not unchanged(fd, before):
            raise MismatchError(f"{patch.path!r} changed while it was copied")
    finally:
        os.close(fd)


def _blocks(
    fd: int,
    status: os.stat_result,
    index: Index,
    name: str,
    patch: Patch,
    check: Callable[[], object],
) -> bytes:
    """The digests of its blocks: as remembered, or as read if it may be another file by now."""
    path = patch.path
    row = index.row(name, parent_of(path), basename(path))
    trusted = row is not None and row.settled and row.stat == stat_key(status)
    if trusted and row is not None and row.digest == patch.digest:
        blocks = index.blocks(patch.digest)
        if blocks:
            return blocks
    content = content_of(fd, status.st_size, check)
    if content.digest() != patch.digest or not content.blocks:
        raise MismatchError(
            f"{path!r} is not what the leader takes it for; it has to be sent whole"
        )
    return content.blocks
