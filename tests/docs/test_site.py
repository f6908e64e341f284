"""The pages as a site: whole, right in themselves, and in need of nothing from outside."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs
import pytest

import sbs
from tests.docs.blocks import BLOCKS, ROOT

LOADED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}
"""What a browser fetches by itself, of which element."""


@attrs.define
class Page(HTMLParser):
    """What a page loads, what it links to, and what can be linked to in it."""

    loads: set[str] = attrs.field(factory=set)
    links: set[str] = attrs.field(factory=set)
    anchors: set[str] = attrs.field(factory=set)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in LOADED and LOADED[tag] in given:
            self.loads.add(given[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as docs/testing.md says; warnings are errors."""
    out = tmp_path_factory.mktemp("site")
    (block,) = (block for block in BLOCKS if block.text.startswith("python -m sphinx -W docs"))
    program, *words = block.text.replace("build/site", str(out)).split()
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *words, "-q", "--keep-going"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {}
    for path in site.rglob("*.html"):
        found[path] = page = Page()
        page.feed(path.read_text("utf-8"))
    return found


def test_every_page_is_there(site: Path) -> None:
    """A page that no table of contents has is a warning, so an error."""
    sources = {path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")}
    assert sources
    for source in sources:
        assert (site / source.with_suffix(".html")).is_file()
    assert f"SBS {sbs.__version__}" in (site / "index.html").read_text("utf-8")


def test_a_browser_fetches_nothing_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    """No font, badge or script of others: the site works offline, and tells nobody who reads it."""
    for path, page in pages.items():
        assert page.loads
        assert not [each for each in page.loads if urlsplit(each).netloc], path
    for sheet in site.rglob("*.css"):
        text = sheet.read_text("utf-8")
        assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", text), sheet


def test_every_link_within_the_site_leads_somewhere(pages: dict[Path, Page]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 500
    assert not list(_broken(pages))


def _broken(pages: dict[Path, Page]) -> Iterator[tuple[Path, str]]:
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchored = parts.fragment and there in pages
            if not there.exists() or (
                anchored and unquote(parts.fragment) not in pages[there].anchors
            ):
                yield path, link


def test_the_library_page_has_each_public_name_once() -> None:
    """What ``sbs`` exports, and the checks for adapters; what an integrator may rest on."""
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    shown = re.findall(r"^\.\. auto\w+:: sbs\.(\w+)$", text, re.MULTILINE)
    assert sorted(shown) == sorted(name for name in sbs.__all__ if name != "__version__")
    checks = re.findall(
        r"^\.\. autofunction:: sbs\.testing\.(\w+)\.(check_\w+)$", text, re.MULTILINE
    )
    defined = {
        (path.stem, name)
        for path in (ROOT / "sbs" / "testing").glob("*.py")
        for name in re.findall(r"^async def (check_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert sorted(checks) == sorted(defined)


def test_the_first_page_leads_to_every_other() -> None:
    linked = set(re.findall(r"\]\((docs/[\w./-]+\.md)\)", (ROOT / "README.md").read_text("utf-8")))
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages - linked == {"docs/index.md"}


def test_pages_on_a_forge_link_to_what_there_is() -> None:
    """Links of the sources, README included: the site's are tested above, but it has no README."""
    for source in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", source.read_text("utf-8")):
            assert (source.parent / link).exists(), f"{source}: {link}"
