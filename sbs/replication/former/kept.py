"""The list of what is in a folder's quarantine: JSON lines, for people and for SBS."""

from __future__ import annotations

import itertools
import json
import os
import time
from typing import Any, Final

import attrs

from sbs.core.history import MAX_GENERATION, Generation
from sbs.core.manifest import STAGING_NAME, check_path
from sbs.log import WARNING, Log
from sbs.replication.files.opening import reader
from sbs.replication.files.places import Places, sync_file_system
from sbs.replication.former.divergence import Version
from sbs.replication.former.past import parsed
from sbs.replication.receiving.area import QUARANTINE_NAME
from sbs.replication.receiving.journal import write_all

QUARANTINE: Final = f"{STAGING_NAME}/{QUARANTINE_NAME}"
"""Path of the quarantine within its folder."""

LIST_NAME: Final = "list.jsonl"

MAX_STANDING: Final = 1000
"""Kept versions that a node tells of: more than anybody compares by hand; the list has all."""

MAX_LINE_BYTES: Final = 64 * 1024
"""A line holds two paths, each byte of which JSON may write as six characters."""

_APPEND: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC

_log = Log(__name__)
_UNREAD = _log.event(
    "quarantine-unreadable",
    WARNING,
    "the quarantine of {folder} cannot be read: {error}",
    "What is kept there is safe, but `sbs status` does not list it. Mend what the text names.",
)
_DAMAGED = _log.event(
    "quarantine-damaged",
    WARNING,
    "{directory}: {lines} damaged lines of {file}",
    "A crash tore lines of the list; the files that they told of are in "
    "`.sbs.staging/quarantine` all the same, if they were put there. Look there.",
)


@attrs.frozen(kw_only=True)
class Kept:
    """A version in quarantine.

    Args:
        folder: name of the folder.
        place: where that lies on this node.
        path: of the file, within the folder.
        kept: where the version is now, within the folder.
        generation: number of the one that replaced or deleted it.
    """

    folder: str
    place: str
    path: str
    kept: str
    generation: int


def line_of(version: Version, kept: str, generation: Generation) -> bytes:
    """One line of the list.

    Args:
        version: what was kept.
        kept: where, within the folder.
        generation: the one that replaces it.
    """
    successor = version.successor
    fields = {
        "path": version.path,
        "kept": kept,
        "kept_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "size_bytes": version.size_bytes,
        "digest": version.digest.hex(),
        "generation": generation.number,
        "epoch": str(generation.epoch),
        "replaced_by": None
        if successor is None
        else {"size_bytes": successor.size_bytes, "digest": successor.digest.hex()},
    }
    return json.dumps(fields).encode() + b"\n"


def append(places: Places, folder: int, lines: bytes) -> None:
    """Add to a folder's list, durably, and make durable what it names.

    Raises:
        OSError: it cannot be written.
    """
    directory = places.directory(folder, QUARANTINE)
    fd = os.open(LIST_NAME, _APPEND, 0o600, dir_fd=directory)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"  # by a crash
        write_all(fd, b"\n" + lines if torn else lines)
        sync_file_system(fd)
    finally:
        os.close(fd)


def standing(folder: str, place: str) -> list[Kept]:
    """What the folder's list names and is still there, each version once, oldest first.

    Args:
        folder: its name.
        place: where it lies.
    """
    with Places([place]) as places:
        try:
            listed = _listed(places)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            _UNREAD(folder=folder, error=error.strerror)
            return []
        found = (kept for kept in listed if _is_there(places, kept.kept))
        named = (attrs.evolve(kept, folder=folder, place=place) for kept in found)
        return list(itertools.islice(named, MAX_STANDING))


def _listed(places: Places) -> list[Kept]:
    directory = places.directory(0, QUARANTINE)
    found: dict[str, Kept] = {}
    damaged = 0

    with open(LIST_NAME, "rb", opener=reader(directory)) as file:
        while line := file.readline(MAX_LINE_BYTES):
            try:
                kept = _parse(line)
            except ValueError:
                damaged += 1  # torn by a crash, before anything was overwritten
            else:
                found[kept.kept] = kept
    if damaged:
        _DAMAGED(directory=places.roots[0], lines=damaged, file=LIST_NAME)
    return list(found.values())


def _parse(line: bytes) -> Kept:
    fields: Any = parsed(line)
    try:
        path, kept, generation = fields["path"], fields["kept"], fields["generation"]
    except (TypeError, KeyError) as error:
        raise ValueError("a field is missing") from error
    if not (isinstance(path, str) and isinstance(kept, str) and type(generation) is int):
        raise ValueError("a field is of another type")
    if not 0 <= generation <= MAX_GENERATION:
        raise ValueError("a generation that cannot be")
    if not kept.startswith(f"{QUARANTINE}/"):
        raise ValueError("a place outside the quarantine")
    check_path(path)
    check_path(kept.removeprefix(f"{QUARANTINE}/"))
    return Kept(folder="", place="", path=path, kept=kept, generation=generation)


def _is_there(places: Places, kept: str) -> bool:
    try:
        parent, name = places.parent(0, kept)
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False  # removed by the administrator
    return True
