"""Files with holes keep them, wherever they are copied (B24)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sbs.core.messages import Chunk, Content, Patch
from sbs.replication.files.content import BLOCK_BYTES, MAX_LISTED_BYTES
from sbs.replication.files.copying import copy_content
from sbs.replication.files.places import Places
from sbs.replication.former.restoring import find, write_out
from sbs.replication.former.versions import Versions
from sbs.replication.receiving import staging
from tests.replication.rig import Pair, look, proceed, read

SIZE = 64 * BLOCK_BYTES + 5


def with_holes(path: str, *at: int, size_bytes: int = SIZE) -> None:
    """A page of data at each place, and nothing else."""
    with open(path, "rb+" if os.path.exists(path) else "wb") as file:
        os.ftruncate(file.fileno(), size_bytes)
        for position in at:
            os.pwrite(file.fileno(), (b"data" * 1024)[: size_bytes - position], position)


def room_bytes(path: str) -> int:
    return os.stat(path).st_blocks * 512


@pytest.fixture(params=["copied", "in place"])
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Pair:
    """Whichever way a file is patched."""
    monkeypatch.setattr(staging, "_share", lambda *_: False)
    if request.param == "in place":
        monkeypatch.setattr(staging, "IN_PLACE_ABOVE", 0)
    return Pair(str(tmp_path), preserve_mtime=True, versions=Versions(1000.0))


def test_holes_are_not_sent_and_take_no_room(pair: Pair) -> None:
    """The first time, when it changes, and as a version."""
    messages: list[Content] = []
    with pair:
        with_holes(f"{pair.a}/f", 0, 40 * BLOCK_BYTES + 7)
        if room_bytes(f"{pair.a}/f") >= SIZE:
            pytest.fail("the file system of temporary files has no holes")
        pair.connect()
        update = pair.stage(each=messages.append)
        pair.target.apply(record := pair.commit(update), proceed)
        pair.history = record.history
        pair.peer.commit(update.operations)
        assert [type(each) for each in messages[:3]] == [Patch, Chunk, Chunk]
        assert sum(len(each.body) for each in messages if isinstance(each, Chunk)) <= (
            3 * BLOCK_BYTES
        )
        assert look(pair.b, times=True) == look(pair.a, times=True)
        first = read(f"{pair.b}/f")
        assert room_bytes(f"{pair.b}/f") <= 4 * BLOCK_BYTES
        with_holes(f"{pair.a}/f", 20 * BLOCK_BYTES)
        pair.update()
        assert look(pair.b, times=True) == look(pair.a, times=True)
        assert room_bytes(f"{pair.b}/f") <= 6 * BLOCK_BYTES
        with Places([pair.b]) as places:
            output = f"{pair.base}/out"
            write_out(places, 0, find(places, 0, "f", 1, 2), output)
        assert read(output) == first
        assert room_bytes(output) <= 4 * BLOCK_BYTES


@pytest.mark.parametrize("at", [(), (SIZE - 3,)], ids=["nothing else", "a few bytes at the end"])
def test_a_file_of_a_hole(pair: Pair, at: tuple[int, ...]) -> None:
    """Adversarial case 19."""
    with pair:
        with_holes(f"{pair.a}/f", *at)
        pair.replicate()
        assert look(pair.b) == look(pair.a)
        assert room_bytes(f"{pair.b}/f") <= 2 * BLOCK_BYTES


def test_the_largest_that_is_known_by_its_blocks(tmp_path: Path) -> None:
    """Its holes are not read: this takes as long as the digest of their list of blocks."""
    with Pair(str(tmp_path)) as pair:
        with_holes(f"{pair.a}/f", 5 << 30, size_bytes=MAX_LISTED_BYTES)
        pair.connect()
        update = pair.stage()
        pair.target.apply(pair.commit(update), proceed)
        assert os.stat(f"{pair.b}/f").st_size == MAX_LISTED_BYTES
        assert room_bytes(f"{pair.b}/f") <= BLOCK_BYTES
        with open(f"{pair.b}/f", "rb") as file:
            file.seek(5 << 30)
            assert file.read(8) == b"datadata"


def test_copies_of_files_of_any_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut, extended, with holes at their ends; with the call that copies, and without."""
    page = 4096
    for call in (True, False):
        if not call:

            def refuse(*_arguments: object) -> int:
                raise OSError(18, "Invalid cross-device link")

            monkeypatch.setattr("os.copy_file_range", refuse)
        for size in (0, 1, page, 10 * page + 3):
            for data in ((), (0,), (5 * page,), (9 * page + 3,)):
                source = tmp_path / "source"
                source.unlink(missing_ok=True)
                source.touch()
                os.truncate(source, size)
                with source.open("rb+") as file:
                    for at in data:
                        if at < size:
                            os.pwrite(file.fileno(), b"x" * min(page, size - at), at)
                for wanted in (0, size // 2, size, size + page):
                    with source.open("rb") as full, (tmp_path / "copy").open("wb") as copy:
                        copy_content(full.fileno(), copy.fileno(), wanted, proceed)
                    content = source.read_bytes()[:wanted].ljust(wanted, b"\0")
                    assert (tmp_path / "copy").read_bytes() == content
