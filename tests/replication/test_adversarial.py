"""What went wrong in other replication tools, where no other module has it by its number."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sbs.core.messages import Chunk, Content
from sbs.replication.files.content import BLOCK_BYTES
from tests.replication.rig import Pair, look, proceed, read, write

OLD_NS = 1_000_000_000_000_000_000


def plant(place: str, target: str) -> None:
    """Put a link where a file or directory stood."""
    os.rename(place, f"{place}.away")
    os.symlink(target, place)


CHANGES: dict[str, Callable[[str], None]] = {
    "mode of a file": lambda root: os.chmod(f"{root}/d/f", 0o600),
    "times of a file": lambda root: os.utime(f"{root}/d/f", ns=(OLD_NS, OLD_NS)),
    "content of a file": lambda root: write(f"{root}/d/f", "new"),
    "mode of a directory": lambda root: os.chmod(f"{root}/d", 0o700),
    "a new file": lambda root: write(f"{root}/d/g", "new"),
    "a new directory": lambda root: os.mkdir(f"{root}/d/e"),
    "a new link": lambda root: os.symlink("x", f"{root}/d/l"),
    "a deleted file": lambda root: os.unlink(f"{root}/d/f"),
}


@pytest.mark.parametrize("planted", ["d", "d/f"])
@pytest.mark.parametrize("what", CHANGES)
def test_nothing_is_done_through_a_planted_link(tmp_path: Path, what: str, planted: str) -> None:
    """Adversarial cases 1 and 2: planted between the commit and its roll-forward."""
    outside = tmp_path / "outside"
    write(f"{outside}/d/f", "sentinel")
    os.chmod(outside / "d" / "f", 0o644)
    os.chmod(outside / "d", 0o755)
    before = look(str(outside), times=True)
    with Pair(str(tmp_path), strict_delete=True, preserve_mtime=True) as pair:
        write(f"{pair.a}/d/f", "old")
        pair.replicate()
        CHANGES[what](pair.a)
        pair.connect()
        record = pair.commit(pair.stage())
        plant(f"{pair.b}/{planted}", f"{outside}/{planted}")
        pair.target.apply(record, proceed)
    assert look(str(outside), times=True) == before
    assert stat.S_IMODE(os.stat(outside / "d").st_mode) == 0o755


def test_a_name_that_only_changes_its_case_arrives(tmp_path: Path) -> None:
    """Adversarial case 15: here both names are different files; the old one goes."""
    with Pair(str(tmp_path), strict_delete=True) as pair:
        write(f"{pair.a}/readme", "text")
        write(f"{pair.a}/Straße/f", "text")
        pair.replicate()
        os.rename(f"{pair.a}/readme", f"{pair.a}/README")
        os.rename(f"{pair.a}/Straße", f"{pair.a}/STRASSE")
        pair.replicate()
        assert sorted(os.listdir(pair.a)) == ["README", "STRASSE"]
        assert look(pair.a) == look(pair.b)


def test_names_that_are_equal_when_folded_stay_apart(tmp_path: Path) -> None:
    """Adversarial case 15: composed and decomposed, small and capital."""
    names = ("\u00e9", "e\u0301", "E\u0301", "\u00c9", "\u212b", "\u00c5")
    with Pair(str(tmp_path)) as pair:
        for name in names:
            write(f"{pair.a}/{name}", name)
        pair.replicate()
        assert sorted(os.listdir(pair.b)) == sorted(names)
        assert look(pair.a) == look(pair.b)


def test_a_file_of_zeros_and_one_of_equal_blocks(tmp_path: Path) -> None:
    """Adversarial case 19: each block is sent where it differs, however often it is there."""
    size = 32 * BLOCK_BYTES
    with Pair(str(tmp_path)) as pair:
        write(f"{pair.a}/zeros", bytes(size))
        write(f"{pair.a}/equal", (b"b" * BLOCK_BYTES) * 32)
        pair.connect()
        pair.update()
        with open(f"{pair.a}/zeros", "r+b") as file:
            file.seek(size // 2)
            file.write(b"1")
        write(f"{pair.a}/equal", (b"b" * BLOCK_BYTES) * 31 + b"c" * BLOCK_BYTES)
        messages: list[Content] = []
        update = pair.stage(each=messages.append)
        pair.target.apply(pair.commit(update), proceed)
        chunks = [each for each in messages if isinstance(each, Chunk)]
        assert [(each.at, len(each.body)) for each in chunks] == [
            (31 * BLOCK_BYTES, BLOCK_BYTES),
            (16 * BLOCK_BYTES, BLOCK_BYTES),
        ]
        assert look(pair.a) == look(pair.b)


def test_thousands_of_equal_files(tmp_path: Path) -> None:
    """Adversarial case 19: of names and contents alike."""
    with Pair(str(tmp_path)) as pair:
        for number in range(5000):
            write(f"{pair.a}/{number % 7}/{number}", b"equal")
        pair.connect()
        pair.update()
        assert look(pair.a) == look(pair.b)
        assert read(f"{pair.b}/0/4998") == b"equal"
