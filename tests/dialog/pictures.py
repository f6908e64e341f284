"""``python -m tests.dialog.pictures [DIRECTORY]`` draws the four tabs for ``docs/dialog.md``.

Status is that of a real pair on loopback; the other tabs are of a node that does not run. One of
them is drawn in German, too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from sbs.cli import language
from sbs.dialog.app import EDITED, Dialog
from tests.dialog.driving import driven, shown, until
from tests.support import FAST, ROOT, Pair

TEXT = """\
[node]
name = "alpha"
listen = "192.0.2.1:4445"
peer = "192.0.2.2"

[sync]
period_s = 10

[mail]
enabled = true
server = "mail.example.org"
security = "starttls"
sender = "sbs@example.org"
receivers = ["admin@example.org"]

[[folders]]
name = "settings"
path = "settings"
filters = ["- *.tmp", "- cache/", "+ keep.tmp"]

[[folders]]
name = "labels"
path = "labels"
"""

FILES = ("printer.conf", "layout.xml", "keep.tmp", "old.tmp", "cache/a", "logo/small.png")
"""Of the folder that is shown."""


def draw(directory: Path) -> None:
    """Write ``dialog-TAB.svg`` for each tab; the bar names the file without its directory.

    Args:
        directory: that is there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        _draw_status(Path(temporary), directory)
        _draw_others(Path(temporary), directory)
        os.environ["LANGUAGE"] = "de"
        language.choose()
        _draw_others(Path(temporary), directory, ("configuration",), "-de")


def _draw_status(temporary: Path, directory: Path) -> None:
    units = {"printer-1": ["sleep", "1000"], "printer-2": ["sleep", "1000"]}
    settings = {**FAST, "sync": {"period_s": 1}}
    with Pair(temporary, units=units, settings=settings) as pair:
        pair.start()

        async def drive(app: Dialog, pilot: Pilot[None]) -> None:
            for size in (4, 20, 9, 14, 6, 30, 22, 26):
                (pair.alpha.folder / "labels").write_bytes(bytes(range(256)) * 4000 * size)
                await pilot.pause(1.5)
            await until(pilot, lambda: "under way" not in shown(app, "#facts"), "it rests")
            _save(app, directory, "status")

        with contextlib.chdir(pair.alpha.config.parent):
            driven(Path(pair.alpha.config.name), drive)


def _draw_others(
    temporary: Path, directory: Path, tabs: Collection[str] = tuple(EDITED), ending: str = ""
) -> None:
    path = temporary / "sbs.toml"
    path.write_text(TEXT)
    for number, name in enumerate(FILES):
        file = temporary / "settings" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 700 * (number + 1))

    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        for key, tab in zip(("f2", "f3", "f4"), EDITED, strict=True):
            await pilot.press(key)
            await pilot.pause(0.5)
            if tab == "configuration":
                app.query_one("#field-sync-period_s Input", Input).focus()
            if tab == "folders":
                app.query_one("#folder-list OptionList", OptionList).focus()
                await until(pilot, lambda: "KiB" in shown(app, "#preview"), "sums")
            await pilot.pause(0.5)
            if tab in tabs:
                _save(app, directory, tab + ending)

    with contextlib.chdir(temporary):
        driven(Path(path.name), drive)


def _save(app: Dialog, directory: Path, tab: str) -> None:
    picture = app.export_screenshot(title="SBS", simplify=True)
    (directory / f"dialog-{tab}.svg").write_text(picture)


if __name__ == "__main__":
    draw(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "docs" / "images")
