"""``python -m tests.browser.screenshots``: the pictures of ``docs/web.md``, of a real pair."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from sbs.runtime.showing.chronicle import LOOK_S
from tests.browser.rig import PHONE, WIDE, ShownPair, Tab, chromium, shown_pair
from tests.support import ROOT, wait_until

IMAGES = ROOT / "docs" / "images"

SIZES = (4_000, 900, 120_000, 3_000_000, 40_000, 800_000, 9_000_000, 2_000, 1_500_000, 300_000)
"""Of the files that are replicated, for a plot with something in it."""


def main() -> None:
    """Take them: in step, light; after a takeover, dark and on a telephone."""
    with (
        tempfile.TemporaryDirectory() as directory,
        chromium() as browser,
        shown_pair(Path(directory)) as shown,
    ):
        _replicate(shown)
        with Tab(browser, shown.urls[0]) as tab:
            _take(tab, "web-light.png")
        shown.pair.alpha.kill()
        wait_until(lambda: shown.pair.beta.role == "primary", "beta leads")
        with Tab(browser, shown.urls[1], scheme="dark", width=WIDE) as tab:
            tab.wait_text(".alarms", "no-secondary")
            _take(tab, "web-dark.png")
        with Tab(browser, shown.urls[1], scheme="dark", width=PHONE) as tab:
            _take(tab, "web-phone.png")


def _replicate(shown: ShownPair) -> None:
    alpha = shown.pair.alpha
    for number, size_bytes in enumerate(SIZES):
        (alpha.folder / f"file-{number}").write_bytes(b"x" * size_bytes)
        alpha.ask("sync")
        time.sleep(LOOK_S)  # each is seen, and not the last alone


def _take(tab: Tab, name: str) -> None:
    IMAGES.mkdir(exist_ok=True)
    tab.page.screenshot(path=IMAGES / name, full_page=True)
    assert tab.complaints == []


if __name__ == "__main__":
    main()
