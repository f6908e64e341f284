"""Owner and extended attributes of an entry, for folders whose settings have them replicated.

They travel with the operation that sets them. A listing has only their digest, so that a folder
without them costs nothing, and one with them a few bytes for each entry.
"""

from __future__ import annotations

from typing import Final

import attrs
from attrs.validators import ge, instance_of, le

DIGEST_BYTES: Final = 16
"""Of what an entry has: nothing but a comparison of two nodes that trust each other rests on it."""

MAX_ACCOUNT_NAME: Final = 256
"""Longest name of a user or group, in characters: Linux's ``LOGIN_NAME_MAX``."""

MAX_ID: Final = 2**32 - 2
"""Largest number of a user or group; the next one means "leave it as it is" to ``chown``."""

MAX_NAME_BYTES: Final = 255
"""Longest name of an extended attribute: Linux's ``XATTR_NAME_MAX``."""

MAX_VALUE_BYTES: Final = 65536
"""Largest value: Linux's ``XATTR_SIZE_MAX``."""

MAX_TOTAL_BYTES: Final = 128 * 1024
"""Names and values of one entry: far more than any program sets, and a message has room for it."""

_EXACT: Final = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
_SPACES: Final = ("user.", "trusted.", "security.")
_LOCAL: Final = ("security.selinux", "security.apparmor", "security.SMACK64", "security.evm")
"""Labels that a node's own policy gives, and what is sealed with a node's own key."""


def is_replicated(name: str) -> bool:
    """Whether an extended attribute of this name belongs to the file, not to the node."""
    return name in _EXACT or (name.startswith(_SPACES) and not name.startswith(_LOCAL))


def _check_account(_instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if len(value) > MAX_ACCOUNT_NAME or "\0" in value:
        raise ValueError(
            f"{attribute.name!r} of {len(value)} characters: at most {MAX_ACCOUNT_NAME},"
            " no NUL, are allowed"
        )


@attrs.frozen(kw_only=True)
class Owner:
    """Whose an entry is, as the leader knows it.

    Args:
        user: name of the user; empty where the leader knows none.
        uid: its number, 0 to :data:`MAX_ID`.
        group: name of the group; likewise.
        gid: its number.
    """

    user: str = attrs.field(validator=_check_account)
    uid: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_ID)])
    group: str = attrs.field(validator=_check_account)
    gid: int = attrs.field(validator=[instance_of(int), ge(0), le(MAX_ID)])


@attrs.frozen(kw_only=True)
class Attributes:
    """What an entry has beside content, mode and time.

    Args:
        owner: ``None`` where the folder's settings leave it out.
        xattrs: names and values, in the order of the names; ``None`` likewise, and for a link.
    """

    owner: Owner | None = None
    xattrs: tuple[tuple[str, bytes], ...] | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        last, total = "", 0
        for name, value in self.xattrs or ():
            if name <= last:
                raise ValueError(f"extended attribute {name!r} after {last!r}: they must ascend")
            if not is_replicated(name) or "\0" in name:
                raise ValueError(f"extended attribute {name!r} is not one that is replicated")
            size = name_bytes(name)
            if size > MAX_NAME_BYTES or len(value) > MAX_VALUE_BYTES:
                raise ValueError(
                    f"an extended attribute with a name of {size} and a value of {len(value)}"
                    f" bytes; at most {MAX_NAME_BYTES} and {MAX_VALUE_BYTES} are allowed"
                )
            last, total = name, total + size + len(value)
        if total > MAX_TOTAL_BYTES:
            raise ValueError(
                f"extended attributes of {total} bytes; at most {MAX_TOTAL_BYTES} are allowed"
            )

    @property
    def head_bytes(self) -> int:
        """An upper bound of what they take in a message's head."""
        names = "" if self.owner is None else self.owner.user + self.owner.group
        xattrs = self.xattrs or ()
        return 32 + 4 * len(names) + sum(10 + name_bytes(n) + len(v) for n, v in xattrs)


def name_bytes(name: str) -> int:
    """How long a name is on disk."""
    return len(name.encode("utf-8", "surrogateescape"))
