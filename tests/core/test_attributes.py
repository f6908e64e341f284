"""Owner and extended attributes: what is replicated, and how much of it."""

from __future__ import annotations

import attrs
import msgpack
import pytest

from sbs.core.attributes import (
    MAX_NAME_BYTES,
    MAX_TOTAL_BYTES,
    MAX_VALUE_BYTES,
    Attributes,
    Owner,
    is_replicated,
)
from sbs.core.rows import attributes_row

OWNER = Owner(user="app", uid=1000, group="staff", gid=50)


@pytest.mark.parametrize(
    ("name", "replicated"),
    [
        ("user.comment", True),
        ("trusted.x", True),
        ("security.capability", True),
        ("security.selinux", False),
        ("security.SMACK64EXEC", False),
        ("system.posix_acl_access", True),
        ("system.posix_acl_default", True),
        ("system.nfs4_acl", False),
        ("btrfs.compression", False),
    ],
)
def test_what_belongs_to_a_file_is_replicated_and_what_belongs_to_the_node_is_not(
    name: str, replicated: bool
) -> None:
    assert is_replicated(name) is replicated


def test_names_and_values_are_as_long_as_linux_allows() -> None:
    """Adversarial case 7."""
    name = "user." + "n" * (MAX_NAME_BYTES - 5)
    Attributes(xattrs=((name, b"v" * MAX_VALUE_BYTES),))
    for xattr in ((name + "n", b""), ("user.a", b"v" * (MAX_VALUE_BYTES + 1))):
        with pytest.raises(ValueError, match="at most 255 and 65536 are allowed"):
            Attributes(xattrs=(xattr,))


def test_all_of_an_entry_together_fit_into_a_message() -> None:
    half = MAX_TOTAL_BYTES // 2 - len("user.a")
    Attributes(xattrs=(("user.a", bytes(half)), ("user.b", bytes(half))))
    with pytest.raises(ValueError, match="of 131073 bytes; at most 131072 are allowed"):
        Attributes(xattrs=(("user.a", bytes(half)), ("user.bb", bytes(half))))


def test_an_account_is_named_within_a_limit_and_without_nul() -> None:
    assert attrs.evolve(OWNER, user="x" * 256).user == "x" * 256
    for wrong in ("x" * 257, "a\0b"):
        with pytest.raises(ValueError, match=r"'group' of \d+ characters"):
            attrs.evolve(OWNER, group=wrong)


def test_what_they_take_in_a_message_is_never_more_than_said() -> None:
    for attributes in (
        Attributes(),
        Attributes(owner=attrs.evolve(OWNER, user="\U0001f600" * 256, uid=2**32 - 2)),
        Attributes(xattrs=tuple((f"user.{n:03}", bytes(300)) for n in range(400))),
    ):
        row = msgpack.packb(attributes_row(attributes))
        assert len(row) <= attributes.head_bytes
