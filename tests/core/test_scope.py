"""Deletes that the settings do not allow (R22, adversarial case 6)."""

from __future__ import annotations

import pytest

from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.scope import check_deletes

FOLDERS = (
    FolderSpec(name="strict", path="/s", filters=("- *.tmp", "- cache/"), strict_delete=True),
    FolderSpec(name="loose", path="/l"),
)


def proceed() -> None:
    """Cancels nothing."""


def delete(path: str, folder: int = 0) -> Operation:
    return Operation(folder=folder, action=Action.DELETE, path=path)


def make(action: Action, path: str, folder: int = 1) -> Operation:
    digest = b"d" * 32 if action is Action.PUT else b""
    return Operation(folder=folder, action=action, path=path, digest=digest)


@pytest.mark.parametrize("path", ["f", "d/f", "cache", "x.tmp2"])
def test_what_counts_may_go_where_strict_delete_is_on(path: str) -> None:
    """A file may have the name that is excluded for directories."""
    check_deletes([delete(path)], FOLDERS, proceed)


@pytest.mark.parametrize("path", ["x.tmp", "d/x.tmp", "cache/f", "x.tmp/f"])
def test_adversarial_6_what_a_filter_protects_is_not_deleted(path: str) -> None:
    with pytest.raises(ValueError, match=f"folder 'strict': '{path}' is excluded"):
        check_deletes([delete("f"), delete(path)], FOLDERS, proceed)


@pytest.mark.parametrize(
    "operations",
    [
        [delete("d/f", 1), delete("d", 1), make(Action.PUT, "d")],
        [delete("d/e/f", 1), make(Action.LINK, "d")],
        [delete("f", 1), make(Action.MKDIR, "f"), make(Action.PUT, "f/g")],
        [make(Action.PUT, "f"), make(Action.TOUCH, "g")],
    ],
)
def test_what_gives_way_may_go_without_strict_delete(operations: list[Operation]) -> None:
    check_deletes(operations, FOLDERS, proceed)


@pytest.mark.parametrize(
    "operations",
    [
        [delete("f", 1)],
        [delete("d/f", 1), make(Action.MKDIR, "d")],
        [delete("d/f", 1), make(Action.TOUCH, "d/f")],
        [delete("f", 1), make(Action.PUT, "f", folder=0)],
        [delete("f", 1), make(Action.PUT, "f/g")],
    ],
)
def test_adversarial_6_nothing_else_goes_without_strict_delete(
    operations: list[Operation],
) -> None:
    with pytest.raises(ValueError, match="although strict_delete is off"):
        check_deletes(operations, FOLDERS, proceed)
