"""Fields of settings: what is typed is checked at once, and what it means stands below."""

from __future__ import annotations

from collections.abc import Sequence
from gettext import gettext as _

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Label, Select, Static

from sbs.config.text import dotted
from sbs.dialog.draft import Draft
from sbs.dialog.typed import Setting


class Field(Horizontal):
    """One setting: its name, and what is typed or chosen for it.

    Args:
        setting: that it is for.
        draft: that it changes.
        label: what it is called here.
    """

    class Shown(Message):
        """It has the focus, or has changed: what it means should be seen."""

        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field: Field = field

    def __init__(self, setting: Setting, draft: Draft, label: str) -> None:
        super().__init__(id="field-" + "-".join(map(str, setting.path)))
        self.setting: Setting = setting
        self._draft = draft
        self._label = label

    def compose(self) -> ComposeResult:
        """Name and editor."""
        yield Label(self._label, markup=False)
        typed, words = self._draft.typed(self.setting), self.setting.words
        if words:
            yield Select(
                [(self.setting.label(word), word) for word in words],
                prompt=_("{value} (default)").format(value=self._default),
                value=typed if typed in words else Select.NULL,
                compact=True,
            )
        else:
            yield Input(
                typed,
                placeholder=self._default,
                compact=True,
                select_on_focus=False,
            )

    def on_mount(self) -> None:
        """A value of the file may be wrong from the beginning."""
        if not self.why:
            typed = self._draft.typed(self.setting)
            if typed and self._draft.value(self.setting.path) is not None:
                self._draft.check(self.setting)
        self._mark()

    @property
    def _default(self) -> str:
        return self.setting.default or _("required")

    @property
    def why(self) -> str:
        """What is wrong with it; empty if nothing is."""
        return self._draft.why(self.setting)

    def on_input_changed(self, event: Input.Changed) -> None:
        """A key was typed."""
        event.stop()
        self._take(event.value)

    def on_select_changed(self, event: Select.Changed) -> None:
        """A word was chosen."""
        event.stop()
        if event.value is Select.NULL and self.why:
            return  # what stands in the file is none of the words
        self._take("" if event.value is Select.NULL else str(event.value))

    def on_descendant_focus(self) -> None:
        """Show what it means."""
        self.post_message(self.Shown(self))

    def _take(self, text: str) -> None:
        if text != self._draft.typed(self.setting):
            self._draft.type(self.setting, text)
            self._mark()
            self.post_message(self.Shown(self))

    def _mark(self) -> None:
        wrong = bool(self.why)
        self.set_class(wrong, "wrong")
        self.query_one(Label).update(f"✗ {self._label}" if wrong else self._label)


def explained(setting: Setting, why: str) -> Content:
    """What a setting means, and what is wrong with it."""
    title = (dotted([part for part in setting.path if isinstance(part, str)]), "bold")
    first = Content.assemble(title, "  ", _(setting.key.help).replace("`", ""))
    allowed = _("Allowed: {expected}. Default: {default}.").format(
        expected=setting.expected, default=setting.default or _("required")
    )
    second = Content.styled(f"✗ {why}", "$text-error bold") if why else Content(allowed)
    return Content("\n").join([first, second])


class Fields(Vertical):
    """Some settings, and what the one with the focus means.

    Args:
        draft: that they change.
        settings: shown at first.
        whole: names are shown with their section.
    """

    def __init__(
        self, draft: Draft, settings: Sequence[Setting] = (), *, whole: bool = False
    ) -> None:
        super().__init__()
        self._draft = draft
        self._settings = tuple(settings)
        self._whole = whole

    def compose(self) -> ComposeResult:
        """The fields, and below them the explanation."""
        with VerticalScroll(can_focus=False, classes="fields"):
            yield from self._fields()
        yield Static(classes="help", markup=False)

    async def show(
        self, settings: Sequence[Setting], *, whole: bool = False, about: str = ""
    ) -> None:
        """Show others, with what stands in the draft now; ``about`` says what they are."""
        self._settings, self._whole = tuple(settings), whole
        around = self.query_one(VerticalScroll)
        async with self.batch():
            await around.remove_children()
            await around.mount_all(self._fields())
        self.query_one(".help", Static).update(Content(about))

    def explain(self, setting: Setting, why: str) -> None:
        """Show what a setting means."""
        self.query_one(".help", Static).update(explained(setting, why))

    def on_field_shown(self, event: Field.Shown) -> None:
        """One of them has the focus."""
        self.explain(event.field.setting, event.field.why)
        # A longer explanation takes lines from the fields.
        self.call_after_refresh(event.field.scroll_visible, animate=False)

    def _fields(self) -> list[Widget]:
        return [Field(each, self._draft, self._label_of(each)) for each in self._settings]

    def _label_of(self, setting: Setting) -> str:
        parts = [part for part in setting.path if isinstance(part, str)]
        return dotted(parts) if self._whole else setting.name
