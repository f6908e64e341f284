"""A change in a large file costs the blocks that differ (B24)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.messages import Begin, Chunk, Content, Pack, Patch
from sbs.errors import ReplicationError
from sbs.replication.files import copying
from sbs.replication.files.content import (
    BLOCK_BYTES,
    BLOCKS_ABOVE,
    ContentHash,
    PatchedBlocks,
    digest_of_blocks,
    digest_of_content,
)
from sbs.replication.following import target
from sbs.replication.receiving import incoming, staging
from tests.replication.rig import EPOCH, Pair, look, proceed, write

SIZE = 20 * BLOCK_BYTES + 17


@pytest.fixture
def content() -> bytes:
    return Random(1).randbytes(SIZE)


def sent(pair: Pair) -> list[Content]:
    """Replicate once more in the session; what carried contents."""
    messages: list[Content] = []
    update = pair.stage(each=messages.append)
    if update.empty:
        pair.target.abandon()
    else:
        record = pair.commit(update)
        pair.target.apply(record, proceed)
        pair.history = record.history
        pair.peer.commit(update.operations)
    assert look(pair.a) == look(pair.b)
    return messages


def body_bytes(messages: list[Content]) -> int:
    return sum(len(each.body) for each in messages if not isinstance(each, Patch))


def test_a_changed_byte_costs_a_block(tmp_path: Path, content: bytes) -> None:
    """B24: and only the first time the whole file."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        assert body_bytes(sent(pair)) == SIZE
        for at in (0, SIZE // 2, SIZE - 1):
            content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            write(f"{pair.a}/f", content)
            messages = sent(pair)
            assert [type(each) for each in messages] == [Patch, Chunk, Pack]
            assert body_bytes(messages) <= BLOCK_BYTES


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "cut at a block": lambda content: content[: 7 * BLOCK_BYTES],
    "cut within a block": lambda content: content[: 7 * BLOCK_BYTES + 5],
    "appended": lambda content: content + b"more",
    "appended blocks": lambda content: content + bytes(3 * BLOCK_BYTES),
    "many places": lambda content: content.replace(b"a", b"b"),
    "two neighbours": lambda content: (
        content[:BLOCK_BYTES] + b"x" * 2 * BLOCK_BYTES + content[3 * BLOCK_BYTES :]
    ),
    "zeros": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_any_change_arrives(tmp_path: Path, content: bytes, what: str) -> None:
    """B24: verified by the digest of all blocks."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        write(f"{pair.a}/f", CHANGES[what](content))
        messages = sent(pair)
        assert any(isinstance(each, Patch) for each in messages)
        assert sent(pair) == []


def test_a_file_that_was_only_touched_sends_nothing(tmp_path: Path, content: bytes) -> None:
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        os.utime(f"{pair.a}/f", ns=(1, 1))
        assert sent(pair) == []


def test_a_file_that_becomes_small_goes_whole(tmp_path: Path, content: bytes) -> None:
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        write(f"{pair.a}/f", content[:100])
        assert [type(each) for each in sent(pair)] == [Pack]


def test_blocks_are_known_across_sessions_and_roles(tmp_path: Path, content: bytes) -> None:
    """B24: the follower remembers what it was sent; after a takeover it patches the other way."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        digest = digest_of_content(content)
        for index in (pair.index_a, pair.index_b):
            assert digest_of_blocks(index.blocks(digest)) == digest
        pair.connect()
        write(f"{pair.a}/f", b"x" + content[1:])
        assert body_bytes(sent(pair)) == BLOCK_BYTES
        pair.connect()
        sent(pair)
        assert pair.index_a.blocks(digest) == b"", "no file has that content any more"


def test_a_base_that_differs_is_refused_and_the_file_goes_whole(
    tmp_path: Path, content: bytes
) -> None:
    """B4, B24: somebody wrote on the secondary; nothing is built on what is not known."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        write(f"{pair.b}/f", content[:-1] + b"?")
        write(f"{pair.a}/f", b"x" + content[1:])
        with pytest.raises(ReplicationError, match="sent whole"):
            pair.stage()
        pair.target.abandon()
        pair.source.send_whole()
        assert body_bytes(sent(pair)) == SIZE
        write(f"{pair.a}/f", b"y" + content[1:])
        pair.source.send_whole()  # the last one went whole: that was not why it failed
        assert body_bytes(sent(pair)) == BLOCK_BYTES


def test_without_shared_blocks_the_base_is_copied(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems without copy_file_range, or between two of them."""

    def refuse(*_arguments: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.copy_file_range", refuse)
    monkeypatch.setattr(copying, "COPY_BYTES", 1000)
    monkeypatch.setattr(staging, "_share", lambda *_: False)
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        write(f"{pair.a}/f", content + b"more")
        assert body_bytes(sent(pair)) < 2 * BLOCK_BYTES


def hostile(digest: bytes) -> dict[str, tuple[list[Content], str]]:
    patch = Patch(stream=0, folder=0, path="f", digest=digest, size_bytes=SIZE)
    block = bytes(BLOCK_BYTES)
    return {
        "no such file": ([_with(patch, path="g")], "No such file"),
        "a link": ([_with(patch, path="link")], "Too many levels"),
        "no such folder": ([_with(patch, folder=3)], "folder 3"),
        "another content": ([_with(patch, digest=bytes(32))], "sent whole"),
        "a piece without its place": ([patch, Chunk(0, block)], "no blocks"),
        "a piece between blocks": ([patch, Chunk(0, block, at=1)], "no blocks"),
        "a piece that ends between blocks": ([patch, Chunk(0, b"x", at=0)], "no blocks"),
        "a piece beyond the end": ([patch, Chunk(0, block, at=1 << 40)], "no blocks"),
        "a place in a stream that patches nothing": ([Chunk(0, block, at=0)], "patches no file"),
        "streams that descend": ([_with(patch, stream=2), patch], "must ascend"),
        "one stream twice": ([patch, patch], "must ascend"),
        "more blocks than are listed": ([_with(patch, size_bytes=1 << 50)], "at most 68719476736"),
        "more zeros than are listed": (
            [_with(patch, digest=b"", size_bytes=1 << 50)],
            "at most 68719476736",
        ),
    }


def _with(patch: Patch, **changes: object) -> Patch:
    fields = {
        "stream": patch.stream,
        "folder": patch.folder,
        "path": patch.path,
        "digest": patch.digest,
        "size_bytes": patch.size_bytes,
    }
    return Patch(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("what", hostile(bytes(32)))
def test_a_patch_that_makes_no_sense_is_refused(tmp_path: Path, content: bytes, what: str) -> None:
    """Adversarial cases 4, 6 and 7."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        os.symlink("f", f"{pair.b}/link")
        messages, text = hostile(digest_of_content(content))[what]
        pair.target.begin(Begin(EPOCH, pair.history.number + 1))
        *first, last = messages
        for message in first:
            pair.target.take(message, proceed)
        with pytest.raises(ReplicationError, match=text):
            pair.target.take(last, proceed)
        pair.target.abandon()
        os.unlink(f"{pair.b}/link")
        assert look(pair.a) == look(pair.b)


@pytest.mark.parametrize("path", ["../f", "/f", "a//b", ".sbs.staging/f", "a\0b"])
def test_a_patch_names_a_file_in_its_folder(path: str) -> None:
    """Adversarial case 4."""
    with pytest.raises(ValueError, match="path"):
        Patch(stream=0, folder=0, path=path, digest=bytes(32), size_bytes=1)


def test_the_digest_is_that_of_the_page() -> None:
    """docs/protocol.md, Values: BLAKE3, or BLAKE3 of the digests of the blocks."""
    small, large = bytes(BLOCKS_ABOVE), Random(2).randbytes(BLOCKS_ABOVE + 1)
    assert digest_of_content(small) == blake3(small).digest()
    parts = [large[at : at + BLOCK_BYTES] for at in range(0, len(large), BLOCK_BYTES)]
    digests = [blake3(part).digest() for part in parts]
    assert digest_of_content(large) == blake3(b"".join(digests)).digest()


@given(
    size=st.integers(0, 3 * BLOCK_BYTES), cuts=st.lists(st.integers(0, 3 * BLOCK_BYTES), max_size=5)
)
def test_the_digest_does_not_depend_on_the_pieces(size: int, cuts: list[int]) -> None:
    content = Random(size).randbytes(size)
    edges = sorted({0, size, *(cut for cut in cuts if cut < size)})
    whole = ContentHash()
    for start, end in itertools.pairwise(edges):
        whole.update(content[start:end])
    assert whole.digest() == digest_of_content(content)
    if size > BLOCKS_ABOVE:
        assert digest_of_blocks(whole.blocks) == whole.digest()
        patched = PatchedBlocks(whole.blocks, size)
        assert patched.digest() == whole.digest()


def listed(pair: Pair) -> int:
    """How many lists of blocks the follower's index has."""
    with pair.index_b.transaction() as database:
        return int(database.execute("SELECT count(*) FROM blocks").fetchone()[0])


def test_lists_of_blocks_that_nothing_needs_any_more_are_dropped(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B24, B62: a secondary that follows for a year has those of all versions else."""
    monkeypatch.setattr(target, "DROP_BLOCKS_ABOVE", 3 * 21 * 32 - 1)
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        sent(pair)
        found: list[int] = []
        for at in range(7):
            content = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            write(f"{pair.a}/f", content)
            assert body_bytes(sent(pair)) <= BLOCK_BYTES
            found.append(listed(pair))
        assert found == [2, 3, 2, 3, 4, 2, 3]


def test_no_more_lists_of_blocks_are_kept_than_fit(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B62: what is not kept is found by reading."""
    monkeypatch.setattr(incoming, "MAX_BLOCKS_BYTES", 21 * 32)
    with Pair(str(tmp_path)) as pair:
        for name in "fg":
            write(f"{pair.a}/{name}", content + name.encode())
        pair.connect()
        sent(pair)
        assert listed(pair) == 1
        for name in "fg":
            write(f"{pair.a}/{name}", b"X" + content[1:] + name.encode())
        assert body_bytes(sent(pair)) <= 2 * BLOCK_BYTES
