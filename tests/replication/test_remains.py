"""What a power cut leaves of a roll-forward is no version of anybody's (B4, B20, B21)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sbs.replication.former.versions import Versions
from sbs.replication.receiving.remains import PAGE_BYTES
from tests.replication.rig import Pair, former, kept, look, proceed, read, write

NEXT = b"n" * PAGE_BYTES + b"e" * PAGE_BYTES + b"xt"


def found(tmp_path: Path, standing: bytes | None, *, before: bytes | None = b"former") -> Pair:
    """A recovery that finds ``standing`` where its record puts a file; ``None``: nothing."""
    pair = Pair(str(tmp_path), versions=Versions(3600.0))
    if before is not None:
        write(f"{pair.a}/f", before)
        pair.replicate()
    write(f"{pair.a}/f", NEXT)
    pair.connect()
    pair.commit(pair.stage())
    if standing is not None:
        write(f"{pair.b}/f", standing)
    pair.target.recover(proceed)
    assert read(f"{pair.b}/f") == NEXT
    return pair


@pytest.mark.parametrize(
    "torn",
    [b"", bytes(len(NEXT)), NEXT[:PAGE_BYTES], bytes(PAGE_BYTES) + NEXT[PAGE_BYTES:]],
)
def test_a_torn_file_is_put_anew_and_not_kept(tmp_path: Path, torn: bytes) -> None:
    with found(tmp_path, torn, before=None) as pair:
        assert kept(pair.b) == {}
        assert former(pair.b) == {}


@pytest.mark.parametrize("edited", [NEXT + b"!", b"edited", NEXT[:PAGE_BYTES] + b"edited"])
def test_what_somebody_wrote_is_kept(tmp_path: Path, edited: bytes) -> None:
    with found(tmp_path, edited) as pair:
        assert list(kept(pair.b).values()) == [edited]


@pytest.mark.parametrize("before", [b"", NEXT[:PAGE_BYTES], NEXT[:9], bytes(9)])
def test_the_former_file_is_kept_though_the_new_one_begins_like_it(
    tmp_path: Path, before: bytes
) -> None:
    with found(tmp_path, None, before=before) as pair:
        assert former(pair.b) == {"f": [before]}
        assert kept(pair.b) == {}
        assert look(pair.b) == look(pair.a)
        assert os.listdir(f"{pair.b}/.sbs.staging") == ["versions"]
