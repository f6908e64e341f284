"""B61: the status page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from sbs.core.claim import Role
from sbs.runtime.showing.drawing import COLOURS, logo
from tests.browser.rig import PHONE, WIDE, Scheme, ShownPair, Tab, chromium, shown_pair


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShownPair]:
    """A pair in step that no test changes."""
    with shown_pair(tmp_path_factory.mktemp("pair")) as shown:
        alpha = shown.pair.alpha
        alpha.folder.joinpath("settings").write_text("blue")
        assert alpha.sbs("sync").returncode == 0
        yield shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_everybody_can_read_it(
    browser: Browser, shown: ShownPair, scheme: Scheme, width: int
) -> None:
    """axe finds nothing, in both themes, and nothing has to be scrolled sideways."""
    for url, role in zip(shown.urls, ("PRIMARY", "SECONDARY"), strict=True):
        with Tab(browser, url, scheme=scheme, width=width) as tab:
            assert tab.role == role
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
            ground = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(243, 244, 246)", "dark": "rgb(11, 15, 23)"}[scheme]
            found = Axe().run(tab.page)
            assert found.violations_count == 0, found.generate_report()
            assert tab.complaints == []


def test_it_asks_nobody_but_the_node(browser: Browser, shown: ShownPair) -> None:
    """No asset from outside: it works where there is no internet, and tells nobody."""
    with Tab(browser, shown.urls[0]) as tab:
        assert "changes: 1, bytes: 4, " in tab.page.locator(".plot").inner_html()
        assert len(tab.asked) >= 4
        assert {url.split("/")[2] for url in tab.asked} == {shown.urls[0].split("/")[2]}
        assert tab.page.context.cookies() == []


def test_without_scripts_it_says_the_same(browser: Browser, shown: ShownPair) -> None:
    with (
        Tab(browser, shown.urls[0], scripts=False) as plain,
        Tab(browser, shown.urls[0]) as live,
    ):
        for place in (".own .role", ".peer .role", ".peer dl", "table"):
            there = [tab.page.locator(place).inner_text() for tab in (plain, live)]
            assert there[0] == there[1]
        assert plain.page.locator("noscript").count() == 1


def test_a_takeover_is_seen_live(browser: Browser, tmp_path: Path) -> None:
    """Word, logo, colour, title and favicon change, on a page that nobody touches."""
    with (
        shown_pair(tmp_path) as shown,
        Tab(browser, shown.urls[0]) as lost,
        Tab(browser, shown.urls[1]) as tab,
    ):
        assert (tab.role, tab.icon) == ("SECONDARY", "role/secondary.svg")
        assert tab.page.title() == "secondary · beta"
        shown.pair.alpha.kill()
        tab.wait_text(".own .role", "PRIMARY")
        tab.wait_text(".peer .role", "NOT SEEN")
        tab.wait_text(".alarms", "no-secondary")
        tab.wait_text(".stages li", "primary, epoch 2")
        tab.wait_text("td", "runs here")
        assert tab.icon == "role/primary.svg"
        assert tab.page.title() == "primary · beta"
        assert "role-primary" in (tab.page.locator(".own").get_attribute("class") or "")
        assert Axe().run(tab.page).violations_count == 0
        assert tab.complaints == []

        lost.page.locator("#lost").wait_for(state="visible", timeout=20_000)
        assert lost.icon == "role/stopped.svg"
        shown.pair.alpha.start()
        lost.wait_text(".own .role", "SECONDARY")
        lost.page.locator("#lost").wait_for(state="hidden", timeout=20_000)


def test_names_are_names_whatever_is_in_them(browser: Browser, tmp_path: Path) -> None:
    name = 'a<img src=x onerror="document.title=1">&amp;'
    tables = {"node": {"name": name}}
    with shown_pair(tmp_path, tables) as shown, Tab(browser, shown.urls[0]) as tab:
        assert tab.page.locator(".own h1").inner_text() == name
        assert tab.page.locator(".peer h2").inner_text() == name
        assert tab.page.locator("img").count() == 0
        assert tab.page.title() == f"primary · {name}"
        assert tab.complaints == []


def test_each_role_has_its_picture_and_its_colour(browser: Browser, shown: ShownPair) -> None:
    """White signs on colours that are dark enough (WCAG 2.2, 1.4.11), each of another shape."""
    assert len({logo(role).partition("<g")[2] for role in Role}) == len(Role)
    with Tab(browser, shown.urls[0]) as tab:
        for role, colour in COLOURS.items():
            answer = tab.page.request.get(f"{shown.urls[0]}role/{role.value}.svg")
            assert answer.headers["content-type"] == "image/svg+xml"
            assert colour in answer.text()
            assert _contrast_with_white(colour) >= 4.5


def _contrast_with_white(colour: str) -> float:
    """WCAG 2.2, "contrast ratio"."""
    luminance = 0.0
    for at, weight in ((1, 0.2126), (3, 0.7152), (5, 0.0722)):
        part = int(colour[at : at + 2], 16) / 255
        luminance += weight * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 1.05 / (luminance + 0.05)
