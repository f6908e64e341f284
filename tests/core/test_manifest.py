"""Entries, operations, and which paths may name them."""

from __future__ import annotations

import pytest

from sbs.core.manifest import (
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    STAGING_NAME,
    Action,
    Entry,
    FolderSpec,
    Kind,
    Operation,
    check_path,
)

LONGEST = "/".join(["a" * 255] * 16)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b",
        "..a/b..",
        "a b\n\t",
        "\udcff\udc80",
        "ä/ö",
        "a\\..\\b",
        "x" * MAX_NAME_BYTES,
        LONGEST,
        "a/" + STAGING_NAME,
        STAGING_NAME + "x",
    ],
)
def test_every_name_that_posix_allows_is_allowed(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", "empty"),
        ("/", "absolute"),
        ("/etc/passwd", "absolute"),
        ("a//b", "empty component"),
        ("a/", "empty component"),
        (".", "'.'"),
        ("..", "'..'"),
        ("a/../b", "'..'"),
        ("a/./b", "'.'"),
        ("a\0b", "NUL"),
        ("x" * (MAX_NAME_BYTES + 1), "component over"),
        ("ä" * 128, "component over"),
        (LONGEST + "b/", f"at most {MAX_PATH_BYTES}"),
        (STAGING_NAME, "staging"),
        (STAGING_NAME + "/a", "staging"),
        ("\ud800", "cannot name a file"),
    ],
)
def test_a_path_that_leads_anywhere_else_is_refused(path: str, text: str) -> None:
    """Adversarial case 4."""
    with pytest.raises(ValueError, match="path") as caught:
        check_path(path)
    assert text in str(caught.value)
    with pytest.raises(ValueError, match="path"):
        Entry(path=path, kind=Kind.FILE)
    with pytest.raises(ValueError, match="path"):
        Operation(folder=0, action=Action.MKDIR, path=path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": -1},
        {"mode": 0o10000},
        {"size_bytes": -1},
        {"size_bytes": 2**62 + 1},
        {"mtime_ns": 2**63},
        {"mtime_ns": -(2**63) - 1},
        {"digest": b"short"},
        {"target": "x" * 4097},
    ],
)
def test_an_entry_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    """Adversarial case 7."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Entry(path="a", kind=Kind.FILE, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": 256},
        {"folder": -1},
        {"mode": 0o10000},
        {"mtime_ns": 2**63},
        {"size_bytes": -1},
        {"stream": -1},
        {"stream": 2**31},
        {"digest": b""},
    ],
)
def test_an_operation_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    fields: dict[str, object] = {
        "folder": 0,
        "action": Action.PUT,
        "path": "a",
        "digest": b"d" * 32,
    }
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Operation(**{**fields, **wrong})  # type: ignore[arg-type]


def test_only_a_put_has_a_digest() -> None:
    with pytest.raises(ValueError, match="digest"):
        Operation(folder=0, action=Action.DELETE, path="a", digest=b"d" * 32)
    assert Operation(folder=0, action=Action.TOUCH, path="a", mtime_ns=None).mtime_ns is None


def test_the_target_of_a_link_is_bounded() -> None:
    assert Operation(folder=0, action=Action.LINK, path="a", target="x" * 4096).target
    with pytest.raises(ValueError, match="target"):
        Operation(folder=0, action=Action.LINK, path="a", target="x" * 4097)


def test_a_nul_byte_names_nothing() -> None:
    """Adversarial case 4: no system call takes it, however late it is made."""
    with pytest.raises(ValueError, match="NUL"):
        Operation(folder=0, action=Action.LINK, path="a", target="x\0y")
    with pytest.raises(ValueError, match="NUL"):
        Entry(path="a", kind=Kind.SYMLINK, target="\0")
    with pytest.raises(ValueError, match="NUL"):
        FolderSpec(name="a", path="/srv\0")


def test_the_path_of_a_folder_is_bounded() -> None:
    with pytest.raises(ValueError, match="path"):
        FolderSpec(name="a", path="x" * 4097)


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "x" * 65])
def test_a_folder_needs_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        FolderSpec(name=name, path="/a")


def test_a_folder_has_a_name_and_a_path() -> None:
    assert FolderSpec(name="printer settings", path="/srv").filters == ()
