"""Modes and owners: what makes a file one that a node must not use."""

from __future__ import annotations

import stat

import pytest

from sbs.core.permissions import changeable, exposed, replaceable, shared


@pytest.mark.parametrize(
    ("mode", "to_group", "why"),
    [
        (0o600, False, ""),
        (0o400, False, ""),
        (0o640, False, "its group can read it; run chmod go= on it"),
        (0o620, False, "its group can read it; run chmod go= on it"),
        (0o604, False, "everybody can read it; run chmod go= on it"),
        (0o640, True, ""),
        (0o604, True, "everybody can read it; run chmod o= on it"),
        (0o601, True, "everybody can read it; run chmod o= on it"),
    ],
)
def test_a_secret_is_for_its_owner(mode: int, to_group: bool, why: str) -> None:
    """B62: its group may have it only where that is the way to give it to the node."""
    assert exposed(stat.S_IFREG | mode, to_group=to_group) == why


@pytest.mark.parametrize(
    ("mode", "owner", "why"),
    [
        (0o644, 990, ""),
        (0o664, 0, ""),
        (0o1777, 990, "everybody can write to it; run chmod o-w on it"),
        (0o602, 0, "everybody can write to it; run chmod o-w on it"),
        (
            0o600,
            1000,
            "belongs to the account 1000, and this one is 990; only this one and root may own it: "
            "run SBS as 1000, or run chown 990 on it",
        ),
    ],
)
def test_what_others_can_change_is_not_trusted(mode: int, owner: int, why: str) -> None:
    """B62"""
    assert changeable(mode, owner, 990) == why


def test_in_a_sticky_directory_others_replace_only_their_own() -> None:
    """B62"""
    assert replaceable(stat.S_IFDIR | 0o1777, 0, 990) == ""
    assert "everybody" in replaceable(stat.S_IFDIR | 0o777, 0, 990)
    assert "belongs to" in replaceable(stat.S_IFDIR | 0o1777, 1000, 990)


def test_a_group_that_can_write_is_told() -> None:
    assert shared(0o664) == "its group can write to it; run chmod g-w on it"
    assert shared(0o644) == ""
