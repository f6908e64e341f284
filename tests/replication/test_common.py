"""The record of what both nodes hold (B4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.errors import StateError
from sbs.replication.common import Common
from sbs.replication.files.index import Index, Row

FIRST = Generation(Epoch(1, 0), 1, b"1" * 32)
SECOND = Generation(Epoch(1, 0), 2, b"2" * 32)
OTHER = Generation(Epoch(1, 1), 2, b"x" * 32)
A, B = b"a" * 32, b"b" * 32
ODD = "d\n/\udcff"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(f"{tmp_path}/index")
    yield index
    index.close()


def test_contents_are_recorded_replaced_and_forgotten(index: Index, tmp_path: Path) -> None:
    """B4: over a restart, too."""
    common = Common(index)
    common.store(FIRST, {("f", ODD): A, ("f", "gone"): A, ("g", "other"): B})
    common.store(SECOND, {("f", ODD): B, ("f", "gone"): None})
    other = Index(f"{tmp_path}/index")
    for record in (common, Common(other)):
        assert record.digest("f", ODD) == B
        assert record.digest("f", "gone") is None
        assert record.digest("g", "other") == B
        assert record.digest("g", ODD) is None
    other.close()


@pytest.mark.parametrize(
    ("entries", "stays"),
    [
        ((FIRST, SECOND), True),
        ((FIRST, SECOND, Generation(Epoch(2, 1), 2)), True),
        ((FIRST,), False),
        ((FIRST, OTHER), False),
        ((), False),
    ],
)
def test_it_holds_only_with_a_node_that_has_gone_through_it(
    index: Index, entries: tuple[Generation, ...], stays: bool
) -> None:
    """B4: whoever has not need not have any of it."""
    common = Common(index)
    common.reconcile(History())
    common.store(SECOND, {("f", "x"): A})
    common.reconcile(History(entries))
    assert common.digest("f", "x") == (A if stays else None)
    common.reconcile(History((FIRST, SECOND)))
    assert common.digest("f", "x") == (A if stays else None), "what is forgotten stays so"


def test_it_tells_what_the_index_knows_otherwise(index: Index) -> None:
    """B4."""
    common = Common(index)
    for place, name in (("", "same"), ("d", "changed"), ("d", "new")):
        index.store("f", [(place, name, Row((1, 2, 3, 4, 5), A))])
    common.store(FIRST, {("f", "same"): A, ("f", "d/changed"): B, ("f", "not indexed"): B})
    assert sorted(common.missing("f")) == [("d/changed", A), ("d/new", A)]
    assert common.missing("g") == []


def test_a_record_that_cannot_be_written_says_so(index: Index) -> None:
    common = Common(index)
    common.store(FIRST, {("f", "x"): A})
    index._database.execute("DROP TABLE mark")
    with pytest.raises(StateError, match="may be removed"):
        common.store(SECOND, {("f", "x"): B})
    assert common.digest("f", "x") == A, "all of it or nothing"
