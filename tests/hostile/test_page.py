"""The tables of hostile cases, and what docs/testing.md says of them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.hostile import sentinel
from tests.hostile.__main__ import table
from tests.hostile.cases import TOPICS

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
SEEN = re.compile(r"A([1-9]|1\d|2[0-4])|CVE-\d{4}-\d+|[RB]\d+")


def test_the_page_counts_the_cases() -> None:
    """B62: 100 or more, from both sides and from strangers; made by python -m tests.hostile."""
    page = PAGE.read_text()
    found = re.search("<!-- begin: python -m tests.hostile -->\n(.*?)<!-- end -->", page, re.DOTALL)
    assert found is not None
    assert found[1] == table()


def test_each_case_has_a_name_of_its_own_and_says_where_it_was_seen() -> None:
    cases = [case for topic in TOPICS.values() for case in topic]
    assert len(cases) >= 100
    assert max(Counter(case.name for case in cases).values()) == 1
    assert [case.name for case in cases if SEEN.fullmatch(case.seen) is None] == []


def test_a_sentinel_notices_what_is_changed_and_changed_back(tmp_path: Path) -> None:
    """The test of the tests: else all of them could pass for a snapshot that sees nothing."""
    sentinel.build(tmp_path / "outside")
    before = sentinel.snapshot(tmp_path)
    place = tmp_path / "outside" / "file"
    for change in (
        lambda: place.chmod(0o600),
        lambda: place.write_bytes(b"sentinel"),
        lambda: (tmp_path / "outside" / "new").touch(),
        lambda: (tmp_path / "outside" / "new").unlink(),
        lambda: (tmp_path / "outside" / "link").unlink(),
    ):
        change()
        after = sentinel.snapshot(tmp_path)
        assert sentinel.differences(before, after)
        before = after
