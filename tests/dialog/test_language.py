"""The dialog in each language: all that it says can be read on 80 columns by 24 lines (R60)."""

from __future__ import annotations

import contextlib
import gettext
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Button, Label, OptionList, Select, Static, TextArea
from textual.widgets._footer import FooterKey
from textual.widgets._tabs import Tab

from sbs.cli import language
from sbs.dialog.app import Dialog
from sbs.dialog.facts import alarms
from sbs.dialog.fields import Field, explained
from sbs.dialog.logo import LETTERS, LOOKS, logo, look_of
from sbs.dialog.node import SILENT, Seen
from sbs.dialog.settings_tab import groups
from sbs.dialog.typed import Setting, setting
from tests.dialog.driving import TEXT, driven, fill, shown, until
from tests.support import Pair
from tests.translation.catalogue import LANGUAGES


@pytest.fixture(params=["en", *LANGUAGES])
def spoken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("LANGUAGE", request.param)
    language.choose()
    yield request.param
    language.speak_english()


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LANGUAGE", "de")
    language.choose()
    yield
    language.speak_english()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "alpha.toml").write_text(TEXT)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "b.tmp").write_text("y")
    with contextlib.chdir(tmp_path):
        yield Path("alpha.toml")


def lines(app: Dialog) -> list[str]:
    """What is on the screen."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


def cut(app: Dialog) -> Iterator[str]:
    """Words that a widget should show and that cannot be read in its place."""
    screen = lines(app)
    for widget in app.screen.query("*"):
        text = said(widget)
        if not text or not widget.is_on_screen:
            continue
        place = widget.region
        rows = screen[place.y : place.bottom]
        seen = " ".join(row[place.x : place.right] for row in rows)
        yield from (f"{word} of {widget}" for word in text.split() if word not in seen)


async def read(app: Dialog, pilot: Pilot[None]) -> list[str]:
    """What of :func:`cut` stays when the screen is drawn."""
    await pilot.pause()
    with contextlib.suppress(AssertionError):
        await until(pilot, lambda: not list(cut(app)), "all can be read")
    return list(cut(app))


def said(widget: Widget) -> str:
    """What it says in words of a language."""
    match widget:
        case Tab() | Button():
            return str(widget.label)
        case FooterKey():
            return widget.description
        case Static() | Label() if widget.id not in ("logo", "report"):
            inside = any(isinstance(each, Select) for each in widget.ancestors)
            return "" if inside else str(widget.render())  # a value, which stands below in full
        case _:
            return ""


def ready(app: Dialog) -> tuple[Setting, ...]:
    """The settings of the tab Configuration that can be typed or chosen now."""
    fields = app.query_one("#settings").query(Field)
    return tuple(field.setting for field in fields if field.query("Input, Select"))


async def look_at_fields(app: Dialog, pilot: Pilot[None], tab: str) -> list[str]:
    """Give a tab's fields of most words the focus; what then cannot be read of their meaning."""
    found: list[str] = []
    fields = sorted(app.query_one(tab).query(Field), key=_length)
    for field in fields[-2:]:
        field.query("Input, Select").first().focus()
        with contextlib.suppress(AssertionError):
            await until(pilot, lambda: not unread(app, field), "its meaning can be read")  # noqa: B023
        found += [f"{word} of {field.id}" for word in unread(app, field)]
        assert isinstance(field.parent, Widget)
        assert field.parent.region.contains_region(field.region), field.id
    return found


def unread(app: Dialog, field: Field) -> list[str]:
    """Words of a field's meaning that are not on the screen."""
    text, seen = str(explained(field.setting, field.why)), " ".join(lines(app))
    return [word for word in text.split() if word not in seen]


def _length(field: Field) -> int:
    return len(explained(field.setting, field.why))


def test_nothing_is_cut(path: Path, spoken: str) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        for key in ("f1", "f2", "f3", "f4"):
            await pilot.press(key)
            assert await read(app, pilot) == [], key
        await until(pilot, lambda: "b.tmp" in shown(app, "#preview"), "the preview")
        assert await read(app, pilot) == []
        assert await look_at_fields(app, pilot, "#folder") == []
        app.query_one("#rules", TextArea).focus()
        assert await read(app, pilot) == []
        await pilot.press("f3")
        assert await look_at_fields(app, pilot, "#mail-settings") == []
        await pilot.press("f2")
        options = app.query_one("#settings > OptionList", OptionList)
        for number, (_, settings) in enumerate(groups()):
            options.focus()
            options.highlighted = number
            await until(pilot, lambda wanted=settings: ready(app) == wanted, "its fields")  # type: ignore[misc]
            assert await read(app, pilot) == [], number
            assert await look_at_fields(app, pilot, "#settings") == []

    driven(path, drive)


def test_a_node_is_shown_in_german(tmp_path: Path, german: None) -> None:
    with Pair(tmp_path, units={"web": ["sleep", "1000"]}) as pair:
        pair.start()

        async def drive(app: Dialog, pilot: Pilot[None]) -> None:
            assert "▲ PRIMÄR" in shown(app, "#bar")
            facts = shown(app, "#facts")
            assert "sekundär, verbunden" in facts
            assert "Epoche 1 bis Generation" in facts
            assert "\nSeit        20" in facts
            await pilot.press("f4")
            assert "Der Knoten läuft (Prozess" in shown(app, "#folders .why")
            for act, yes in (("stop", "Stoppen"), ("switchover", "Tauschen")):
                app.query_one(f"#{act}", Button).press()
                await until(pilot, lambda: app.screen.query("#yes"), "it asks")
                assert await read(app, pilot) == []
                assert str(app.screen.query_one("#yes", Button).label) == yes
                await pilot.press("escape")
                await until(pilot, lambda: len(app.screen_stack) == 1, "it asks no more")

        with contextlib.chdir(pair.alpha.config.parent):
            driven(Path(pair.alpha.config.name), drive)


def test_an_alarm_says_what_it_means_in_german(german: None) -> None:
    known = {"code": "no-secondary", "text": "nobody follows", "since": 0.0}
    status = {"alarms": [known, known | {"code": "of-a-newer-release"}], "problems": ["a: b"]}
    found = list(alarms(Seen(role="primary", status=status)))
    assert found[0][0].endswith("no-secondary: nobody follows")  # as the node says it
    assert found[0][1].startswith("Nichts wird repliziert, und nichts kann übernehmen. Starten Sie")
    assert [advice for _, advice in found[1:]] == ["", ""]
    assert found[2][0] == "Problem: a: b"


def test_what_is_typed_is_explained_in_german(path: Path, german: None) -> None:
    async def drive(app: Dialog, pilot: Pilot[None]) -> None:
        peer, watch = setting("node", "peer"), setting("sync", "strict_delete")
        await pilot.press("f2")
        await fill(app, pilot, peer, "")
        assert "✗ erforderlich ist" in shown(app, "#settings .help")
        await until(pilot, lambda: "[nicht gespeichert]" in shown(app, "#bar"), "it is told")
        await fill(app, pilot, peer, "beta")
        await fill(app, pilot, watch, "yes")  # the word of the file's; "ja" is what is shown
        assert "ja" in "".join(lines(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not app.draft.is_changed, "saved")

    driven(path, drive)
    assert "strict_delete = true" in path.read_text()


def test_every_state_has_its_letters(spoken: str) -> None:
    for state in (*LOOKS, SILENT):
        word = gettext.gettext(state)
        assert set(word.upper()) <= LETTERS, word
        assert max(map(len, logo(look_of(state), word).split("\n"))) <= 76, word
