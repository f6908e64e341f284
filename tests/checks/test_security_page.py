"""docs/security.md names tests that exist, and is found from the first page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGE = ROOT / "docs" / "security.md"


def test_each_test_that_is_named_is_there() -> None:
    """B62: what is defended, and how it is tested."""
    named = set(re.findall(r"`((?:tests/|requirements)[\w./-]+)`", PAGE.read_text("utf-8")))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_each_page_that_is_named_is_there() -> None:
    links = re.findall(r"\]\(([\w./-]+)\)", PAGE.read_text("utf-8"))
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
    assert "(docs/security.md)" in (ROOT / "README.md").read_text("utf-8")


def test_each_defence_names_its_test() -> None:
    tables = [block.splitlines() for block in PAGE.read_text("utf-8").split("\n\n")]
    defences = [table for table in tables if table[0].endswith("| test |")]
    assert len(defences) == 6
    for row in (row for table in defences for row in table[2:]):
        assert re.search(r"`(tests|requirements)", row.rpartition(" | ")[2]), row
