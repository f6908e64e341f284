"""Small windows over the dialog: a question, a message, the steps of something that takes time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from gettext import gettext as _
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Static


def translate(bindings: BindingsMap) -> None:
    """Describe keys in the language of the time: their class was made before it was chosen."""
    for key, found in bindings.key_to_bindings.items():
        bindings.key_to_bindings[key] = [
            replace(each, description=each.description and _(each.description)) for each in found
        ]


class Question(ModalScreen[bool]):
    """Asks; the answer no is the one that is chosen at first.

    Args:
        text: what happens.
        yes: what the button is called that lets it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", "No"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, text: str, yes: str) -> None:
        super().__init__()
        self._text = text
        self._yes = yes
        translate(self._bindings)

    def compose(self) -> ComposeResult:
        """The text and two buttons."""
        with Vertical(classes="window"):
            with VerticalScroll(can_focus=False):
                yield Static(self._text, markup=False)
            with Horizontal(classes="buttons"):
                yield Button(_("No"), id="no", compact=True)
                yield Button(self._yes, id="yes", variant="warning", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """One of them."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """By a key."""
        self.dismiss(answer)


class Ask(Message):
    """A tab wants to know something.

    Args:
        question: to be shown.
        answered: called with the answer; ``None`` if there was none.
    """

    def __init__(
        self, question: Question, answered: Callable[[bool | None], Awaitable[None]]
    ) -> None:
        super().__init__()
        self.question: Question = question
        self.answered: Callable[[bool | None], Awaitable[None]] = answered


class Report(ModalScreen[None]):
    """Says something, and more as it becomes known.

    Args:
        title: of the window.
        text: the first lines.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def __init__(self, title: str, text: str = "") -> None:
        super().__init__()
        self._title = title
        self._lines = text.splitlines()
        translate(self._bindings)

    def compose(self) -> ComposeResult:
        """Title, text and a button."""
        with Vertical(classes="window"):
            yield Static(self._title, classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static("\n".join(self._lines), id="report", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(_("Close"), id="close", compact=True)

    @property
    def text(self) -> str:
        """What it says."""
        return "\n".join(self._lines)

    def add(self, line: str) -> None:
        """One line more."""
        self._lines.append(line)
        self._show()

    def on_mount(self) -> None:
        """Lines may have come while the window was being made."""
        self._show()

    def _show(self) -> None:
        for report in self.query("#report").results(Static):
            report.update(self.text)
            self.query_one(VerticalScroll).scroll_end(animate=False)

    def on_button_pressed(self, _event: Button.Pressed) -> None:
        """The only one."""
        self.dismiss()

    def action_close(self) -> None:
        """By a key."""
        self.dismiss()
