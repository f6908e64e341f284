"""The cache of digests."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sbs.errors import StateError
from sbs.replication.files.index import SETTLING_NS, UNWRITTEN_NS, Index, Row, stat_key

STAT = (10, 1000, 2000, 7, 0o100644)
ROW = Row(STAT, b"d" * 32, 2000 + SETTLING_NS + 1)


def test_rows_are_kept_over_a_restart(tmp_path: Path) -> None:
    index = Index(f"{tmp_path}/index")
    index.store("f", [("a", "x\n\udcff", ROW), ("", "y", ROW)])
    index.close()
    index = Index(f"{tmp_path}/index")
    assert index.rows("f", "a") == {"x\n\udcff": ROW}
    assert index.row("f", "", "y") == ROW
    assert index.row("f", "", "z") is None
    assert index.rows("g", "a") == {}
    index.close()


def test_names_of_files_are_for_the_nodes_account_alone(tmp_path: Path) -> None:
    """B62: also in a state directory that others may look into."""
    before = os.umask(0)
    try:
        index = Index(f"{tmp_path}/index")
        index.store("f", [("a", "x", ROW)])
    finally:
        os.umask(before)
    found = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
    assert found == {"index": 0o600, "index-wal": 0o600, "index-shm": 0o600}
    index.close()


def test_rows_are_replaced_and_dropped(tmp_path: Path) -> None:
    index = Index(f"{tmp_path}/index")
    index.store("f", [("a", "x", ROW), ("a", "y", ROW), ("b", "x", ROW), ("c", "x", ROW)])
    newer = Row(STAT, b"e" * 32, 5)
    index.store("f", [("a", "x", newer)])
    index.drop("f", [("a", "y")])
    index.keep_directories("f", {"a", "c"})
    assert [index.rows("f", place) for place in "abc"] == [{"x": newer}, {}, {"x": ROW}]
    index.close()


def test_a_file_that_was_young_when_it_was_read_is_not_trusted() -> None:
    """Adversarial case 17: two changes within one tick of the kernel's clock look like one."""
    assert ROW.settled
    assert not Row(STAT, b"", 2000 + SETTLING_NS).settled
    assert not Row((10, 1000, 5000, 7, 0), b"", 2000 + SETTLING_NS + 1).settled


def test_a_file_that_was_young_when_the_machine_ended_is_read_again(tmp_path: Path) -> None:
    """B25: a power cut may take contents back and leave size and times: found by its simulation."""
    old = Row((10, 0, 10**18, 7, 0), b"d", 2 * 10**18)
    young = Row((1, 0, 2 * 10**18 - UNWRITTEN_NS + 1, 8, 0), b"e", 2 * 10**18)
    assert old.settled
    assert young.settled
    for boot, trusted in (("one", True), ("one", True), ("two", False), ("two", False)):
        index = Index(f"{tmp_path}/index", boot)
        if boot == "one":
            index.store("f", [("", "old", old), ("", "young", young)])
        rows = index.rows("f", "")
        assert rows["old"] == old
        assert rows["young"].settled is trusted
        assert (rows["young"].stat, rows["young"].digest) == (young.stat, young.digest)
        index.close()


def test_a_machine_that_does_not_name_its_starts(tmp_path: Path) -> None:
    """B25: each start of SBS may then be one of the machine."""
    young = Row((1, 0, 2 * 10**18 - UNWRITTEN_NS + 1, 8, 0), b"e", 2 * 10**18)
    for _ in range(2):
        index = Index(f"{tmp_path}/index", "")
        index.store("f", [("", "young", young)])
        assert index.rows("f", "")["young"].settled
        index.close()
        index = Index(f"{tmp_path}/index", "")
        assert not index.rows("f", "")["young"].settled
        index.close()


def test_a_file_with_a_date_in_the_future_is_not_read_again_and_again() -> None:
    """R20, adversarial case 23: only what changed costs."""
    assert Row((10, 2**62, 2000, 7, 0), b"", 2000 + SETTLING_NS + 1).settled


def test_any_change_of_the_status_shows(tmp_path: Path) -> None:
    path = f"{tmp_path}/f"
    seen: set[tuple[int, ...]] = set()

    def note() -> None:
        key = stat_key(os.stat(path))
        assert key not in seen
        seen.add(key)

    with open(path, "w") as file:
        file.write("1")
    note()
    os.utime(path, ns=(5, 5))
    note()
    os.chmod(path, 0o600)
    note()
    os.link(path, f"{path}2")
    os.rename(f"{path}2", f"{path}3")
    note()


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    for number in (1, 2):
        with open(f"{tmp_path}/index", "wb") as file:
            file.write(content)
        index = Index(f"{tmp_path}/index")
        assert index.rows("f", "") == {}
        index.store("f", [("", "x", ROW)])
        index.close()
        with open(f"{tmp_path}/index.damaged-{number}", "rb") as file:
            assert file.read() == content


def test_a_database_of_another_version_is_set_aside(tmp_path: Path) -> None:
    index = Index(f"{tmp_path}/index")
    index.store("f", [("", "x", ROW)])
    index._database.execute("PRAGMA user_version = 99")
    index.close()
    index = Index(f"{tmp_path}/index")
    assert index.rows("f", "") == {}
    index.close()
    assert os.path.exists(f"{tmp_path}/index.damaged-1")


@pytest.mark.parametrize("version", [1, 2])
def test_a_database_of_an_earlier_version_begins_anew(tmp_path: Path, version: int) -> None:
    """B4: one transfer makes good what it did not know."""
    index = Index(f"{tmp_path}/index")
    index.store("f", [("", "x", ROW)])
    index._database.executescript(
        f"DROP TABLE common; DROP TABLE mark; DROP TABLE basis; PRAGMA user_version = {version}"
    )
    index.close()
    index = Index(f"{tmp_path}/index")
    assert index.rows("f", "") == {}
    index.store("f", [("", "x", ROW)])
    index.close()
    index = Index(f"{tmp_path}/index")
    assert index.rows("f", "") == {"x": ROW}
    index.close()
    assert os.listdir(tmp_path) == ["index"]


def test_a_database_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be opened"):
        Index(f"{tmp_path}/missing/index")


def test_an_index_that_fails_later_says_what_to_do(tmp_path: Path) -> None:
    index = Index(f"{tmp_path}/index")
    index._database.execute("DROP TABLE digests")
    with pytest.raises(StateError, match="may be removed"):
        index.rows("f", "")
    index.close()


def test_it_may_be_used_from_changing_threads(tmp_path: Path) -> None:
    index = Index(f"{tmp_path}/index")
    worker = threading.Thread(target=index.store, args=("f", [("", "x", ROW)]))
    worker.start()
    worker.join()
    assert index.rows("f", "") == {"x": ROW}
    index.close()


def test_an_index_that_cannot_be_opened_now_is_not_taken_for_damaged(tmp_path: Path) -> None:
    """B20: an I/O error, say; else all that the nodes have in common would be forgotten."""
    (tmp_path / "index").mkdir()
    with pytest.raises(StateError, match="unable to open"):
        Index(f"{tmp_path}/index")
    assert os.listdir(tmp_path) == ["index"]


def test_an_index_that_could_only_be_read_is_opened_anew(tmp_path: Path) -> None:
    """B20: a mended disk is enough."""
    index = Index(f"{tmp_path}/index")
    index._database.execute("PRAGMA query_only = ON")  # as a file is that opened for reading alone
    with pytest.raises(StateError, match="readonly"):
        index.store("f", [("", "x", ROW)])
    index.store("f", [("", "x", ROW)])
    assert index.row("f", "", "x") == ROW
    index.close()
