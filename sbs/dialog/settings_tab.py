"""The tabs Configuration and E-mail: every setting, with its meaning (R62, R50)."""

from __future__ import annotations

from collections.abc import Iterator
from gettext import gettext as _
from typing import Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, OptionList
from textual.widgets.option_list import Option

from sbs.config.declare import Section
from sbs.config.settings import FILE
from sbs.dialog.draft import Draft
from sbs.dialog.fields import Fields
from sbs.dialog.typed import Setting, setting, settings_of

PAIR: Final = (
    setting("node", "name"),
    setting("node", "listen"),
    setting("node", "peer"),
    setting("node", "mode"),
    setting("sync", "period_s"),
    setting("sync", "strict_delete"),
    setting("sync", "preserve_mtime"),
)
"""What makes a pair: the settings of R62."""

_ELSEWHERE: Final = ("folders", "mail")
"""Sections that have a tab of their own."""


def groups() -> Iterator[tuple[str, tuple[Setting, ...]]]:
    """What the tab Configuration offers: a name, and its settings; each of them once."""
    yield "pair", PAIR
    for name, declaration in FILE.declarations.items():
        if isinstance(declaration, Section) and name not in _ELSEWHERE:
            rest = tuple(each for each in settings_of((name,)) if each not in PAIR)
            yield name, rest


class SettingsTab(Horizontal):
    """Configuration: groups on the left, their settings on the right.

    Args:
        draft: that is edited.
    """

    def __init__(self, draft: Draft) -> None:
        super().__init__(id="settings")
        self._draft = draft
        self._groups = dict(groups())

    def compose(self) -> ComposeResult:
        """The groups, and the first one's settings."""
        options = (Option(_title(name), id=name) for name in self._groups)
        yield OptionList(*options, compact=True)
        yield Fields(self._draft, PAIR, whole=True)

    async def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Another group."""
        event.stop()
        await self._show(str(event.option_id))

    async def reload(self) -> None:
        """Show what stands in the draft now."""
        option = self.query_one(OptionList).highlighted_option
        await self._show(str(option.id) if option else "pair")

    async def _show(self, group: str) -> None:
        await self.query_one(Fields).show(
            self._groups[group], whole=group == "pair", about=_about(group).replace("`", "")
        )


def _title(group: str) -> str:
    return _("pair") if group == "pair" else group  # a section is called as in the file


def _about(group: str) -> str:
    if group == "pair":
        return _(
            "What makes two nodes a pair. Tab or Enter: to the settings; the other groups have all "
            "the rest."
        )
    if group == "services":
        return _(
            "The application's services and who starts them. The services themselves, each a "
            "[[services.unit]], are written in a text editor."
        )
    return _(FILE.declarations[group].help)


class MailTab(Vertical):
    """E-mail: its settings, and a test message.

    Args:
        draft: that is edited.
    """

    class Test(Message):
        """A test message is wanted."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(id="mail-settings")
        self._draft = draft
        self._settings = settings_of(("mail",))

    def compose(self) -> ComposeResult:
        """The settings, and a button."""
        yield Fields(self._draft, self._settings)
        with Horizontal(classes="buttons"):
            yield Button(_("Test"), id="test", variant="primary", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """The only one."""
        event.stop()
        self.post_message(self.Test())

    async def reload(self) -> None:
        """Show what stands in the draft now."""
        await self.query_one(Fields).show(self._settings)
