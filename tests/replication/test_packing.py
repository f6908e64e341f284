"""Messages cut into smaller ones say the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sbs.core.manifest import Action, Operation
from sbs.core.messages import Begin, Chunk, Content, Pack, Patch
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.content import BLOCK_BYTES, BLOCKS_ABOVE
from sbs.replication.packing import cut
from tests.replication.rig import Pair, look, proceed, read, write

CHANCE = random.Random(5)


def put(path: str, content: bytes, stream: int | None = None) -> Operation:
    return Operation(
        folder=0,
        action=Action.PUT,
        path=path,
        size_bytes=len(content),
        digest=bytes(32),
        stream=stream,
    )


def test_a_pack_is_cut_between_files() -> None:
    contents = [CHANCE.randbytes(size) for size in (50, 0, 60, 200, 1, 99)]
    operations = (
        Operation(folder=0, action=Action.MKDIR, path="d"),
        *(put(f"f{number}", content) for number, content in enumerate(contents)),
        put("streamed", bytes(10**6), stream=3),
        Operation(folder=0, action=Action.DELETE, path="gone"),
    )
    pieces = list(cut(Pack(operations, b"".join(contents)), 100))
    assert [len(each.body) for each in pieces if isinstance(each, Pack)] == [50, 60, 200, 100]
    assert sum((each.operations for each in pieces if isinstance(each, Pack)), ()) == operations
    for each in pieces:  # each carries what its own operations need
        assert isinstance(each, Pack)
        carried = [o for o in each.operations if o.action is Action.PUT and o.stream is None]
        assert len(each.body) == sum(operation.size_bytes for operation in carried)


def test_a_pack_of_contents_that_fit_to_the_end_leaves_nothing() -> None:
    assert list(cut(Pack((put("a", b"xx"), put("b", b"yy")), b"xxyy"), 2)) == [
        Pack((put("a", b"xx"),), b"xx"),
        Pack((put("b", b"yy"),), b"yy"),
    ]


@pytest.mark.parametrize("at", [-1, 5 * BLOCK_BYTES])
def test_a_piece_of_a_large_file_is_cut_at_blocks(at: int) -> None:
    body = CHANCE.randbytes(2 * BLOCKS_ABOVE + 7)
    pieces = list(cut(Chunk(4, body, 1, at), BLOCKS_ABOVE))
    steps = (0, BLOCKS_ABOVE, 2 * BLOCKS_ABOVE)
    assert pieces == [
        Chunk(4, body[step : step + BLOCKS_ABOVE], 1, -1 if at < 0 else at + step) for step in steps
    ]


@pytest.mark.parametrize(
    "message",
    [
        Chunk(0, b"x" * 100),
        Pack((put("a", b"x" * 100),), b"x" * 100),
        Pack((Operation(folder=0, action=Action.DELETE, path="a"),)),
        Patch(stream=0, folder=0, path="f", digest=bytes(32), size_bytes=10**6),
    ],
)
def test_what_is_small_stays_as_it_is(message: Content) -> None:
    assert list(cut(message, 100)) == [message]


def test_an_update_in_small_messages_is_the_same_generation(tmp_path: Path) -> None:
    """B20, B24: new files, packed and streamed, and a patch."""
    with Pair(str(tmp_path)) as pair:
        for number in range(30):
            write(f"{pair.a}/small{number}", CHANCE.randbytes(100_000))
        write(f"{pair.a}/large", CHANCE.randbytes(2_000_000))
        assert replicate_cut(pair) == BLOCKS_ABOVE
        changed = bytearray(read(f"{pair.a}/large"))
        changed[1_000_000:1_900_000] = CHANCE.randbytes(900_000)
        write(f"{pair.a}/large", bytes(changed))
        assert replicate_cut(pair) <= BLOCKS_ABOVE


def replicate_cut(pair: Pair) -> int:
    """An update in pieces; the largest of their bodies."""
    pair.connect()
    update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
    pair.target.begin(Begin(pair.epoch, pair.history.number + 1))
    largest = 0
    for message in update.messages(proceed):
        for piece in cut(message, BLOCKS_ABOVE):
            largest = max(largest, 0 if isinstance(piece, Patch) else len(piece.body))
            pair.target.take(piece, proceed)
    record = pair.commit(update)
    pair.target.apply(record, proceed)
    pair.history = record.history
    assert look(pair.b) == look(pair.a)
    return largest
