"""R60, R61, R63: the tabs, what they show of a node, and what they let a person do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, TabbedContent, TextArea

from sbs.config import load
from sbs.dialog.app import EDITED, Dialog
from sbs.dialog.typed import settings_of
from tests.adapters.smtp_servers import MailServer
from tests.dialog.driving import TEXT, asked, driven, fill, shown, until
from tests.support import Pair


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(TEXT)
    labels = tmp_path / "labels"
    labels.mkdir()
    (labels / "a.conf").write_bytes(b"x" * 2048)
    (labels / "b.tmp").write_text("y")
    return path


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
def test_four_tabs_are_reached_by_keys_and_fit(path: Path, size: tuple[int, int]) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        tabs = app.query_one(TabbedContent)
        assert [pane.id for pane in tabs.query("TabPane")] == ["status", *EDITED]
        for key, tab in (
            ("f2", "configuration"),
            ("f3", "e-mail"),
            ("f4", "folders"),
            ("f1", "status"),
        ):
            await pilot.press(key)
            assert tabs.active == tab
            pane = tabs.get_pane(tab)
            await until(pilot, lambda pane=pane: app.focused and pane in app.focused.ancestors,  # type: ignore[misc]
                        "the focus is in the tab")  # fmt: skip
            for widget in pane.query("*"):
                if widget.is_on_screen:
                    assert widget.region.right <= size[0], widget
        assert app.screen.max_scroll_y == 0
        assert "STOPPED" in shown(app, "#bar")
        assert "█" in shown(app, "#logo")
        assert "not running" in shown(app, "#facts")

    driven(path, drive, size=size)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with Pair(tmp_path, units={"web": ["sleep", "1000"]}) as pair:
        yield pair


def test_a_node_is_shown_exchanged_and_stopped(pair: Pair) -> None:
    pair.start()

    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        assert "▲ PRIMARY" in shown(app, "#bar")
        facts = shown(app, "#facts")
        assert "beta at" in facts
        assert "secondary, connected" in facts
        assert "epoch 1 to generation" in facts
        for tab, kind in EDITED.items():  # R63
            pane = app.query_one(TabbedContent).get_pane(tab)
            assert not pane.query_one(kind).display
            assert pane.query_one(".why").display
        await pilot.press("f4")
        assert "The node runs (process" in shown(app, "#folders .why")
        await pilot.press("ctrl+s")  # nothing can be saved either
        await pilot.press("f1")

        app.query_one("#switchover", Button).press()
        await asked(app, pilot)
        await pilot.press("enter")  # no is what is chosen
        await until(pilot, lambda: len(app.screen_stack) == 1, "no")
        assert app.seen.role == "primary"
        app.query_one("#switchover", Button).press()
        await asked(app, pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.screen.query("#report"), "it tells")
        await until(pilot, lambda: "beta is primary; no service ran for" in shown(app, "#report"),
                    "the roles are exchanged")  # fmt: skip
        await pilot.press("escape")
        await until(pilot, lambda: app.seen.role == "secondary", "it follows")
        assert "◆ SECONDARY" in shown(app, "#bar")

        app.query_one("#stop", Button).press()
        await asked(app, pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.seen.is_stopped, "it has stopped")
        await until(pilot, lambda: "the node has ended" in shown(app, "#report"), "it tells")
        await pilot.press("escape")
        await pilot.press("f4")
        folder = app.query_one(TabbedContent).get_pane("folders").query_one("#folder")
        await until(pilot, lambda: folder.is_on_screen, "the folders can be seen")
        app.query_one("#start", Button).press()
        await until(pilot, lambda: len(app.screen_stack) == 2, "it tells how")
        await until(pilot, lambda: "sbs service install -c" in shown(app, "#report"), "how")

    driven(pair.alpha.config, drive)
    pair.alpha.wait()


def test_a_folder_is_added_filtered_and_removed(path: Path) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f4")
        await until(pilot, lambda: "1 file, 2.0 KiB; excluded: 1" in shown(app, "#preview"), "sums")
        said = shown(app, "#preview")
        assert "✗ excluded  b.tmp  rule 1: - *.tmp" in said
        assert "✓ included  a.conf  no rule matches" in said

        rules = app.query_one("#rules", TextArea)
        rules.focus()
        await pilot.press("end", "enter", *"- a*")
        await until(
            pilot, lambda: "0 files, 0 bytes; excluded: 2" in shown(app, "#preview"), "sums"
        )
        assert app.draft.value(("folders", 0, "filters")) == ["- *.tmp", "- a*"]
        await pilot.press("enter", "x")
        assert "✗ filter rule 'x': '+ PATTERN'" in shown(app, "#folder .help")
        await until(pilot, lambda: "✗ filter rule 'x'" in shown(app, "#preview"), "why")
        await pilot.press("backspace", "backspace")
        assert app.draft.value(("folders", 0, "filters")) == ["- *.tmp", "- a*"]

        app.query_one("#add", Button).press()
        await until(pilot, lambda: app.draft.count(("folders",)) == 2, "added")
        await until(pilot, lambda: app.query("#field-folders-1-path"), "it is shown")
        for setting in settings_of(("folders", 1)):
            if setting.name != "filters":
                text = {"name": "new", "path": "sub", "owner": "yes", "xattr": "yes"}[setting.name]
                await fill(app, pilot, setting, text)
        await until(pilot, lambda: "No such file" in shown(app, "#preview"), "it is not there")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not app.draft.is_changed, "saved")

        app.query_one("#folder-list OptionList", OptionList).focus()
        await pilot.press("home")
        await until(pilot, lambda: app.query("#field-folders-0-path"), "the first is shown")
        app.query_one("#remove", Button).press()
        await asked(app, pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.draft.count(("folders",)) == 1, "removed")

    driven(path, drive)
    text = path.read_text()
    assert text.startswith(TEXT.partition("filters")[0])
    assert 'filters = ["- *.tmp", "- a*"]  # vim\n' in text
    added = load(path).folders[1]
    assert (added.name, added.path, added.owner, added.xattr) == (
        "new",
        str(path.parent / "sub"),
        True,
        True,
    )


def _change(path: Path) -> None:
    """As another editor does."""
    path.write_text(f"{TEXT}# by hand\n")


def _text(path: Path) -> str:
    return path.read_text()


def test_another_editor_is_noticed(path: Path) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f2")
        name = settings_of(("node",))[0]
        await fill(app, pilot, name, "gamma")
        _change(path)
        await pilot.press("ctrl+s")
        await asked(app, pilot)
        await pilot.press("escape")
        assert _text(path) == TEXT + "# by hand\n"
        assert app.draft.is_changed
        await pilot.press("ctrl+s")
        await asked(app, pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: not app.draft.is_changed, "read again")
        await until(pilot, lambda: app.query_one("#field-node-name Input", Input).value == "alpha",
                    "the field has what the file says")  # fmt: skip
        await fill(app, pilot, name, "gamma")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not app.draft.is_changed, "saved")

    driven(path, drive)
    assert path.read_text() == TEXT.replace("alpha", "gamma", 1) + "# by hand\n"


def test_it_is_not_left_with_something_unsaved_unasked(path: Path) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        await pilot.press("f2")
        await fill(app, pilot, settings_of(("node",))[0], "gamma")
        await pilot.press("ctrl+q")
        await asked(app, pilot)
        await pilot.press("escape")
        assert app.is_running
        await pilot.press("ctrl+q")
        await asked(app, pilot)
        await pilot.press("tab", "enter")
        await until(pilot, lambda: not app.is_running, "it ends")

    driven(path, drive)
    assert path.read_text() == TEXT


def test_a_test_message_shows_each_step(path: Path) -> None:
    with MailServer() as server:

        async def drive(app: Dialog, pilot: Pilot[None]) -> None:
            await pilot.press("f3")
            values = {
                "port": str(server.port),
                "sender": "s@example.org",
                "receivers": "r@example.org",
            }
            app.query_one("#test", Button).press()
            await until(pilot, lambda: app.screen.query("#report"), "it tells")
            await until(pilot, lambda: "mail.sender is not set" in shown(app, "#report"), "why not")
            await pilot.press("escape")
            for setting in settings_of(("mail",)):
                if setting.name in values:
                    await fill(app, pilot, setting, values[setting.name])
            app.query_one("#test", Button).press()
            await until(pilot, lambda: app.screen.query("#report"), "it tells")
            await until(pilot, lambda: "has taken the message" in shown(app, "#report"), "sent")
            assert "✓ ok   greeting" in shown(app, "#report")

        driven(path, drive)
        (received,) = server.received
        assert received.receivers == ("r@example.org",)
