"""What a folder's versions tell: which generations changed what, and what is kept (B21).

For reading only, beside a node that writes and removes them; whatever is not as
:mod:`sbs.replication.former.versions` makes it is left out. Nothing here follows a symbolic link.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, Final, cast

import attrs

from sbs.core.epoch import MAX_COUNTER, Epoch
from sbs.core.manifest import MAX_FILE_BYTES, MAX_TIME_NS, MIN_TIME_NS, STAGING_NAME
from sbs.errors import ReplicationError
from sbs.log import WARNING, Log
from sbs.replication.files.opening import READ, reader
from sbs.replication.files.places import Places
from sbs.replication.former import undo
from sbs.replication.receiving.area import VERSIONS_NAME

VERSIONS: Final = f"{STAGING_NAME}/{VERSIONS_NAME}"
"""Path of the versions within their folder."""

LIST_NAME: Final = "list.jsonl"
"""In the directory of a generation: a line of JSON for each change, and a summary as the last."""

MAX_LINE_BYTES: Final = 64 * 1024
"""A line holds one path, each byte of which JSON may write as six characters, and little else."""

MAX_SUMMARY_BYTES: Final = 1024
"""Of the last line; it holds numbers and five words."""

MAX_AT: Final = 253402300800.0
"""The year 10000: times beyond are damage, and cannot be shown."""

_NAME: Final = re.compile(r"(\d{1,19})\.([01])-(\d{1,19})-(?:([0-9a-f]{8})|restore-(\d{1,9}))")
_KEPT: Final = re.compile(rf"\d{{1,19}}(?:{re.escape(undo.SUFFIX)})?")

_log = Log(__name__)
_UNREAD = _log.event(
    "version-unreadable",
    WARNING,
    "{path}: {error}",
    "The list of what a generation replaced cannot be read, so `sbs history` and `sbs "
    "restore` leave it out. Look at the disk.",
)


@attrs.frozen(kw_only=True, order=True)
class Mark:
    """Which change of a folder: a generation, or what was restored in place after one.

    Args:
        epoch: of the primacy.
        number: of the generation.
        restored: 0, or the count of restores after it.
        name: of the directory.
    """

    epoch: Epoch
    number: int
    restored: int = 0
    name: str = ""

    @classmethod
    def parse(cls, name: str) -> Mark | None:
        """The mark of a directory, or ``None``: it is none of SBS."""
        found = _NAME.fullmatch(name)
        if found is None or int(found[1]) > MAX_COUNTER:
            return None
        epoch = Epoch(int(found[1]), int(found[2]))
        return cls(epoch=epoch, number=int(found[3]), restored=int(found[5] or 0), name=name)

    @property
    def after(self) -> int:
        """Number of the generation whose state the change began with."""
        return self.number if self.restored else self.number - 1

    def __str__(self) -> str:
        if self.restored:
            return f"restore {self.restored} after generation {self.number}"
        return f"generation {self.number} (epoch {self.epoch})"


@attrs.frozen(kw_only=True)
class Summary:
    """What a generation did to a folder.

    Args:
        mark: which.
        at: when, seconds since 1970.
        changes: how many, by kind.
        kept: files and links it replaced or deleted.
        size_bytes: of those and of the list.
        whole: the list is complete; else a crash or damage left no more than the directory.
    """

    mark: Mark
    at: float
    changes: Mapping[str, int]
    kept: int
    size_bytes: int
    whole: bool = True


@attrs.frozen(kw_only=True)
class Change:
    """What a generation did to one path.

    Args:
        mark: the generation.
        path: within the folder.
        action: ``put``, ``mkdir``, ``link``, ``touch``, ``delete``, ``restore``.
        digest: BLAKE3 of the new content, where there is one.
        kept: where the former file or link is, within the folder; empty if there was none.
        kind: of the former: ``file``, ``link``, or ``blocks`` where only those of a file are kept
            that were replaced (:mod:`sbs.replication.former.undo`).
        size_bytes: of the former.
        mtime_ns: of the former.
    """

    mark: Mark
    path: str
    action: str
    digest: bytes = b""
    kept: str = ""
    kind: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0


def marks(places: Places, folder: int) -> list[Mark]:
    """The generations of a folder, oldest first.

    Raises:
        ReplicationError: the folder, or the directory of its versions, cannot be read.
    """
    try:
        names = os.listdir(places.directory(folder, VERSIONS))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ReplicationError(f"{places.roots[folder]}/{VERSIONS}: {error.strerror}") from error
    return sorted(mark for name in names if (mark := Mark.parse(name)) is not None)


def summary(places: Places, folder: int, mark: Mark) -> Summary | None:
    """What one generation did; ``None`` if it is gone."""
    try:
        directory = places.directory(folder, f"{VERSIONS}/{mark.name}")
        with contextlib.suppress(ValueError, OSError):
            return _summary(directory, mark)
        return _remains(directory, mark)
    except OSError:
        return None


def _summary(directory: int, mark: Mark) -> Summary:
    fd = os.open(LIST_NAME, READ, dir_fd=directory)
    try:
        status = os.fstat(fd)
        tail = os.pread(fd, MAX_SUMMARY_BYTES, max(0, status.st_size - MAX_SUMMARY_BYTES))
    finally:
        os.close(fd)
    fields: Any = parsed(tail[:-1].rpartition(b"\n")[2])
    try:
        at, kept, kept_bytes = float(fields["at"]), int(fields["kept"]), int(fields["kept_bytes"])
        changes = {str(kind): int(count) for kind, count in fields["changes"].items()}
    except (TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError("no summary") from error
    if not (0 <= at < MAX_AT and kept >= 0 and kept_bytes >= 0):
        raise ValueError("a number that cannot be")
    size_bytes = kept_bytes + status.st_size
    return Summary(mark=mark, at=at, changes=changes, kept=kept, size_bytes=size_bytes)


def _remains(directory: int, mark: Mark) -> Summary:
    """Of a generation without a list that can be read: what is there counts all the same."""
    kept, size_bytes = 0, 0
    with os.scandir(directory) as entries:
        for entry in entries:
            kept += entry.name.removesuffix(undo.SUFFIX).isdecimal()
            size_bytes += entry.stat(follow_symlinks=False).st_size
    at = os.fstat(directory).st_mtime
    return Summary(mark=mark, at=at, changes={}, kept=kept, size_bytes=size_bytes, whole=False)


def parsed(line: bytes) -> Any:
    """What a line of a list holds.

    Raises:
        ValueError: nothing.
    """
    try:
        return json.loads(line)
    except RecursionError as error:
        raise ValueError("JSON nested too deep") from error


def changes_of(places: Places, folder: int, path: str) -> list[Change]:
    """The changes of one path by all generations that are kept, oldest first.

    Raises:
        ReplicationError: as :func:`marks`.
    """
    found: list[Change] = []
    for mark in marks(places, folder):
        try:
            found += _changes(places, folder, mark, path)
        except OSError as error:
            if error.errno is not None and not isinstance(error, FileNotFoundError):
                _UNREAD(path=f"{places.roots[folder]}/{VERSIONS}/{mark.name}", error=error)
    return found


def versions_of(places: Places, folder: int, path: str) -> list[Change]:
    """The changes of one path whose former file or link is still kept, oldest first.

    Raises:
        ReplicationError: as :func:`marks`.
    """
    return [
        change
        for change in changes_of(places, folder, path)
        if change.kept and _is_there(places, folder, change.kept)
    ]


def _is_there(places: Places, folder: int, kept: str) -> bool:
    try:
        parent, name = places.parent(folder, kept)
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False  # removed meanwhile
    return True


def _changes(places: Places, folder: int, mark: Mark, path: str) -> Iterator[Change]:
    directory = places.directory(folder, f"{VERSIONS}/{mark.name}")
    begin = f'{{"path": {encode_basestring_ascii(path)},'.encode()

    with open(LIST_NAME, "rb", opener=reader(directory)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return
        while line := file.readline(MAX_LINE_BYTES):
            if line.startswith(begin):
                with contextlib.suppress(ValueError):
                    yield _change(mark, path, parsed(line))


def _change(mark: Mark, path: str, fields: dict[str, Any]) -> Change:
    """One line of a list.

    Raises:
        ValueError: it is not as SBS writes it.
    """
    former = fields.get("former")
    change = Change(
        mark=mark,
        path=path,
        action=str(fields.get("action")),
        digest=bytes.fromhex(str(fields.get("digest", ""))),
    )
    if former is None:
        return change
    if not isinstance(former, dict):
        raise ValueError("'former' is no object")
    known = cast(dict[str, Any], former)
    name, kind = known.get("kept"), known.get("kind")
    size_bytes, mtime_ns = known.get("size_bytes"), known.get("mtime_ns")
    if not (isinstance(name, str) and _KEPT.fullmatch(name)):
        raise ValueError("'kept' is no number")
    if not (
        kind in ("file", "link", "blocks") and type(size_bytes) is int and type(mtime_ns) is int
    ):
        raise ValueError("a field is of another type")
    if not (0 <= size_bytes <= MAX_FILE_BYTES and MIN_TIME_NS <= mtime_ns <= MAX_TIME_NS):
        raise ValueError("a number that cannot be")
    return attrs.evolve(
        change,
        kept=f"{VERSIONS}/{mark.name}/{name}",
        kind=kind,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
    )
