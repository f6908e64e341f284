"""Each how-to page is followed, word by word, on machines of its own with what Debian has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from tests.docs.blocks import ROOT, blocks_of
from tests.docs.follow import Follower
from tests.docs.given import GIVEN
from tests.docs.machines import three_machines
from tests.docs.test_blocks import ELSEWHERE
from tests.support import require

PAGES: Final = sorted((ROOT / "docs" / "howto").glob("*.md"))

AT_ONCE: Final = 4
"""Pages that are followed at a time: they wait more than they work."""

Followed: TypeAlias = Mapping[Path, "Future[None]"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    """All pages are begun; each of the tests waits for one."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        places = {page: tmp_path_factory.mktemp(page.stem) for page in PAGES}
        yield {page: pool.submit(follow, page, place) for page, place in places.items()}


def follow(page: Path, directory: Path) -> None:
    """Do what a page says."""
    given = GIVEN[page.stem]
    require(*given.programs, root=True)
    with three_machines(directory) as machines:
        if given.paired:
            machines.introduce()
        given.prepare(machines)
        Follower(machines).follow(each for each in blocks_of(page) if each.name not in ELSEWHERE)
        given.check(machines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_can_be_followed(page: Path, followed: Followed) -> None:
    followed[page].result()


def test_each_page_has_all_that_a_reader_needs() -> None:
    assert PAGES
    for page in PAGES:
        headings = [line[3:] for line in page.read_text("utf-8").splitlines() if line[:3] == "## "]
        assert headings[0] == "What you need"
        assert headings[-2:] == ["When something goes wrong", "Not covered"]
        assert "See that it works" in headings
