"""Debian's Chromium, headless, on the pages of a real pair."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import attrs
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.support import free_ports, require
from tests.system.nodes import Node, Pair, Tables, pair_in

Scheme = Literal["light", "dark"]

WIDE, PHONE = 1000, 375
"""Pixels of a window, and of a common telephone."""

QUIET = (
    "--no-sandbox",  # for root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; it asks for nothing but the pages."""
    require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


@attrs.frozen
class ShownPair:
    """A pair and where its nodes are shown."""

    pair: Pair
    urls: tuple[str, str]

    def url_of(self, node: Node) -> str:
        """Of a node's page."""
        return self.urls[self.pair.nodes.index(node)]


@contextmanager
def shown_pair(directory: Path, tables: Tables | None = None) -> Iterator[ShownPair]:
    """A pair in step, whose nodes are shown, until the block is left."""
    with pair_in(directory, tables) as pair:
        ports = free_ports(2)
        for node, port in zip(pair.nodes, ports, strict=True):
            node.configure({"web": {"listen": f"127.0.0.1:{port}"}})
        pair.start()
        first, second = (f"http://127.0.0.1:{port}/" for port in ports)
        yield ShownPair(pair, (first, second))


class Tab:
    """One page, with all that the browser complains of."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        scheme: Scheme = "light",
        width: int = WIDE,
        scripts: bool = True,
    ) -> None:
        self._context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": 700},
            java_script_enabled=scripts,
        )
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page: Page = self._context.new_page()
        self.page.on("console", self._complain)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url, wait_until="load")

    def _complain(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    @property
    def role(self) -> str:
        """In large letters."""
        return self.page.locator(".own .role").inner_text()

    @property
    def icon(self) -> str | None:
        """The favicon's address."""
        return self.page.locator("#icon").get_attribute("href")

    def wait_text(self, place: str, text: str) -> None:
        """Wait until a place of the page has this text."""
        self.page.locator(place, has_text=text).first.wait_for(timeout=20_000)

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._context.close()
