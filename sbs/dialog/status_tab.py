"""The tab Status: the state by word, sign and colour; start, stop, exchange of the roles (R61)."""

from __future__ import annotations

from gettext import gettext as _
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Button, Static

from sbs.dialog import facts
from sbs.dialog.logo import logo, look_of
from sbs.dialog.node import Seen
from sbs.dialog.plot import Updates

_LABEL_CHARS: Final = 12
"""Of the column of labels."""


class StatusTab(Vertical):
    """What a node is, and what can be done with it."""

    class Wanted(Message):
        """A button was pressed.

        Args:
            act: ``start``, ``stop`` or ``switchover``.
        """

        def __init__(self, act: str) -> None:
            super().__init__()
            self.act: str = act

    def __init__(self) -> None:
        super().__init__(id="node")
        self._updates = Updates()

    def compose(self) -> ComposeResult:
        """Logo, facts and buttons."""
        yield Static(id="logo", markup=False)
        with VerticalScroll(id="facts-around"):
            yield Static(id="facts", markup=False)
        with Horizontal(classes="buttons"):
            yield Button(_("Start"), id="start", variant="success", compact=True, disabled=True)
            yield Button(_("Stop"), id="stop", variant="error", compact=True, disabled=True)
            yield Button(_("Switchover"), id="switchover", compact=True, disabled=True)

    def show(self, seen: Seen) -> None:
        """Show how the node was seen."""
        if seen.status is not None:
            self._updates.note(seen.status["last_update"])
        look = look_of(seen.role)
        self.query_one("#logo", Static).update(
            Content.styled(logo(look, _(seen.role)), f"${look.colour}")
        )
        self.query_one("#facts", Static).update(self._facts(seen))
        self.query_one("#start", Button).disabled = not seen.is_stopped
        self.query_one("#stop", Button).disabled = seen.is_stopped
        self.query_one("#switchover", Button).disabled = seen.role != "primary"

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """One of them."""
        event.stop()
        self.post_message(self.Wanted(str(event.button.id)))

    def _facts(self, seen: Seen) -> Content:
        rows = [(label, "bold", text) for label, text in facts.rows(seen, self._updates)]
        alarms = list(facts.alarms(seen))
        if seen.status is not None and not alarms:
            rows.append((_("Alarms"), "bold", _("none")))
        sign = "! " + _("ALARM")
        for text, advice in alarms:
            rows.append((sign, "$text-error bold", text))
            if advice:
                rows.append(("", "", advice))
        return Content("\n").join(
            Content.assemble((f"{label:<{_LABEL_CHARS}}", style), text)
            for label, style, text in rows
        )
