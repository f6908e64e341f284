"""The leader's side: what the follower tells, sizes of messages, the seal."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.manifest import Action, Entry, Kind, Operation
from sbs.core.messages import MAX_BODY_BYTES, MAX_ITEMS, Listing, Pack
from sbs.replication.files.content import BLOCKS_ABOVE
from sbs.replication.files.index import SETTLING_NS, Index, Row
from sbs.replication.files.problems import MAX_PROBLEMS, Problems
from sbs.replication.leading import peer_tree
from sbs.replication.leading.source import PeerTree, Source
from sbs.replication.packing import MAX_NAMES_BYTES, Packer
from sbs.replication.seal import Seal
from tests.replication.rig import EPOCH, Pair, look, proceed, write

LONGER_THAN_SETTLING_S = 2 * SETTLING_NS / 1e9

ENTRY = Entry(path="f", kind=Kind.FILE)


def test_a_listing_that_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adversarial case 7; the caller makes a protocol error of it."""
    peer = PeerTree(2)
    with pytest.raises(ValueError, match="folder 2"):
        peer.add(Listing(folder=2, entries=(ENTRY,)))
    monkeypatch.setattr(peer_tree, "MAX_ENTRIES", 1)
    peer.add(Listing(folder=1, entries=(ENTRY,)))
    with pytest.raises(ValueError, match="more than 1 entries"):
        peer.add(Listing(folder=1, entries=(ENTRY,)))
    peer = PeerTree(2)
    with pytest.raises(ValueError, match="before its directory"):
        peer.add(Listing(folder=0, entries=(attrs.evolve(ENTRY, path="d/f"),)))
    peer.add(Listing(folder=1, last=True))
    with pytest.raises(ValueError, match="after the last"):
        peer.add(Listing(folder=0))


def test_a_session_without_folders_still_commits_its_services(tmp_path: Path) -> None:
    """R32: the list of services travels even where no file does."""
    with Pair(str(tmp_path), []) as pair:
        pair.connect()
        update = pair.stage()
        assert update.empty
        record = pair.target.commit(pair.seal(update, ("s",)), pair.history, proceed)
        pair.target.apply(record, proceed)
        assert record.active == ("s",)


def test_messages_stay_within_their_bounds(tmp_path: Path) -> None:
    """Small files travel packed, large ones in pieces; nothing exceeds a frame."""
    with Pair(str(tmp_path)) as pair:
        for number in range(400):
            write(f"{pair.a}/{number % 3}/{'ä' * 100}{number}", os.urandom(10_000))
        write(f"{pair.a}/large", os.urandom(2 * MAX_BODY_BYTES + 1))
        pair.connect()
        sizes: list[int] = []

        def note(message: object) -> None:
            if isinstance(message, Pack):
                names = sum(len(operation.path.encode()) for operation in message.operations)
                assert len(message.operations) <= MAX_ITEMS
                assert names <= MAX_NAMES_BYTES
                sizes.append(len(message.body))

        update = pair.stage(each=note)
        assert len(sizes) < 10, "small files are packed"
        assert max(sizes) <= MAX_BODY_BYTES
        assert update.size_bytes == 400 * 10_000 + 2 * MAX_BODY_BYTES + 1
        assert update.operations_planned == len(update.operations)
        pair.target.apply(pair.commit(update), proceed)
        assert look(pair.b) == look(pair.a)
        listings = [each for each in pair.target.listing(proceed) if isinstance(each, Listing)]
        assert [part.last for part in listings] == [False] * (len(listings) - 1) + [True]


def test_a_pack_is_full_by_items_names_or_contents() -> None:
    def fill(operation: Operation, content: bytes) -> int:
        packer = Packer()
        for count in range(MAX_ITEMS + 2):
            if packer.add(operation, content) is not None:
                return count
        raise AssertionError("never full")

    short = Operation(folder=0, action=Action.DELETE, path="a")
    long = Operation(folder=0, action=Action.LINK, path="a", target="t" * 4000)
    assert fill(short, b"") <= MAX_ITEMS
    assert fill(long, b"") <= MAX_NAMES_BYTES // 4000
    assert fill(short, bytes(BLOCKS_ABOVE)) == MAX_BODY_BYTES // BLOCKS_ABOVE


OPERATIONS = [
    Operation(folder=0, action=Action.PUT, path="f", mode=0o644, size_bytes=1, digest=b"d" * 32),
    Operation(folder=0, action=Action.TOUCH, path="g", mode=0o644, mtime_ns=0),
    Operation(folder=1, action=Action.LINK, path="l", target="t"),
]


def sealed(operations: list[Operation], parts: int = 1) -> Generation:
    seal = Seal()
    for start in range(0, len(operations), parts):
        seal.add(operations[start : start + parts])
    return seal.generation(EPOCH, History(), ("s",))


def test_the_seal_does_not_depend_on_how_operations_were_packed() -> None:
    assert len({sealed(OPERATIONS, parts).digest for parts in (1, 2, 3)}) == 1


@given(
    position=st.integers(0, 2),
    change=st.sampled_from(
        [{"folder": 2}, {"path": "x"}, {"mode": 1}, {"mtime_ns": 7}, {"size_bytes": 9}]
    ),
)
def test_the_seal_covers_every_field(position: int, change: dict[str, Any]) -> None:
    """B20: the commit proves that both sides hold the same."""
    other = list(OPERATIONS)
    other[position] = attrs.evolve(other[position], **change)
    assert sealed(other).digest != sealed(OPERATIONS).digest
    assert sealed(other[::-1]).digest != sealed(other).digest


def test_the_seal_covers_what_the_generation_follows_and_the_services() -> None:
    """Two histories that differ anywhere never share a digest again."""
    first = Generation(Epoch(1, 0), 1, b"1" * 32)
    histories = [
        History(),
        History((first,)),
        History((attrs.evolve(first, digest=b"2" * 32),)),
        History((first, Generation(Epoch(2, 1), 1))),
        History((attrs.evolve(first, digest=b"2" * 32), Generation(Epoch(2, 1), 1))),
    ]
    seal = Seal()
    seal.add(OPERATIONS)
    made = [
        seal.generation(epoch, history, active).digest
        for history in histories
        for epoch in (Epoch(3, 0), Epoch(3, 1))
        for active in ((), ("a", "b"), ("ab",), ("b", "a"))
    ]
    assert len(set(made)) == len(made) == 40


def test_problems_are_bounded_and_fit_for_a_terminal() -> None:
    """Adversarial case 10."""
    problems = Problems("data")
    for number in range(MAX_PROBLEMS + 5):
        problems.add(f"{number}\n\x1b[31m\udcff", "text\r")
    collected = problems.collected
    assert len(collected) == MAX_PROBLEMS + 1
    assert collected[0].path == "data/0\\n\\x1b[31m\\udcff"
    assert collected[0].text == "text\\r"
    assert collected[-1].text == "and 5 more"


def test_a_directory_that_looks_as_it_did_is_not_looked_into(tmp_path: Path) -> None:
    """B23: a full scan asks the index only about directories in which something has changed."""
    asked: list[str] = []

    class Counting(Index):
        def rows(self, folder: str, directory: str) -> dict[str, Row]:
            asked.append(directory)
            return super().rows(folder, directory)

    with Pair(str(tmp_path), strict_delete=True) as pair, closing(Counting(f"{tmp_path}/i")) as i:
        pair.source = Source(pair.specs, i)
        for name in ("one/f", "two/f", "two/below/f"):
            write(f"{pair.a}/{name}", b"1")
        time.sleep(LONGER_THAN_SETTLING_S)
        pair.replicate()
        pair.update()  # the first after a transfer compares the directories with what was sent
        asked.clear()
        update, _ = pair.update()
        assert (asked, update.operations) == ([], [])
        write(f"{pair.a}/two/below/f", b"2")
        time.sleep(LONGER_THAN_SETTLING_S)
        update, _ = pair.update()
        assert asked == ["two/below"]
        assert [each.path for each in update.operations] == ["two/below/f"]
        assert look(pair.b) == look(pair.a)
        pair.peer.forget(0, "one/f")  # what the follower could not put in place is sent again
        update, _ = pair.update()
        assert [each.path for each in update.operations] == ["one/f"]
