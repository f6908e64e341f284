"""The tutorial in German: whole, of today, and with the same blocks in the same terminals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import attrs
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from tests.docs.blocks import BLOCKS, ROOT
from tests.docs.steps import TERMINAL, steps
from tests.docs.tutorial import PAGE

LOCALES = ROOT / "docs" / "locales"
CATALOGUE = Path("de", "LC_MESSAGES", "tutorial.po")


def run_block(beginning: str, places: dict[str, Path]) -> None:
    """Run the commands of docs/testing.md that begin so, with other places than the page has."""
    (text,) = (block.text for block in BLOCKS if block.text.startswith(beginning))
    for place, other in places.items():
        assert place in text
        text = text.replace(place, str(other))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", text],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def catalogue() -> Catalog:
    with (LOCALES / CATALOGUE).open("rb") as file:
        return read_po(file, "de", abort_invalid=True)


def test_each_paragraph_is_translated() -> None:
    found = catalogue()
    assert len(found) > 50
    assert [message.id for message in found if not message.string or message.fuzzy] == []
    assert not found.obsolete


def test_the_catalogue_is_of_this_page(tmp_path: Path) -> None:
    """Bringing it up to date changes nothing."""
    shutil.copytree(LOCALES, tmp_path / "locales")
    run_block(
        "python -m sphinx -b gettext",
        {"build/gettext": tmp_path / "gettext", "docs/locales": tmp_path / "locales"},
    )
    updated = (tmp_path / "locales" / CATALOGUE).read_text("utf-8")
    assert updated == (LOCALES / CATALOGUE).read_text("utf-8")


@attrs.define
class Article(HTMLParser):
    """What a built page tells to type and shows, as :func:`steps` finds it in its source.

    Args:
        language: of the page.
        terminal: that was named last.
        blocks: each with its terminal.
    """

    language: str = ""
    terminal: int = 1
    blocks: list[tuple[int, str]] = attrs.field(factory=list)
    _in_article: bool = False
    _in_block: bool = False

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        match tag:
            case "html":
                self.language = dict(attributes)["lang"] or ""
            case "article":
                self._in_article = True
            case "pre" if self._in_article:
                self._in_block = True
                self.blocks.append((self.terminal, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._in_article = False
        elif tag == "pre":
            self._in_block = False

    def handle_data(self, data: str) -> None:
        if self._in_block:
            terminal, text = self.blocks.pop()
            self.blocks.append((terminal, text + data))
        elif self._in_article and (named := TERMINAL.findall(data)):
            self.terminal = int(named[-1])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site in German, by the command of the page; warnings are errors."""
    out = tmp_path_factory.mktemp("de")
    run_block("python -m sphinx -W -D language=de", {"build/de": out})
    return out / "tutorial.html"


def test_what_is_typed_and_shown_is_the_same_in_the_same_terminals(built: Path) -> None:
    page = Article()
    page.feed(built.read_text("utf-8"))
    assert page.language == "de"
    english = steps(PAGE.read_text("utf-8"))
    assert page.blocks == [
        (step.terminal, "".join(f"{line}\n" for line in step.lines)) for step in english
    ]


def test_nothing_on_the_page_is_english_any_more(built: Path) -> None:
    text = built.read_text("utf-8").partition("<article")[2].partition("</article>")[0]
    plain = [message.id for message in catalogue() if message.id and "`" not in message.id]
    assert len(plain) > 20
    assert [words for words in plain if f">{words}<" in text] == []
