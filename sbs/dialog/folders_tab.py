"""The tab Folders: what is replicated, and what the filters make of it (R62, R21)."""

from __future__ import annotations

import asyncio
import os
from gettext import gettext as _
from gettext import ngettext
from typing import Final

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Label, OptionList, Static, TextArea
from textual.widgets.option_list import Option

from sbs.config.problems import KeyPath
from sbs.config.toml import is_array
from sbs.core.printable import plain
from sbs.dialog.draft import Draft, Wrong
from sbs.dialog.fields import Field, Fields
from sbs.dialog.plot import size
from sbs.dialog.preview import Preview, look
from sbs.dialog.screens import Ask, Question
from sbs.dialog.typed import Setting, settings_of
from sbs.errors import ConfigError

FOLDERS: Final[KeyPath] = ("folders",)

PAUSE_S: Final = 0.3
"""After the last key before the folder is looked at."""


class FoldersTab(Horizontal):
    """The folders on the left, the chosen one on the right.

    Args:
        draft: that is edited.
    """

    def __init__(self, draft: Draft) -> None:
        super().__init__(id="folder-settings")
        self._draft = draft
        self._index = 0
        self._timer: Timer | None = None
        self._looks = 0

    def compose(self) -> ComposeResult:
        """List, fields, rules and preview."""
        with Vertical(id="folder-list"):
            yield OptionList(compact=True)
            with Horizontal(classes="buttons"):
                yield Button(_("Add"), id="add", compact=True)
                yield Button(_("Remove"), id="remove", compact=True)
        with Vertical(id="folder"):
            yield Fields(self._draft)
            yield Label(_("filters, one rule a line: + PATTERN or - PATTERN"), id="rules-label")
            yield TextArea(id="rules", compact=True)
            with VerticalScroll(id="preview-around", can_focus=False):
                yield Static(id="preview", markup=False)

    async def on_mount(self) -> None:
        """Show the first folder."""
        await self.reload()

    async def reload(self) -> None:
        """Show what stands in the draft now."""
        self._index = max(0, min(self._index, self._draft.count(FOLDERS) - 1))
        self._list()
        await self._show()

    async def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Another folder."""
        event.stop()
        if event.option_index != self._index:
            self._index = event.option_index
            await self._show()

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        """Add, or remove."""
        event.stop()
        if event.button.id == "add":
            await self._add()
        elif self._draft.count(FOLDERS):
            name = plain(str(self._draft.value((*FOLDERS, self._index, "name"))))
            text = _(
                "Remove the folder {name} from the configuration?\nIts files stay as they are."
            ).format(name=name)
            self.post_message(Ask(Question(text, _("Remove")), self._remove))

    async def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Rules were typed."""
        event.stop()
        if not self._draft.count(FOLDERS):
            return
        setting, typed = self._rules_setting, event.text_area.text
        rules = [line.strip() for line in typed.splitlines() if line.strip()]
        present = self._draft.value(setting.path)
        self._draft.wrong.pop(setting.path, None)
        try:
            setting.key.kind.read(rules)
            if rules != (present or []):
                self._draft.put(setting.path, rules or None)
        except (ValueError, ConfigError) as error:
            self._draft.wrong[setting.path] = Wrong(typed, str(error))
        self._explain_rules()
        self._look_soon()

    def on_descendant_focus(self) -> None:
        """The rules have a meaning, too."""
        if self.query_one("#rules").has_focus and self._draft.count(FOLDERS):
            self._explain_rules()

    def on_field_shown(self, event: Field.Shown) -> None:
        """Name or path may be another."""
        if event.field.setting.name == "name":
            self._list()
        self._look_soon()

    @property
    def _rules_setting(self) -> Setting:
        return next(each for each in self._settings if each.name == "filters")

    @property
    def _settings(self) -> tuple[Setting, ...]:
        return settings_of((*FOLDERS, self._index))

    def _explain_rules(self) -> None:
        setting = self._rules_setting
        self.query_one(Fields).explain(setting, self._draft.why(setting))

    def _list(self) -> None:
        names = [
            self._draft.value((*FOLDERS, number, "name"))
            for number in range(self._draft.count(FOLDERS))
        ]
        options = self.query_one(OptionList)
        with self.prevent(OptionList.OptionHighlighted):
            options.clear_options()
            options.add_options(Option(Content(plain(str(name)))) for name in names)
            options.highlighted = self._index if names else None

    async def _show(self) -> None:
        exists = bool(self._draft.count(FOLDERS))
        settings = [each for each in self._settings if each.name != "filters"] if exists else []
        about = _("What is replicated. Tab: to the settings of this folder, then to its filters.")
        await self.query_one(Fields).show(settings, about=about if exists else "")
        self.query_one("#rules").display = self.query_one("#rules-label").display = exists
        if not exists:
            self.query_one("#preview", Static).update(
                _("No folder is replicated yet: Add begins one.")
            )
            return
        wrong = self._draft.wrong.get(self._rules_setting.path)
        found = self._draft.value(self._rules_setting.path)
        lines = found if is_array(found) else ()
        with self.prevent(TextArea.Changed):
            self.query_one("#rules", TextArea).text = (
                "\n".join(map(str, lines)) if wrong is None else wrong.typed
            )
        self._look_soon()

    async def _add(self) -> None:
        names = {
            self._draft.value((*FOLDERS, number, "name"))
            for number in range(self._draft.count(FOLDERS))
        }
        name = next(f"folder-{n}" for n in range(1, len(names) + 2) if f"folder-{n}" not in names)
        try:
            self._index = self._draft.add(FOLDERS, name=name)
        except ConfigError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        path = next(each for each in self._settings if each.name == "path")
        self._draft.type(path, "")
        await self.reload()
        self.query(Field).first().query_one("Input").focus()

    async def _remove(self, answer: bool | None) -> None:
        if not answer:
            return
        try:
            self._draft.remove((*FOLDERS, self._index))
        except ConfigError as error:
            self.notify(str(error), severity="error", markup=False)
        await self.reload()

    def _look_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(PAUSE_S, self._look)

    def _look(self) -> None:
        found = self._draft.value((*FOLDERS, self._index, "path"))
        rules = self._draft.value((*FOLDERS, self._index, "filters"))
        wrong = self._draft.wrong.get((*FOLDERS, self._index, "filters"))
        if wrong is not None:
            self.query_one("#preview", Static).update(f"✗ {plain(wrong.why)}")
        elif isinstance(found, str) and found:
            base = os.path.dirname(os.path.abspath(self._draft.file.path))
            lines = [str(rule) for rule in rules] if is_array(rules) else []
            self._preview(os.path.join(base, found), lines)
        else:
            self.query_one("#preview", Static).update("")

    @work(group="preview")
    async def _preview(self, directory: str, rules: list[str]) -> None:
        self._looks += 1
        number = self._looks
        try:
            found: Preview | str = await asyncio.to_thread(
                look, directory, rules, lambda: number != self._looks
            )
        except (OSError, ValueError) as error:
            found = f"{plain(directory)}: {getattr(error, 'strerror', None) or error}"
        if number == self._looks:
            text = Content(found) if isinstance(found, str) else described(found, rules)
            self.query_one("#preview", Static).update(text)

    def on_unmount(self) -> None:
        """No look is of use any more."""
        self._looks += 1


def described(found: Preview, rules: list[str]) -> Content:
    """A preview in words: the sums, then what each rule decides, with examples."""
    text = ngettext(
        "{count:,} file, {size}; excluded: {excluded:,}",
        "{count:,} files, {size}; excluded: {excluded:,}",
        found.files,
    ).format(count=found.files, size=size(found.size_bytes), excluded=found.excluded)
    if found.unread:
        text += ", " + ngettext(
            "{count} directory cannot be read",
            "{count} directories cannot be read",
            found.unread,
        ).format(count=found.unread)
    if not found.complete:
        text += " " + _("(the first ones; there are more)")
    lines = [Content.styled(text, "bold")]
    for example in found.examples:
        decision = example.decision
        word, style = (
            (_("✓ included"), "$text-success")
            if decision.included
            else (_("✗ excluded"), "$text-error")
        )
        why = _("no rule matches")
        if decision.number:
            why = _("rule {number}: {rule}").format(number=decision.number, rule=decision.rule)
        lines.append(
            Content.assemble(
                (word, style), f"  {plain(example.path)}  ", (plain(why), "$text-muted")
            )
        )
    used = {example.decision.number for example in found.examples}
    idle = [number for number in range(1, len(rules) + 1) if number not in used]
    if idle and found.complete:
        numbers = ", ".join(map(str, idle))
        lines.append(Content(_("decides nothing: rule {numbers}").format(numbers=numbers)))
    return Content("\n").join(lines)
