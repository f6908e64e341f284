"""A large file is changed in its place, and can be had back all the same (B20, B21, B24)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import pytest

from sbs.core.manifest import Action, Operation
from sbs.core.messages import Pack, Patch
from sbs.errors import ReplicationError
from sbs.replication.files.content import BLOCK_BYTES, digest_of_blocks, digest_of_content
from sbs.replication.files.index import Index, stat_key
from sbs.replication.files.places import Places
from sbs.replication.following import putting
from sbs.replication.following.target import CommitRecord, Target
from sbs.replication.former.quarantine import Quarantine
from sbs.replication.former.restoring import find, put_back, write_out
from sbs.replication.former.versions import Versions
from sbs.replication.receiving import overlay, staging
from sbs.replication.receiving.overlay import MAX_SHARE, Overlay, Ranges, alone
from tests.replication.rig import Pair, former, kept, look, proceed, read, write

SIZE = 20 * BLOCK_BYTES + 17
KEEP_S = 1000.0


class StoppedError(Exception):
    pass


@pytest.fixture(autouse=True)
def no_shared_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any file system: the smallest patched file is large enough, and none shares blocks."""
    monkeypatch.setattr(staging, "IN_PLACE_ABOVE", 0)
    monkeypatch.setattr(staging, "_share", lambda *_: False)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with replicated(tmp_path) as pair:
        yield pair


def replicated(base: Path) -> Pair:
    pair = Pair(str(base), strict_delete=True, preserve_mtime=True, versions=Versions(KEEP_S))
    write(f"{pair.a}/f", Random(1).randbytes(SIZE))
    pair.replicate()
    return pair


def change(path: str, number: int, size_bytes: int = SIZE) -> bytes:
    """One byte in the middle, and perhaps the length; the whole content."""
    content = bytearray(read(path)[:size_bytes].ljust(size_bytes, b"+"))
    content[number * BLOCK_BYTES + 5] ^= 0xFF
    write(path, bytes(content))
    return bytes(content)


def committed(pair: Pair) -> CommitRecord:
    record = pair.commit(pair.stage())
    assert record.overlays
    return record


def restored(pair: Pair, generation: int, output: Path) -> bytes:
    """Written to a file."""
    with Places([pair.b]) as places:
        found = find(places, 0, "f", generation, pair.history.number)
        write_out(places, 0, found, str(output))
    content = read(str(output))
    output.unlink()
    return content


def test_the_file_stays_and_its_versions_are_blocks(pair: Pair, tmp_path: Path) -> None:
    """B21: each generation can be had back, by what was replaced since."""
    inode = os.stat(f"{pair.b}/f").st_ino
    contents = [read(f"{pair.a}/f")]
    for number, size_bytes in enumerate((SIZE, SIZE, SIZE - 3, 18 * BLOCK_BYTES, 18 * BLOCK_BYTES)):
        contents.append(change(f"{pair.a}/f", number, size_bytes))
        pair.update()
        assert look(pair.b, times=True) == look(pair.a, times=True)
    assert os.stat(f"{pair.b}/f").st_ino == inode
    kept_bytes = [path.stat().st_size for path in Path(pair.b).rglob("versions/*/*.blocks")]
    assert (len(kept_bytes), sum(kept_bytes) < 12 * BLOCK_BYTES) == (5, True)
    for number, content in enumerate(contents[:-1], 1):
        assert restored(pair, number, tmp_path / "out") == content
    write(f"{pair.a}/f", b"small")  # and where it is replaced as a whole, after that
    pair.update()
    for number, content in enumerate(contents, 1):
        assert restored(pair, number, tmp_path / "out") == content


def test_a_file_that_was_changed_is_not_read_before_the_next_change(pair: Pair) -> None:
    """B24: and what somebody writes to it meanwhile is noticed all the same."""
    for number in range(3):
        change(f"{pair.a}/f", number)
        pair.update()
        row = pair.index_b.row("data", "", "f")
        assert row is not None
        assert row.settled
        assert row.stat == stat_key(os.stat(f"{pair.b}/f"))
    with open(f"{pair.b}/f", "r+b") as file:
        file.write(b"by hand")
    change(f"{pair.a}/f", 4)
    with pytest.raises(ReplicationError, match="not what the leader takes it for"):
        pair.stage()


def test_a_version_of_blocks_is_put_back(pair: Pair) -> None:
    """B21: with mode and time; what stood there is kept as a whole."""
    os.chmod(f"{pair.a}/f", 0o640)
    pair.update()
    before, content = look(pair.b, times=True), read(f"{pair.b}/f")
    changed = change(f"{pair.a}/f", 3)
    pair.update()
    tip = pair.history.tip
    assert tip is not None
    with Places([pair.b]) as places:
        put_back(places, 0, find(places, 0, "f", 2, 3), tip)
    assert (look(pair.b, times=True), read(f"{pair.b}/f")) == (before, content)
    restore = f"{pair.b}/.sbs.staging/versions/{tip.epoch}-{tip.number}-restore-1/0"
    assert read(restore) == changed


def test_blocks_without_their_file_are_no_version(pair: Pair, tmp_path: Path) -> None:
    """B21: this node led since, and its services wrote to the file."""
    change(f"{pair.a}/f", 3)
    pair.update()
    change(f"{pair.b}/f", 9)
    with pytest.raises(ReplicationError, match="no longer what it was then"):
        restored(pair, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "why", ["it is open", "it has another name", "much of it differs", "it grows"]
)
def test_what_cannot_be_changed_in_its_place_is_replaced(pair: Pair, why: str) -> None:
    """R22: nobody finds a file half changed, nor another file changed with it."""
    before, status = read(f"{pair.b}/f"), os.stat(f"{pair.b}/f")
    change(f"{pair.a}/f", 3)
    with open(f"{pair.b}/f" if why == "it is open" else os.devnull, "rb") as file:
        if why == "it has another name":
            os.link(f"{pair.b}/f", f"{pair.base}/other")
        if why == "it grows":  # room would be needed once it is committed
            change(f"{pair.a}/f", 3, SIZE + 1)
        if why == "much of it differs":
            for number in range(20 // MAX_SHARE + 2):
                change(f"{pair.a}/f", number)
        pair.update()
        assert read(f"{pair.b}/f") == read(f"{pair.a}/f")
        assert os.stat(f"{pair.b}/f").st_ino != status.st_ino
        assert file.read() == (before if why == "it is open" else b"")
    assert before in former(pair.b)["f"]
    if why == "it has another name":
        assert read(f"{pair.base}/other") == before


def test_what_happens_between_commit_and_roll_forward(pair: Pair) -> None:
    """R22: opened or linked, it is replaced; changed, it stays, is told, and comes whole then."""
    for why in ("opened", "linked", "changed"):
        change(f"{pair.a}/f", 3)
        update = pair.stage()
        record = pair.commit(update)
        assert record.overlays
        with open(f"{pair.b}/f", "rb+") as file:
            if why != "opened":
                file.close()
            if why == "linked":
                os.link(f"{pair.b}/f", f"{pair.base}/other")
            if why == "changed":
                his = change(f"{pair.b}/f", 7)
            applied = pair.target.apply(record, proceed)
        pair.history = record.history
        pair.peer.commit(update.operations)
        if why != "changed":
            assert applied.problems == ()
            assert look(pair.b, times=True) == look(pair.a, times=True)
    assert ["somebody replaced it" in problem.text for problem in applied.problems] == [True]
    assert read(f"{pair.b}/f") == his
    pair.peer.forget(0, "f")
    pair.update()
    assert look(pair.b, times=True) == look(pair.a, times=True)
    assert his in former(pair.b)["f"]


def test_a_version_in_quarantine_stays_what_it_is(pair: Pair) -> None:
    """B4: it shares the file's inode until the file is replaced."""
    change(f"{pair.a}/f", 1)
    his = change(f"{pair.b}/f", 2)
    pair.connect()  # the leader learns what stands here, and patches that
    pair.update()
    assert look(pair.b, times=True) == look(pair.a, times=True)
    assert his in quarantined(pair.target.quarantine, pair)


def quarantined(quarantine: Quarantine, pair: Pair) -> list[bytes]:
    return [read(f"{pair.b}/{each.kept}") for each in quarantine.standing]


@pytest.mark.parametrize("crash", [False, True], ids=["an error", "a crash"])
def test_the_roll_forward_can_be_taken_again_from_any_instant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    """B20, B21: the file ends whole, and so does its version."""
    monkeypatch.setattr("sbs.replication.files.copying.COPY_BYTES", BLOCK_BYTES // 2)
    for number in range(1, 30):
        with replicated(tmp_path / str(number)) as pair:
            before = read(f"{pair.b}/f")
            change(f"{pair.a}/f", 2)
            change(f"{pair.a}/f", 4, SIZE - BLOCK_BYTES)
            record = committed(pair)
            calls = 0

            def check() -> None:
                nonlocal calls
                calls += 1
                if calls == number:  # noqa: B023 - it is called within this turn of the loop
                    raise StoppedError

            try:
                pair.target.apply(record, check)
            except StoppedError:
                if crash:
                    pair.target.close()
                    with_index = Index(f"{pair.base}/index")
                    target = Target(pair.state_dir, with_index, Versions(KEEP_S))
                    assert target.recover(proceed) == record
                    target.close()
                    with_index.close()
                else:
                    pair.target.apply(record, proceed)
            else:
                assert number > 8, "there are fewer instants than there should be"
                break
            pair.history = record.history
            assert look(pair.b, times=True) == look(pair.a, times=True)
            assert restored(pair, 1, tmp_path / "out") == before
            assert kept(pair.b) == {}, "what is half changed is nobody's version"


def test_what_somebody_writes_while_a_crash_is_mended_is_noticed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by review: between the reading of the file and the lease on it."""
    change(f"{pair.a}/f", 2)
    record = committed(pair)
    read_both = overlay.digest_of_both

    def crash(*_: object) -> NoReturn:
        raise StoppedError

    def read_and_write(*arguments: Any) -> bytes:
        digest = read_both(*arguments)
        with open(f"{pair.b}/f", "r+b") as file:
            file.seek(7 * BLOCK_BYTES)
            file.write(b"by hand")
        return digest

    with monkeypatch.context() as patched:
        patched.setattr(putting, "lay", crash)
        with pytest.raises(StoppedError):
            pair.target.apply(record, proceed)
    monkeypatch.setattr(putting, "digest_of_both", read_and_write)
    assert Target(pair.state_dir, pair.index_b, Versions(KEEP_S)).recover(proceed) == record
    row = pair.index_b.row("data", "", "f")
    assert row is None or row.stat != stat_key(os.stat(f"{pair.b}/f")) or not row.settled
    assert b"by hand" in read(f"{pair.b}/f")


def test_a_torn_version_is_kept_anew_after_a_power_cut(pair: Pair, tmp_path: Path) -> None:
    """B21: it was not durable, so the file was not changed yet."""
    before = read(f"{pair.b}/f")
    change(f"{pair.a}/f", 2)
    record = committed(pair)
    [generation] = [
        f"{record.history.entries[-1].epoch}-{record.history.number}-"
        f"{record.history.entries[-1].digest.hex()[:8]}"
    ]
    torn = f"{pair.b}/.sbs.staging/versions/{generation}/0.blocks"
    write(torn, b"SBSUNDO\x01" + bytes(100))
    pair.target.close()
    with_index = Index(f"{pair.base}/index")
    target = Target(pair.state_dir, with_index, Versions(KEEP_S))
    target.recover(proceed)
    target.close()
    with_index.close()
    pair.history = record.history
    assert look(pair.b, times=True) == look(pair.a, times=True)
    assert restored(pair, 1, tmp_path / "out") == before


def test_a_patch_is_of_the_file_that_it_replaces(pair: Pair) -> None:
    """Adversarial case 24."""
    content = read(f"{pair.b}/f")
    blocks = b"".join(
        digest_of_content(content[at : at + BLOCK_BYTES]) for at in range(0, SIZE, BLOCK_BYTES)
    )
    digest = digest_of_blocks(blocks)
    put = Operation(
        folder=0, action=Action.PUT, path="g", mode=0o600, size_bytes=SIZE, digest=digest, stream=0
    )
    pair.stage()
    pair.target.take(Patch(stream=0, folder=0, path="f", digest=digest, size_bytes=SIZE), proceed)
    with pytest.raises(ReplicationError, match="'g': stream 0 is for 'f'"):
        pair.target.take(Pack((put,)), proceed)


def test_ranges_are_put_together() -> None:
    ranges = Ranges()
    for at, length in ((10, 5), (15, 5), (0, 2), (1, 3), (18, 4), (30, 1)):
        ranges.add(at, length)
    assert ranges.merged == ((0, 4), (10, 12), (30, 1))


@pytest.mark.parametrize(
    ("size_bytes", "ranges", "replaced"),
    [
        (100, ((0, 10), (90, 10)), [(0, 10), (90, 10)]),
        (130, ((95, 35),), [(95, 5)]),
        (60, ((10, 5),), [(10, 5), (60, 40)]),
        (60, ((50, 10),), [(50, 10), (60, 40)]),
        (60, (), [(60, 40)]),
    ],
)
def test_what_is_replaced(
    size_bytes: int, ranges: tuple[tuple[int, int], ...], replaced: list[tuple[int, int]]
) -> None:
    overlay = Overlay(
        stat=(100, 0, 0, 0, 0), digest=bytes(32), size_bytes=size_bytes, ranges=ranges
    )
    assert list(overlay.replaced) == replaced


def test_nobody_opens_a_file_while_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"1")
    fd = os.open(path, os.O_RDWR)
    try:
        with alone(fd) as is_alone:
            assert is_alone
            with pytest.raises(BlockingIOError):
                os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with path.open("rb"), alone(fd) as is_alone:
            assert not is_alone
    finally:
        os.close(fd)
    read_only = os.open(path, os.O_RDONLY)
    try:
        with alone(read_only) as is_alone:
            assert not is_alone, "it cannot be written"
    finally:
        os.close(read_only)
