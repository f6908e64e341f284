"""Owner and extended attributes as they are on disk: read, and given names both nodes know.

Nothing here follows a link: a name is looked up in a directory that is open already, and its last
component is taken as it is.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from typing import Any, Final, cast

import msgpack
from blake3 import blake3

from sbs.core.attributes import (
    DIGEST_BYTES,
    MAX_TOTAL_BYTES,
    MAX_VALUE_BYTES,
    Attributes,
    Owner,
    is_replicated,
    name_bytes,
)
from sbs.core.manifest import FolderSpec
from sbs.core.rows import attributes_row
from sbs.replication.files.places import handle_path

_packb: Final = cast("Callable[..., bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType] - it has no types

NONE_HERE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})
"""The file system has no extended attributes."""

_NOT_FOR_US: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENODATA})
"""One that this account may not read, or that went since they were listed."""


def packed(attributes: Attributes | None) -> bytes:
    """All that attributes say; empty for none."""
    if attributes is None:
        return b""
    return _packb(attributes_row(attributes), unicode_errors="surrogateescape")


def digest_of_attributes(attributes: Attributes | None) -> bytes | None:
    """The digest that an entry has for them; equal on both nodes where nothing is to be done.

    A user or group counts by name, and by number where the node knows no name for it.
    """
    if attributes is None:
        return None
    owner: Any = None
    if attributes.owner is not None:
        mine = attributes.owner
        owner = (mine.user or mine.uid, mine.group or mine.gid)
    content = _packb((owner, attributes.xattrs), unicode_errors="surrogateescape")
    return blake3(content).digest()[:DIGEST_BYTES]


class Accounts:
    """Names of users and groups on this node, each looked up once."""

    def __init__(self) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}
        self._uids: dict[str, int | None] = {}
        self._gids: dict[str, int | None] = {}

    def owner(self, status: os.stat_result) -> Owner:
        """Whose a file is."""
        uid, gid = status.st_uid, status.st_gid
        if uid not in self._users:
            self._users[uid] = _name(lambda: pwd.getpwuid(uid).pw_name)
        if gid not in self._groups:
            self._groups[gid] = _name(lambda: grp.getgrgid(gid).gr_name)
        return Owner(user=self._users[uid], uid=uid, group=self._groups[gid], gid=gid)

    def ids(self, owner: Owner) -> tuple[int, int]:
        """Numbers of user and group here; the other node's where a name is not known here."""
        uid, gid = self._known(owner)
        return owner.uid if uid is None else uid, owner.gid if gid is None else gid

    def missing(self, owner: Owner) -> list[str]:
        """What of an owner that has a name on the other node is not known here, in words."""
        uid, gid = self._known(owner)
        found = [f"user {owner.user!r}"] if owner.user and uid is None else []
        return [*found, f"group {owner.group!r}"] if owner.group and gid is None else found

    def _known(self, owner: Owner) -> tuple[int | None, int | None]:
        user, group = owner.user, owner.group
        if user not in self._uids:
            self._uids[user] = _number(lambda: pwd.getpwnam(user).pw_uid)
        if group not in self._gids:
            self._gids[group] = _number(lambda: grp.getgrnam(group).gr_gid)
        return self._uids[user], self._gids[group]


def _name(look: Callable[[], str]) -> str:
    try:
        return look()
    except KeyError:
        return ""


def _number(look: Callable[[], int]) -> int | None:
    try:
        return look()
    except (KeyError, ValueError):  # the latter for what can be no name
        return None


SET_ID: Final = stat.S_ISUID | stat.S_ISGID


def mode_of(status: os.stat_result, *, owner: bool) -> int:
    """The permission bits of an entry that are replicated.

    A file is set-id only together with its owner: else it would be so for whoever SBS runs as.

    Args:
        status: of the entry.
        owner: whether that is replicated.
    """
    mode = stat.S_IMODE(status.st_mode)
    return mode if owner or not stat.S_ISREG(status.st_mode) else mode & ~SET_ID


class AttributeReader:
    """Reads what one folder's settings have replicated.

    Args:
        owner: of each entry.
        xattr: of each file and directory.
    """

    def __init__(self, *, owner: bool, xattr: bool) -> None:
        self._owner = owner
        self._xattr = xattr
        self._accounts = Accounts()

    @classmethod
    def of(cls, spec: FolderSpec) -> AttributeReader | None:
        """For a folder; ``None`` where nothing is to be read."""
        return cls(owner=spec.owner, xattr=spec.xattr) if spec.owner or spec.xattr else None

    @property
    def owner(self) -> bool:
        """Whether that is read."""
        return self._owner

    def named(
        self, directory: int, name: str, status: os.stat_result
    ) -> tuple[Attributes | None, str]:
        """What an entry of a directory has.

        Args:
            directory: a descriptor of it.
            name: of the entry; a link is not followed.
            status: of the entry.

        Returns:
            the attributes, and what is left out of them, in words.

        Raises:
            OSError: they cannot be read.
        """
        return self._read(f"{handle_path(directory)}/{name}", status)

    def opened(self, fd: int, status: os.stat_result) -> Attributes | None:
        """What an open file has.

        Raises:
            OSError: it cannot be read.
        """
        return self._read(fd, status)[0]

    def _read(self, file: str | int, status: os.stat_result) -> tuple[Attributes | None, str]:
        owner = self._accounts.owner(status) if self._owner else None
        xattrs: tuple[tuple[str, bytes], ...] | None = None
        left_out = ""
        if self._xattr and not stat.S_ISLNK(status.st_mode):
            xattrs = tuple(_xattrs(file))
            total = sum(name_bytes(name) + len(value) for name, value in xattrs)
            if total > MAX_TOTAL_BYTES or any(len(value) > MAX_VALUE_BYTES for _, value in xattrs):
                xattrs = ()
                left_out = (
                    f"none of its extended attributes are replicated: they have {total} bytes, at"
                    f" most {MAX_TOTAL_BYTES}, {MAX_VALUE_BYTES} each, are allowed"
                )
        if owner is None and xattrs is None:
            return None, ""
        return Attributes(owner=owner, xattrs=xattrs), left_out


def xattr_names(file: str | int, *, follow: bool = False) -> list[str]:
    """The extended attributes that are replicated, in order; none where there can be none.

    Args:
        file: a descriptor or a path.
        follow: the path is that of an ``O_PATH`` descriptor; else a link is not followed.

    Raises:
        OSError: they cannot be listed.
    """
    try:
        if isinstance(file, int):
            names = os.listxattr(file)
        else:
            names = os.listxattr(file, follow_symlinks=follow)
    except OSError as error:
        if error.errno in NONE_HERE:
            return []
        raise
    return sorted(filter(is_replicated, names))


def _xattrs(file: str | int) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for name in xattr_names(file):
        try:
            found.append((name, _value(file, name)))
        except OSError as error:
            if error.errno not in _NOT_FOR_US:
                raise
    return found


def _value(file: str | int, name: str) -> bytes:
    if isinstance(file, int):
        return os.getxattr(file, name)
    return os.getxattr(file, name, follow_symlinks=False)


def copy_xattrs(source: int, target: int) -> None:
    """Give a file the extended attributes of another, as far as that is possible.

    Args:
        source: a descriptor of the other.
        target: a descriptor of the file.
    """
    for name in xattr_names(source):
        with contextlib.suppress(OSError):
            os.setxattr(target, name, os.getxattr(source, name))
