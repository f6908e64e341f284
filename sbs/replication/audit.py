"""Contents read anew and compared with what they are taken to be (B26)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from sbs.core.filters import basename, parent_of
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Audit, Audited
from sbs.errors import MismatchError, ReplicationError
from sbs.replication.files.index import Index, Row, stat_key
from sbs.replication.files.places import Places
from sbs.replication.files.reading import content_of, open_file, settled_status, unchanged

UNKNOWN = b""
"""Stands for the digest of what is no file, cannot be read, or changes meanwhile."""


@attrs.frozen
class Reading:
    """What a file of this node holds.

    Args:
        digest: as read now; :data:`UNKNOWN`: it could not be.
        expected: as known from before, if nothing has changed the file since; else
            :data:`UNKNOWN`.
    """

    digest: bytes
    expected: bytes

    @property
    def is_damaged(self) -> bool:
        """Whether the content is another although nothing has changed the file."""
        return UNKNOWN not in (self.digest, self.expected) and self.digest != self.expected


def read_anew(
    places: Places,
    folder: int,
    name: str,
    index: Index,
    paths: Iterable[str],
    check: Callable[[], object],
) -> dict[str, Reading]:
    """Read files whatever is known of them.

    Args:
        places: where the folders lie.
        folder: which of them.
        name: of it.
        index: digests of this node's own files.
        paths: of the files.
        check: called for each MiB; may raise to cancel.

    Raises:
        StateError: the index cannot be read.
    """
    found: dict[str, Reading] = {}
    for path in paths:
        row = index.row(name, parent_of(path), basename(path))
        try:
            fd = open_file(places, folder, path)
        except (OSError, ReplicationError):
            found[path] = Reading(UNKNOWN, UNKNOWN)
            continue
        try:
            found[path] = _read(fd, row, check)
        except (OSError, ReplicationError):  # a disk that cannot read it, say
            found[path] = Reading(UNKNOWN, UNKNOWN if row is None else row.digest)
        finally:
            os.close(fd)
    return found


def _read(fd: int, row: Row | None, check: Callable[[], object]) -> Reading:
    status = settled_status(fd)
    digest = content_of(fd, status.st_size, check).digest()
    if not unchanged(fd, status):
        return Reading(UNKNOWN, UNKNOWN)
    trusted = row is not None and row.settled and row.stat == stat_key(status)
    return Reading(digest, row.digest if trusted and row is not None else UNKNOWN)


def answer(
    places: Places,
    folders: Sequence[FolderSpec],
    index: Index,
    audit: Audit,
    check: Callable[[], object],
) -> Audited:
    """What the follower says.

    Args:
        places: of the session's folders.
        folders: their settings.
        index: digests of this node's own files.
        audit: what is asked.
        check: as for :func:`read_anew`.

    Raises:
        ReplicationError: there is no such folder.
        StateError: the index cannot be read.
    """
    if audit.folder >= len(folders):
        raise MismatchError(f"an audit of folder {audit.folder}; there is none")
    name = folders[audit.folder].name
    found: Mapping[str, Reading] = read_anew(places, audit.folder, name, index, audit.paths, check)
    return Audited(tuple(found[path].digest for path in audit.paths))
