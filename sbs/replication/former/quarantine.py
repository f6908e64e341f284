"""What an update would have destroyed, kept in the folder it stood in (B4).

A version is kept by a hard link, before the generation that replaces it is committed: on the
folder's own file system, in ``.sbs.staging/quarantine/<generation>/`` under its own path. It is
copied where there can be no link: another file system is mounted inside the folder, say. Beside
it lies a list in JSON lines. Nothing here is ever removed by SBS; what the administrator has dealt
with he removes himself.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from blake3 import blake3

from sbs.core.history import Generation
from sbs.core.manifest import MAX_PATH_BYTES, STAGING_NAME
from sbs.errors import ReplicationError
from sbs.log import WARNING, Log
from sbs.replication.files.opening import READ
from sbs.replication.files.places import Places
from sbs.replication.files.reading import digest_of
from sbs.replication.former.divergence import Version
from sbs.replication.former.keeping import HANDLE, link_file
from sbs.replication.former.kept import MAX_STANDING, QUARANTINE, Kept, append, line_of, standing
from sbs.replication.receiving.area import open_staging

MAX_CANDIDATES: Final = 1000
"""Places for one file and generation: an update is tried again, but not so often."""


_log = Log(__name__)
_KEPT = _log.event(
    "quarantined",
    WARNING,
    "{files} files of {folder} differ from generation {generation}",
    "They were changed on this node alone, and are put into quarantine before the update "
    "replaces them; see the alarm `quarantine`.",
)


class Quarantine:
    """The kept versions of a node, in all of its folders."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[str, str] = {}
        self._always: dict[str, str] = {}
        self._standing: tuple[Kept, ...] = ()

    @property
    def standing(self) -> tuple[Kept, ...]:
        """What was found last, oldest first: at most :data:`MAX_STANDING`."""
        return self._standing

    def watch(self, places: Mapping[str, str], *, always: bool = False) -> None:
        """Tell of these folders from now on, and of others only while anything is kept there.

        Else a primary that names others in each session would have them remembered without end.

        Args:
            places: where each of them lies, by name.
            always: they are this node's own, and never given up.
        """
        if always:
            self._always = dict(places)
        kept = {each.folder for each in self._standing}
        held = {name: place for name, place in self._places.items() if name in kept}
        watched = {**self._always, **held, **places}
        if watched != self._places:
            self._places = watched
            self.refresh()

    def refresh(self) -> None:
        """Look what is still there."""
        with self._lock:
            found = [standing(name, place) for name, place in tuple(self._places.items())]
            self._standing = tuple(itertools.chain.from_iterable(found))[:MAX_STANDING]

    def keep(
        self,
        places: Places,
        names: Sequence[str],
        generation: Generation,
        versions: Iterable[Version],
        check: Callable[[], object],
    ) -> None:
        """Keep versions, durably; what is kept already is not kept again.

        Args:
            places: of the folders.
            names: of the folders.
            generation: the one that is about to replace them.
            versions: what diverges.
            check: called for each version and each MiB; may raise to cancel.

        Raises:
            ReplicationError: one of them cannot be kept: nothing may be overwritten.
        """
        lines: dict[int, list[bytes]] = {}
        for version in versions:
            check()
            try:
                kept = _keep(places, generation, version, check)
            except OSError as error:
                where = os.path.join(places.roots[version.folder], version.path)
                raise ReplicationError(
                    f"{where!r} differs from what both nodes had and cannot be kept:"
                    f" {error.strerror}; nothing is overwritten"
                ) from error
            if kept is not None:
                lines.setdefault(version.folder, []).append(line_of(version, kept, generation))
        for folder, added in lines.items():
            name = names[folder]
            try:
                append(places, folder, b"".join(added))
            except OSError as error:
                raise ReplicationError(
                    f"{places.roots[folder]!r}: the list of its quarantine cannot be written:"
                    f" {error.strerror}; nothing is overwritten"
                ) from error
            self._places[name] = places.roots[folder]
            _KEPT(files=len(added), folder=name, generation=generation)
        if lines:
            self.refresh()


def _keep(
    places: Places, generation: Generation, version: Version, check: Callable[[], object]
) -> str | None:
    """Where a version is kept; ``None`` if it is gone."""
    parent, name = places.parent(version.folder, version.path)
    try:
        handle = os.open(name, HANDLE, dir_fd=parent)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(handle)
        open_staging(places, version.folder)
        for kept in _candidates(generation, version.path):
            stands = _stands(places, version, kept, status, check)
            if stands is False:
                staging = places.directory(version.folder, STAGING_NAME)
                link_file(handle, staging, *places.parent(version.folder, kept), check)
            if stands is not None:
                return kept
    finally:
        os.close(handle)
    raise FileExistsError(errno.EEXIST, f"its {MAX_CANDIDATES} places in quarantine are taken")


def _candidates(generation: Generation, path: str) -> Iterator[str]:
    for number in range(1, MAX_CANDIDATES + 1):
        top = f"{QUARANTINE}/{generation.epoch}-{generation.number}"
        if number > 1:
            top += f".{number}"
        kept = f"{top}/{path}"
        if len(os.fsencode(kept)) > MAX_PATH_BYTES:
            kept = f"{top}/{blake3(os.fsencode(path)).hexdigest()}"
        yield kept


def _stands(
    places: Places,
    version: Version,
    kept: str,
    status: os.stat_result,
    check: Callable[[], object],
) -> bool | None:
    """Whether a place holds this version already; ``None``: it is taken by something else."""
    try:
        parent, name = places.parent(version.folder, kept, make=True)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        return None
    try:
        there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    if os.path.samestat(there, status):
        return True
    if not stat.S_ISREG(there.st_mode) or there.st_size != version.size_bytes:
        return None
    fd = os.open(name, READ, dir_fd=parent)
    try:
        return True if digest_of(fd, there.st_size, check) == version.digest else None
    finally:
        os.close(fd)
