"""The dialog without a terminal, driven by keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input, Select, Static

from sbs.dialog.app import Dialog
from sbs.dialog.fields import Field
from sbs.dialog.typed import Setting
from tests.support import WAIT_S

TEXT = """\
# Alpha, in the cellar.
[node]
name = "alpha"   # painted on the case
peer = "127.0.0.1:4446"
state_dir = "state"

# The labels.
[[folders]]
name = "labels"
path = "labels"
filters = ["- *.tmp"]  # vim
"""

Drive = Callable[[Dialog, Pilot[None]], Awaitable[None]]


def driven(path: Path, drive: Drive, *, size: tuple[int, int] = (80, 24)) -> None:
    """Open the dialog over a file, and do something with it once it has seen the node."""

    async def go() -> None:
        app = Dialog(str(path))
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: shown(app, "#bar"), "the node was looked at")
            await drive(app, pilot)

    asyncio.run(go())


async def until(pilot: Pilot[None], holds: Callable[[], object], what: str) -> None:
    """Let the dialog work until something holds."""
    give_up_at = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > give_up_at:
            seen = "\n".join(str(widget.render()) for widget in pilot.app.screen.query(Static))
            raise AssertionError(f"not within {WAIT_S:g} s: {what}\n{seen}")
        await pilot.pause(0.02)


async def asked(app: Dialog, pilot: Pilot[None]) -> None:
    """Return when keys answer a question: its window is there, and "no" is chosen."""
    await until(
        pilot, lambda: app.focused is not None and app.focused.id == "no", "it can be answered"
    )


def shown(app: Dialog, selector: str) -> str:
    """The text of a widget on the uppermost screen; empty while that is being made."""
    found = app.screen.query(selector).results(Static)
    return "".join(str(widget.render()) for widget in found)


def field(app: Dialog, setting: Setting) -> Field:
    """The field of a setting."""
    return app.screen.query_one("#field-" + "-".join(map(str, setting.path)), Field)


async def fill(app: Dialog, pilot: Pilot[None], setting: Setting, text: str) -> None:
    """Give a field a value by keys: typed, or chosen from the list that Enter opens."""
    around = field(app, setting)
    if setting.words:
        select = around.query_one(Select)
        select.focus()
        await pilot.press("enter")
        await until(pilot, lambda: select.expanded, "the list is open")
        await pilot.press("home", *["down"] * (setting.words.index(text) + 1), "enter")
        await until(pilot, lambda: select.value == text, f"{text} is chosen")
    else:
        around.query_one(Input).focus()
        await pilot.press("end", "ctrl+u")
        if text:  # pasted but for the last key, which is quicker
            around.query_one(Input).post_message(Paste(text[:-1]))
            await pilot.press(text[-1])
    await pilot.pause()
