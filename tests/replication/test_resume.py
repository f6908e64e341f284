"""A large file goes on where a lost connection has cut it (B24)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from sbs.core.manifest import Action, Operation
from sbs.core.messages import Begin, Chunk, Content, Fragment, Listing, Pack, Patch
from sbs.errors import ReplicationError
from sbs.replication.bodies import content_bytes
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.content import BLOCK_BYTES, digest_of_content
from sbs.replication.following.target import Target
from sbs.replication.leading.peer_tree import MAX_FRAGMENTS, PeerTree
from sbs.replication.receiving.fragment import FRAGMENT_NAME
from tests.replication.rig import EPOCH, Pair, look, proceed, read, write

PIECE = 8 * BLOCK_BYTES
SIZE = 6 * PIECE + 17
KEPT = f".sbs.staging/{FRAGMENT_NAME}"


class CutError(Exception):
    """The connection is lost."""


@pytest.fixture
def content() -> bytes:
    return Random(5).randbytes(SIZE)


@pytest.fixture
def pair(tmp_path: Path, content: bytes) -> Iterator[Pair]:
    with Pair(str(tmp_path), ("data", "more"), strict_delete=True) as pair:
        write(f"{pair.a}/f", content)
        pair.connect()
        yield pair


def cut(pair: Pair, chunks: int) -> None:
    """An update that is cut after so many chunks; the session ends."""

    def count(message: Content) -> None:
        nonlocal chunks
        chunks -= isinstance(message, Chunk)
        if chunks < 0:
            raise CutError

    with pytest.raises(CutError):
        pair.stage(each=count)
    pair.target.suspend()


def sent_bytes(pair: Pair) -> int:
    """Contents that the next update takes; then both hold the same."""
    messages: list[Content] = []
    update = pair.stage(each=messages.append)
    record = pair.commit(update)
    pair.target.apply(record, proceed)
    pair.history = record.history
    pair.peer.commit(update.operations)
    for source, copy in zip(pair.sources, pair.copies, strict=True):
        assert look(copy) == look(source)
    return sum(content_bytes(each) for each in messages)


def test_only_the_rest_is_sent(pair: Pair) -> None:
    """After each of several cuts; a cut before anything came of the rest costs nothing."""
    for chunks in (2, 0, 1):
        cut(pair, chunks)
        pair.connect()
    assert sent_bytes(pair) == SIZE - 3 * PIECE
    pair.connect()
    assert not pair.peer.fragments


def test_a_file_that_has_come_whole_is_not_sent_again(tmp_path: Path) -> None:
    """The cut came before the operation that names the stream; the file ends with a block."""
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/f", Random(6).randbytes(3 * PIECE))
        pair.connect()
        update = pair.source.prepare(pair.peer, EVERYTHING, proceed)
        pair.target.begin(Begin(EPOCH, 1))
        for message in update.messages(proceed):
            if not isinstance(message, Pack):
                pair.target.take(message, proceed)
        pair.target.suspend()
        pair.connect()
        assert sent_bytes(pair) == 0


def test_too_little_is_not_kept(pair: Pair) -> None:
    """What is no more than a small file, and nothing that stands in a folder, is a fragment."""
    pair.target.begin(Begin(EPOCH, 1))
    pair.target.take(Patch(stream=0, folder=0, path="f", digest=b"", size_bytes=SIZE), proceed)
    pair.target.take(Chunk(0, bytes(2 * BLOCK_BYTES), at=0), proceed)
    pair.target.suspend()
    assert os.listdir(pair.b) == []


def test_a_file_that_changed_meanwhile_comes_whole(pair: Pair, content: bytes) -> None:
    """B25: what came before is only used if the file begins with it still."""
    cut(pair, 3)
    write(f"{pair.a}/f", b"x" + content[1:])
    pair.connect()
    assert sent_bytes(pair) == SIZE


def test_a_file_that_changed_after_the_fragment_goes_on(pair: Pair, content: bytes) -> None:
    """Longer, shorter, or with another end."""
    cut(pair, 3)
    write(f"{pair.a}/f", content[:-1] + b"?" + bytes(2 * PIECE) + b"the end")
    pair.connect()
    assert sent_bytes(pair) < SIZE - 3 * PIECE + 2 * BLOCK_BYTES


@pytest.mark.parametrize("size_bytes", [3 * PIECE - 1, 100])
def test_a_file_that_became_shorter_than_the_fragment_comes_whole(
    pair: Pair, content: bytes, size_bytes: int
) -> None:
    cut(pair, 3)
    write(f"{pair.a}/f", content[:size_bytes])
    pair.connect()
    assert sent_bytes(pair) == size_bytes


def test_a_file_that_is_gone_takes_its_fragment_with_it(pair: Pair) -> None:
    """At the latest when something else is committed."""
    cut(pair, 3)
    os.unlink(f"{pair.a}/f")
    write(f"{pair.a}/g", b"other")
    pair.connect()
    assert os.path.exists(f"{pair.b}/{KEPT}")
    assert sent_bytes(pair) == 5


def test_holes_are_not_sent_after_a_cut_either(tmp_path: Path) -> None:
    with Pair(str(tmp_path)) as pair:
        with open(f"{pair.a}/f", "wb") as file:
            for number in (0, 1, 2, 3, 40):
                os.pwrite(file.fileno(), Random(number).randbytes(PIECE), number * PIECE)
            os.truncate(file.name, 100 * PIECE)
        pair.connect()
        cut(pair, 3)
        pair.connect()
        assert sent_bytes(pair) == 2 * PIECE
        assert os.stat(f"{pair.b}/f").st_blocks * 512 < 6 * PIECE


def test_the_larger_of_two_fragments_stays(pair: Pair, content: bytes) -> None:
    """A node keeps one; a file that comes before the other is not a reason to lose more."""
    cut(pair, 3)
    write(f"{pair.a}/a", content[::-1])
    pair.connect()
    cut(pair, 1)
    pair.connect()
    assert [each.path for each in pair.peer.fragments.values()] == ["f"]
    cut(pair, 5)
    pair.connect()
    assert [each.path for each in pair.peer.fragments.values()] == ["a"]
    assert sent_bytes(pair) == 2 * SIZE - 5 * PIECE


def test_one_in_another_folder_gives_way_to_a_larger_one(pair: Pair, content: bytes) -> None:
    os.rename(f"{pair.a}/f", f"{pair.sources[1]}/f")
    cut(pair, 2)
    write(f"{pair.a}/f", content[::-1])
    pair.connect()
    cut(pair, 3)
    assert not os.path.exists(f"{pair.copies[1]}/{KEPT}")
    pair.connect()
    assert sent_bytes(pair) == 2 * SIZE - 3 * PIECE


def test_nothing_of_it_is_left_when_the_folder_is_not_replicated_any_more(pair: Pair) -> None:
    """R24: the leader's settings are others."""
    cut(pair, 3)
    pair.target.open(pair.specs[1:], pair.copies[1:])
    assert os.listdir(pair.b) == []
    pair.connect()
    assert sent_bytes(pair) == SIZE


def test_nothing_of_it_is_left_when_the_folder_lies_elsewhere(pair: Pair, tmp_path: Path) -> None:
    cut(pair, 3)
    former, pair.copies[0] = pair.b, str(tmp_path / "elsewhere")
    pair.connect()
    assert os.listdir(former) == []
    assert sent_bytes(pair) == SIZE


def test_nothing_of_it_is_left_when_this_node_leads(pair: Pair) -> None:
    """It takes the role over, and its services run."""
    cut(pair, 3)
    pair.target.forget_fragment()
    assert os.listdir(pair.b) == []
    pair.connect()
    assert sent_bytes(pair) == SIZE


def test_nothing_of_it_is_left_after_an_update_that_failed(pair: Pair) -> None:
    """B20: a full disk, perhaps."""
    cut(pair, 3)
    pair.connect()
    pair.stage()
    pair.target.abandon()
    assert os.listdir(pair.b) == []
    pair.source.send_whole()
    assert sent_bytes(pair) == SIZE


def test_nothing_of_it_is_left_when_an_update_without_it_failed(pair: Pair) -> None:
    cut(pair, 3)
    pair.connect()
    pair.target.begin(Begin(EPOCH, 1))
    pair.target.abandon()
    assert os.listdir(pair.b) == []


@pytest.mark.parametrize("listed", [False, True], ids=["after the cut", "in the next session"])
def test_nothing_of_it_is_left_after_a_crash(pair: Pair, listed: bool) -> None:
    """Its digests were in memory only."""
    cut(pair, 3)
    if listed:
        pair.connect()
    crashed = Target(pair.state_dir, pair.index_b)
    crashed.recover(proceed)
    assert os.listdir(pair.b) == []
    crashed.close()


def test_nothing_of_it_is_left_when_the_node_ends(pair: Pair) -> None:
    cut(pair, 3)
    pair.target.close()
    assert os.listdir(pair.b) == []


def test_a_fragment_that_somebody_touched_is_not_offered(pair: Pair) -> None:
    """It lies in a folder, where people can reach it."""
    cut(pair, 3)
    with open(f"{pair.b}/{KEPT}", "rb+") as file:
        file.write(b"x")
    pair.connect()
    assert not pair.peer.fragments
    assert sent_bytes(pair) == SIZE


@pytest.mark.parametrize("what", ["touched", "gone", "a link"])
def test_a_fragment_that_somebody_touched_later_is_not_used(pair: Pair, what: str) -> None:
    """Adversarial case 1: between the offer and its use; the next update sends the file whole."""
    cut(pair, 3)
    pair.connect()
    kept = f"{pair.b}/{KEPT}"
    match what:
        case "touched":
            write(kept, b"x")
        case "gone":
            os.unlink(kept)
        case _:
            os.rename(kept, f"{pair.base}/moved")
            os.symlink(f"{pair.base}/moved", kept)
    with pytest.raises(ReplicationError):
        pair.stage()
    pair.target.abandon()
    pair.source.send_whole()
    assert sent_bytes(pair) == SIZE


def test_what_cannot_be_kept_comes_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk broke at that moment."""

    def refuse(*_arguments: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("os.ftruncate", refuse)
        cut(pair, 3)
    assert os.listdir(pair.b) == []
    pair.connect()
    assert sent_bytes(pair) == SIZE


def fragment_of(pair: Pair) -> Fragment:
    cut(pair, 3)
    pair.connect()
    return pair.peer.fragments.pop((0, "f"))


OFFERS: dict[str, dict[str, Any]] = {
    "another path": {"path": "g"},
    "another folder": {"folder": 1},
    "another content": {"digest": bytes(32)},
    "more than the file": {"size_bytes": SIZE + BLOCK_BYTES},
    "no whole blocks": {"size_bytes": 3 * PIECE - 1},
    "next to nothing": {"size_bytes": 2 * BLOCK_BYTES},
    "more than any file": {"size_bytes": 1 << 62},
}


@pytest.mark.parametrize("what", OFFERS)
def test_an_offer_that_does_not_fit_is_not_used(pair: Pair, what: str) -> None:
    """A follower may say anything: then the file goes whole."""
    offered = attrs.evolve(fragment_of(pair), **OFFERS[what])
    pair.peer.fragments[offered.folder, offered.path] = offered
    assert sent_bytes(pair) == SIZE


def test_offers_are_bounded() -> None:
    peer = PeerTree(1)
    offer = Fragment(folder=0, path="f", size_bytes=1, digest=bytes(32))
    for number in range(MAX_FRAGMENTS):
        peer.add(attrs.evolve(offer, path=f"f{number}"))
    with pytest.raises(ValueError, match="more than 1000 fragments"):
        peer.add(offer)
    with pytest.raises(ValueError, match="a fragment in folder 1; the session has 1"):
        peer.add(attrs.evolve(offer, folder=1))
    peer.clear()
    assert not peer.fragments
    peer.add(Listing(folder=0, last=True))
    with pytest.raises(ValueError, match="after the last one"):
        peer.add(offer)


@pytest.mark.parametrize("path", ["../f", "/f", "a//b", ".sbs.staging/f", "a\0b"])
def test_an_offer_names_a_file_in_its_folder(path: str) -> None:
    """Adversarial case 4."""
    with pytest.raises(ValueError, match="path"):
        Fragment(folder=0, path=path, size_bytes=1, digest=bytes(32))


def test_an_offer_has_a_digest() -> None:
    with pytest.raises(ValueError, match="'digest' must be 32 bytes, not 0"):
        Fragment(folder=0, path="f", size_bytes=1, digest=b"")


PATCHES: dict[str, tuple[dict[str, Any], str]] = {
    "of another path": ({"path": "g"}, "No such file"),
    "of another folder": ({"folder": 1}, "No such file"),
    "with another content": ({"digest": bytes(32)}, "No such file"),
    "to something shorter": ({"size_bytes": 2 * PIECE}, "of no use"),
    "to more than is listed": ({"size_bytes": 1 << 50}, "at most 68719476736"),
}


@pytest.mark.parametrize("what", PATCHES)
def test_a_patch_that_does_not_fit_the_fragment_is_refused(pair: Pair, what: str) -> None:
    """Adversarial case 24."""
    fields, text = PATCHES[what]
    patch = patch_of(fragment_of(pair))
    pair.target.begin(Begin(EPOCH, 1))
    with pytest.raises(ReplicationError, match=text):
        pair.target.take(attrs.evolve(patch, **fields), proceed)
    pair.target.abandon()
    assert os.listdir(pair.b) == []


def test_a_fragment_is_used_once(pair: Pair) -> None:
    patch = patch_of(fragment_of(pair))
    pair.target.begin(Begin(EPOCH, 1))
    pair.target.take(patch, proceed)
    with pytest.raises(ReplicationError, match="No such file"):
        pair.target.take(attrs.evolve(patch, stream=1), proceed)
    pair.target.abandon()
    assert os.listdir(pair.b) == []


def test_streams_ascend_with_a_fragment_too(pair: Pair) -> None:
    patch = patch_of(fragment_of(pair))
    pair.target.begin(Begin(EPOCH, 1))
    pair.target.take(attrs.evolve(patch, stream=3, digest=b""), proceed)
    with pytest.raises(ReplicationError, match="must ascend"):
        pair.target.take(patch, proceed)


def test_the_rest_of_a_fragment_that_never_comes_is_zeros(pair: Pair) -> None:
    """Adversarial case 24: the digest is of what the file holds then."""
    content = read(f"{pair.a}/f")
    put = Operation(
        folder=0,
        action=Action.PUT,
        path="f",
        mode=0o600,
        size_bytes=SIZE,
        digest=digest_of_content(content),
        stream=0,
    )
    fragment = fragment_of(pair)
    pair.target.begin(Begin(EPOCH, 1))
    pair.target.take(patch_of(fragment), proceed)
    with pytest.raises(ReplicationError, match="other content"):
        pair.target.take(Pack((put,)), proceed)
    pair.target.abandon()
    zeros = digest_of_content(content[: 3 * PIECE].ljust(SIZE, b"\0"))
    fragment = fragment_of(pair)
    pair.target.begin(Begin(EPOCH, 1))
    pair.target.take(patch_of(fragment), proceed)
    pair.target.take(Pack((attrs.evolve(put, digest=zeros),)), proceed)


def patch_of(fragment: Fragment) -> Patch:
    return Patch(stream=0, folder=0, path="f", digest=fragment.digest, size_bytes=SIZE)
