"""What stands in a folder: entries, and which paths may name them.

A path is relative to its folder, uses ``/``, and holds undecodable bytes as surrogate escapes
(:pep:`383`), so that every POSIX name survives the way to the other node.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping
from operator import attrgetter
from typing import Final, TypeAlias

import attrs
from attrs.validators import deep_iterable, instance_of, max_len

from sbs.core import attributes as extra
from sbs.core.attributes import Attributes
from sbs.core.history import DIGEST_BYTES

MAX_PATH_BYTES = 4096
"""Longest path: Linux's ``PATH_MAX``."""

MAX_NAME_BYTES = 255
"""Longest component of a path: ``NAME_MAX`` of every common file system."""

MAX_FOLDER_NAME = 64
"""Longest name of a folder, in characters: it stands in every message about it."""

MAX_FOLDERS = 256
"""Folders of a pair: more is a mistake in a generated configuration."""

MAX_FILTERS = 1000
"""Rules of a folder: more than a person writes."""

MAX_MODE = 0o7777
"""Permission bits: those of user, group and others, set-id and sticky."""

MIN_TIME_NS, MAX_TIME_NS = -(2**63), 2**63 - 1
"""Time stamps are signed 64-bit integers on the wire: the years 1677 to 2262."""

MAX_STREAM = 2**31 - 1
"""Largest number of a stream within a generation."""

MAX_FILE_BYTES = 2**62
"""Largest file: its size stays a signed 64-bit integer on the wire."""

STAGING_NAME = ".sbs.staging"
"""Directory that SBS makes in a folder's root while an update is applied; never replicated."""


class Kind(enum.IntEnum):
    """What an entry is."""

    FILE = 0
    DIRECTORY = 1
    SYMLINK = 2


def check_path(path: str) -> str:
    """Return ``path`` if it may name an entry below a folder.

    Raises:
        ValueError: it is empty, absolute, too long, not normalised, climbs with ``..``, holds a
            NUL byte, or names SBS's own staging directory. The text quotes it.
    """
    if _is_plain(path):
        return path
    # Surrogate escapes are what os.fsdecode makes of bytes that are not UTF-8.
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"path {path!r} cannot name a file") from None
    if len(raw) > MAX_PATH_BYTES:
        raise ValueError(f"path of {len(raw)} bytes; at most {MAX_PATH_BYTES} are allowed")
    if b"\0" in raw:
        raise ValueError(f"path {path!r} holds a NUL byte")
    components = raw.split(b"/")
    if not all(components):
        raise ValueError(f"path {path!r} is absolute, empty or has an empty component")
    if b"." in components or b".." in components:
        raise ValueError(f"path {path!r} has a component '.' or '..'")
    if max(map(len, components)) > MAX_NAME_BYTES:
        raise ValueError(f"path {path!r} has a component over {MAX_NAME_BYTES} bytes")
    if components[0] == STAGING_NAME.encode():
        raise ValueError(f"path {path!r} lies in SBS's own staging directory")
    return path


def _is_plain(path: str) -> bool:
    """Whether a path is surely allowed: a quick answer for nearly all (0.2 us)."""
    if len(path) > MAX_NAME_BYTES or not path.isascii() or "\0" in path:
        return False
    framed = f"/{path}/"
    return "//" not in framed and "/." not in framed


def _out_of_range(name: str, value: int, low: int, high: int) -> ValueError:
    return ValueError(f"{name!r} must be {low} to {high}, not {value}")


class _Types:
    """The types of a value's fields, checked exactly: true is not 1, here as on the wire."""

    def __init__(self, **fields: tuple[type, ...]) -> None:
        self._fields = fields
        self._legal = frozenset(itertools.product(*fields.values()))
        self._values = attrgetter(*fields)

    def check(self, value: object) -> None:
        """Raise TypeError, naming the field, unless all types are right: one look-up if so."""
        types = tuple(map(type, self._values(value)))
        if types not in self._legal:
            name, given, wanted = next(
                (name, given, wanted)
                for (name, wanted), given in zip(self._fields.items(), types, strict=True)
                if given not in wanted
            )
            raise TypeError(f"{name!r} must be {wanted[0].__name__}, not {given.__name__}")


def _check_target(target: str) -> None:
    if len(target) > MAX_PATH_BYTES:
        raise ValueError(
            f"'target' of {len(target)} characters; at most {MAX_PATH_BYTES} are allowed"
        )
    if "\0" in target:
        raise ValueError(f"'target' {target!r} holds a NUL byte")


@attrs.frozen(kw_only=True)
class Entry:
    """One file, directory or symbolic link of a folder.

    Args:
        path: relative to the folder, as :func:`check_path` allows.
        kind: what it is.
        mode: permission bits, 0 to 0o7777; 0 for a link.
        size_bytes: of a file; 0 otherwise.
        mtime_ns: of a file, nanoseconds since 1970; 0 otherwise.
        digest: BLAKE3 of a file's content where it is known without reading; else ``None``.
        target: what a link points at, as stored in it; empty otherwise.
        attributes: digest of owner and extended attributes where the folder's settings have them
            replicated; else ``None``.
    """

    path: str
    kind: Kind
    mode: int = 0
    size_bytes: int = 0
    mtime_ns: int = 0
    digest: bytes | None = attrs.field(default=None, repr=False)
    target: str = ""
    attributes: bytes | None = attrs.field(default=None, repr=False)

    # One method instead of a validator for each field: less than half the time, for each file.
    def __attrs_post_init__(self) -> None:
        _ENTRY_TYPES.check(self)
        check_path(self.path)
        if not 0 <= self.mode <= MAX_MODE:
            raise _out_of_range("mode", self.mode, 0, MAX_MODE)
        if not 0 <= self.size_bytes <= MAX_FILE_BYTES:
            raise _out_of_range("size_bytes", self.size_bytes, 0, MAX_FILE_BYTES)
        if not MIN_TIME_NS <= self.mtime_ns <= MAX_TIME_NS:
            raise _out_of_range("mtime_ns", self.mtime_ns, MIN_TIME_NS, MAX_TIME_NS)
        if self.digest is not None and len(self.digest) != DIGEST_BYTES:
            raise ValueError(f"'digest' must be {DIGEST_BYTES} bytes, not {len(self.digest)}")
        if self.attributes is not None and len(self.attributes) != extra.DIGEST_BYTES:
            raise ValueError(
                f"'attributes' must be {extra.DIGEST_BYTES} bytes, not {len(self.attributes)}"
            )
        _check_target(self.target)


_ENTRY_TYPES: Final = _Types(
    path=(str,),
    kind=(Kind,),
    mode=(int,),
    size_bytes=(int,),
    mtime_ns=(int,),
    digest=(bytes, type(None)),
    target=(str,),
    attributes=(bytes, type(None)),
)

Manifest: TypeAlias = Mapping[str, Entry]
"""The entries of one folder by path; a directory's entry stands with those below it."""


def _check_name(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    if not 1 <= len(value) <= MAX_FOLDER_NAME or "/" in value or not value.isprintable():
        raise ValueError(
            f"folder name {value!r}: 1 to {MAX_FOLDER_NAME} printable characters "
            "without '/' are allowed"
        )


def _check_place(_instance: object, _attribute: attrs.Attribute[str], value: str) -> None:
    if len(value) > MAX_PATH_BYTES:
        raise ValueError(
            f"folder path of {len(value)} characters; at most {MAX_PATH_BYTES} are allowed"
        )
    if "\0" in value:
        raise ValueError(f"folder path {value!r} holds a NUL byte")


@attrs.frozen(kw_only=True)
class FolderSpec:
    """A replicated folder, as the primary tells it to the secondary (R24).

    Args:
        name: what the two nodes share; 1 to 64 characters without ``/`` or control characters.
        path: where it lies on the primary; the secondary may have its own place for it.
        filters: ordered rules, see :mod:`sbs.core.filters`.
        strict_delete: delete on the secondary what the primary does not have (R22).
        preserve_mtime: copies bear the source's time stamp (R23).
        owner: copies have the source's user and group.
        xattr: copies have the source's extended attributes.
    """

    name: str = attrs.field(validator=[instance_of(str), _check_name])
    path: str = attrs.field(validator=[instance_of(str), _check_place])
    filters: tuple[str, ...] = attrs.field(
        default=(), validator=[deep_iterable(instance_of(str)), max_len(MAX_FILTERS)]
    )
    strict_delete: bool = attrs.field(default=False, validator=instance_of(bool))
    preserve_mtime: bool = attrs.field(default=False, validator=instance_of(bool))
    owner: bool = attrs.field(default=False, validator=instance_of(bool))
    xattr: bool = attrs.field(default=False, validator=instance_of(bool))


class Action(enum.IntEnum):
    """What an operation does to the secondary's folder."""

    PUT = 0
    """Create or replace a file."""
    MKDIR = 1
    """Create a directory, or set mode and attributes of one that exists."""
    LINK = 2
    """Create or replace a symbolic link."""
    TOUCH = 3
    """Set mode, time stamp and attributes of a file whose content is right already."""
    DELETE = 4
    """Remove a file, a link or an empty directory."""


@attrs.frozen(kw_only=True)
class Operation:
    """One change of a generation, as it travels and as the journal keeps it.

    Args:
        folder: position in the list of folders of the session, from 0.
        action: what to do.
        path: as :func:`check_path` allows.
        mode: permission bits to set (PUT, MKDIR, TOUCH).
        mtime_ns: time stamp to set (PUT, TOUCH), or ``None`` to leave the time of the copy.
        size_bytes: of the content (PUT).
        digest: BLAKE3 of the content (PUT).
        target: of the link (LINK).
        stream: number of the :class:`~sbs.core.messages.Chunk` stream that carried the content
            of a large file (PUT); ``None``: the content follows in the same frame.
        attributes: to set (all but DELETE), or ``None``: the folder's settings leave them out.
    """

    folder: int
    action: Action
    path: str
    mode: int = 0
    mtime_ns: int | None = None
    size_bytes: int = 0
    digest: bytes = attrs.field(default=b"", repr=False)
    target: str = ""
    stream: int | None = None
    attributes: Attributes | None = None

    # As in Entry.
    def __attrs_post_init__(self) -> None:
        _OPERATION_TYPES.check(self)
        check_path(self.path)
        if not 0 <= self.folder < MAX_FOLDERS:
            raise _out_of_range("folder", self.folder, 0, MAX_FOLDERS - 1)
        if not 0 <= self.mode <= MAX_MODE:
            raise _out_of_range("mode", self.mode, 0, MAX_MODE)
        if self.mtime_ns is not None and not MIN_TIME_NS <= self.mtime_ns <= MAX_TIME_NS:
            raise _out_of_range("mtime_ns", self.mtime_ns, MIN_TIME_NS, MAX_TIME_NS)
        if not 0 <= self.size_bytes <= MAX_FILE_BYTES:
            raise _out_of_range("size_bytes", self.size_bytes, 0, MAX_FILE_BYTES)
        if self.stream is not None and not 0 <= self.stream <= MAX_STREAM:
            raise _out_of_range("stream", self.stream, 0, MAX_STREAM)
        digest_bytes = DIGEST_BYTES if self.action is Action.PUT else 0
        if len(self.digest) != digest_bytes:
            raise ValueError(
                f"'digest' of {self.action.name} must be {digest_bytes} bytes, "
                f"not {len(self.digest)}"
            )
        if self.attributes is not None and self.action is Action.DELETE:
            raise ValueError("'attributes' of DELETE must be None")
        _check_target(self.target)


_OPERATION_TYPES: Final = _Types(
    folder=(int,),
    action=(Action,),
    path=(str,),
    mode=(int,),
    mtime_ns=(int, type(None)),
    size_bytes=(int,),
    digest=(bytes,),
    target=(str,),
    stream=(int, type(None)),
    attributes=(Attributes, type(None)),
)
