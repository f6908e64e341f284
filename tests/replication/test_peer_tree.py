"""What the leader's account of its follower costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sbs.core.manifest import Action, Entry, Kind, Operation
from sbs.core.messages import Listing
from sbs.replication.leading import peer_tree
from sbs.replication.leading.peer_tree import PeerTree

BELOW = [f"d/{number:03}" for number in range(50)]


@pytest.fixture
def tree() -> PeerTree:
    """A directory of directories with a file each."""
    tree = PeerTree(1)
    tree.add(_listing(Kind.DIRECTORY, "d"))
    tree.add(_listing(Kind.DIRECTORY, *BELOW))
    for path in BELOW:
        tree.add(_listing(Kind.FILE, f"{path}/f"))
    tree.add(Listing(folder=0, last=True))
    return tree


def _listing(kind: Kind, *paths: str) -> Listing:
    entries = (Entry(path=path, kind=kind, mode=0o755) for path in paths)
    return Listing(folder=0, entries=tuple(entries))


def deletes() -> list[Operation]:
    """Of all there is, as a plan has them: up and down."""
    paths = sorted(["d", *BELOW, *(f"{path}/f" for path in BELOW)], reverse=True)
    return [Operation(folder=0, action=Action.DELETE, path=path) for path in paths]


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    calls: list[str] = []
    real: Callable[..., Any] = getattr(peer_tree, name)

    def call(*args: Any, **options: Any) -> Any:
        calls.append(name)
        return real(*args, **options)

    monkeypatch.setattr(peer_tree, name, call)
    return calls


def test_a_deleted_tree_is_unpacked_once_for_each_directory(
    tree: PeerTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it is done for each entry, and 2000 directories in one take ten seconds."""
    unpacked, packed = counted(monkeypatch, "_unpack"), counted(monkeypatch, "_pack")
    assert all(tree.entry(0, operation.path) for operation in deletes())
    assert len(unpacked) == len(BELOW) + 2
    unpacked.clear()
    tree.commit(deletes())
    assert len(unpacked) == len(BELOW) + 2
    assert packed == [], "nothing is left"
    assert tree.directories(0) == []


def test_a_listing_of_long_names_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """B62: sixteen million entries of eight kilobytes are no listing."""
    monkeypatch.setattr(peer_tree, "MAX_NAMES", 1000)
    tree = PeerTree(1)
    tree.add(_listing(Kind.DIRECTORY, "d" * 200))
    tree.add(_listing(Kind.FILE, "f" * 200))
    link = Entry(path="l" * 200, kind=Kind.SYMLINK, target="t" * 201)
    with pytest.raises(ValueError, match="more than 1000 characters of names"):
        tree.add(Listing(folder=0, entries=(link,)))
    tree.clear()
    tree.add(Listing(folder=0, entries=(link,)))
