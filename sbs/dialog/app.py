"""The dialog: four tabs over one node and one file (R60 to R63)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from gettext import gettext as _
from typing import ClassVar, Final

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Footer, Static, TabbedContent, TabPane

from sbs.config import parse
from sbs.core.printable import plain
from sbs.dialog import acts, node
from sbs.dialog.draft import Draft
from sbs.dialog.file import ChangedError
from sbs.dialog.folders_tab import FoldersTab
from sbs.dialog.logo import look_of
from sbs.dialog.node import Seen
from sbs.dialog.screens import Ask, Question, Report, translate
from sbs.dialog.settings_tab import MailTab, SettingsTab
from sbs.dialog.status_tab import StatusTab
from sbs.dialog.style import STYLE
from sbs.errors import ConfigError, SbsError
from sbs.ports import SendStep
from sbs.runtime.mailing.trial import send_test

LOOK_INTERVAL_S: Final = 1.0
"""Between two looks at the node: a person sees no more."""

EDITED: Final[Mapping[str, type[SettingsTab] | type[MailTab] | type[FoldersTab]]] = {
    "configuration": SettingsTab,
    "e-mail": MailTab,
    "folders": FoldersTab,
}
"""The tabs that edit the file."""


class Dialog(App[None]):
    """``sbs config``.

    Args:
        path: of the configuration.
        password: of the mail account, used where no file is configured.

    Raises:
        ConfigError: the file cannot be read, or is no TOML.
    """

    TITLE: str | None = "SBS"
    CSS: ClassVar[str] = STYLE
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,alt+1", "open('status')", "Status", priority=True),
        Binding("f2,alt+2", "open('configuration')", "Configuration", priority=True),
        Binding("f3,alt+3", "open('e-mail')", "E-mail", priority=True),
        Binding("f4,alt+4", "open('folders')", "Folders", priority=True),
        Binding("ctrl+s", "save", "Save", priority=True),
        Binding("ctrl+r", "reload", "Reload", priority=True),
        Binding("ctrl+q", "leave", "Quit", priority=True),
    ]

    def __init__(self, path: str, password: str = "") -> None:
        super().__init__()
        translate(self._bindings)
        self.draft: Draft = Draft(path)
        self.seen: Seen = Seen(role=node.SILENT, why=_("looking at it"))
        self._password = password
        self._looking = False
        self._wanted = "status"

    def compose(self) -> ComposeResult:
        """A bar with the state, the tabs, and the keys."""
        yield Static(id="bar", markup=False)
        with TabbedContent(initial="status"):
            with TabPane(_("Status"), id="status"):
                yield StatusTab()
            for name, tab in EDITED.items():
                with TabPane(_(name.capitalize()), id=name):
                    yield tab(self.draft)
                    yield Static(classes="why", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Look at the node, again and again."""
        self.call_after_refresh(self.look)  # styles count from then on
        self.set_interval(LOOK_INTERVAL_S, self.look)

    def look(self) -> None:
        """Look at the node, unless the last look is still under way."""
        if not self._looking:
            self._looking = True
            self._look(self.draft.state_dir)

    @work(thread=True, group="look")
    def _look(self, state_dir: str) -> None:
        seen = node.look(state_dir)
        if self.is_running:
            self.call_from_thread(self.show, seen)

    def show(self, seen: Seen) -> None:
        """Show how the node was seen; while it runs only the first tab is of use (R63)."""
        self._looking = False
        self.seen = seen
        with suppress(NoMatches):  # before all of the dialog is there, and when it goes
            self._show(seen)

    def _show(self, seen: Seen) -> None:
        below = self.screen_stack[0]  # of whatever window is open
        below.query_one(StatusTab).show(seen)
        for name, tab in EDITED.items():
            pane = below.query_one(f"#{name}", TabPane)
            pane.query_one(tab).display = seen.is_stopped
            why = pane.query_one(".why", Static)
            why.display = not seen.is_stopped
            why.update(_why(seen))
        look = look_of(seen.role)
        changed = "   " + _("[not saved]") if self.draft.is_changed else ""
        role = _(seen.role)
        below.query_one("#bar", Static).update(
            Content.assemble(
                ("SBS  ", "bold"),
                (f"{look.sign} {role.upper()}", f"${look.colour} bold"),
                f"{changed}   {plain(self.draft.file.path)}",
            )
        )
        self._set_title(f"{look.sign} {role} - SBS")

    def action_open(self, tab: str) -> None:
        """Another tab, with the focus in it."""
        if len(self.screen_stack) > 1:
            return
        self._wanted = tab
        self.query_one(TabbedContent).active = tab
        self.call_after_refresh(self._focus_in, tab)

    def _focus_in(self, tab: str) -> None:
        tabs = self.screen_stack[0].query_one(TabbedContent)
        if tab != self._wanted:  # another key was faster
            return
        tabs.active = tab  # the focus that came late in another one had brought that back
        pane = tabs.get_pane(tab)
        inside = (each for each in self.screen.focus_chain if pane in each.ancestors)
        if (first := next(inside, None)) is not None:
            first.focus()

    async def action_save(self) -> None:
        """Write the file, if all of it is right and nobody else has changed it."""
        if not self.seen.is_stopped:
            self.notify(_why(self.seen), severity="warning", markup=False)
            return
        try:
            self.draft.save()
        except ChangedError as error:
            text = _("{problem}.\n\nRead it again? What you have changed here is then gone.")
            question = Question(text.format(problem=error), _("Read again"))
            self.push_screen(question, self._reload)
        except ConfigError as error:
            self.push_screen(Report(_("Not saved: something is wrong"), plain_lines(str(error))))
        else:
            self.notify(_("{path}: saved").format(path=self.draft.file.path), markup=False)
        self.show(self.seen)

    async def action_reload(self) -> None:
        """Read the file again."""
        if self.draft.is_changed:
            text = _("Read the file again? What you have changed here is then gone.")
            self.push_screen(Question(text, _("Read again")), self._reload)
        else:
            await self._reload(True)

    async def _reload(self, answer: bool | None) -> None:
        if not answer:
            return
        try:
            self.draft.reload()
        except ConfigError as error:
            self.push_screen(Report(_("It cannot be read"), plain_lines(str(error))))
            return
        for tab in EDITED.values():
            await self.screen_stack[0].query_one(tab).reload()
        self.show(self.seen)

    def action_leave(self) -> None:
        """End, but not without a question if something is not saved."""
        if not self.draft.is_changed:
            self.exit()
            return
        text = _("Quit without saving? What you have changed is then gone.")
        question = Question(text, _("Quit"))
        self.push_screen(question, lambda answer: self.exit() if answer else None)

    def action_help_quit(self) -> None:
        """Ctrl-C, which copies where text is chosen."""
        self.notify(_("Ctrl+Q leaves the dialog."))

    def on_ask(self, event: Ask) -> None:
        """A tab asks."""
        self.push_screen(event.question, event.answered)

    def on_status_tab_wanted(self, event: StatusTab.Wanted) -> None:
        """Start, stop or exchange the roles; the last two after a question."""
        if event.act == "start":
            self._start()
            return
        question = _stop() if event.act == "stop" else _switchover()

        def answered(answer: bool | None) -> None:
            if answer:
                self._act(event.act)

        self.push_screen(question, answered)

    def _start(self) -> None:
        path = self.draft.file.path
        report = Report(_("Start"))
        self.push_screen(report)
        self._run(report, lambda: acts.start(path))

    def _act(self, act: str) -> None:
        report = Report(_(act.capitalize()), _("under way; this lasts as long as the last update"))
        self.push_screen(report)
        state_dir = self.draft.state_dir
        self._run(report, lambda: acts.ACTS[act](state_dir))

    @work(thread=True, group="act")
    def _run(self, report: Report, act: Callable[[], str]) -> None:
        try:
            text = act()
        except SbsError as error:
            text = _("it failed: {problem}").format(problem=error)
        for line in plain_lines(text).splitlines():
            self.call_from_thread(report.add, line)
        self.call_from_thread(self.look)

    def on_mail_tab_test(self) -> None:
        """Send a message with what the fields say, saved or not."""
        report = Report(_("Test message"))
        self.push_screen(report)
        self._test(report, self.draft.text, self.draft.file.path)

    @work(thread=True, group="act")
    def _test(self, report: Report, text: str, path: str) -> None:
        def show(step: SendStep) -> None:
            word = _("✓ ok  ") if step.ok else _("✗ fail")
            self.call_from_thread(report.add, plain(f"{word} {step.name}: {step.detail}"))

        try:
            config = parse(text, path)
            send_test(config, self._password, show, why="sbs config")
            receivers = ", ".join(config.mail.receivers)
            text = _("The server has taken the message for {receivers}; it should arrive soon.")
            end = text.format(receivers=receivers)
        except SbsError as error:
            end = str(error)
        for line in plain_lines(end).splitlines():
            self.call_from_thread(report.add, line)

    def _set_title(self, title: str) -> None:
        driver = self._driver
        if driver is not None and not self.is_headless:
            driver.write(f"\x1b]2;{title}\x07")  # OSC 2: title of the window


def run(path: str, password: str = "") -> None:
    """Open the dialog on this terminal, and return when it is left.

    Args:
        path: of the configuration.
        password: see :class:`Dialog`.

    Raises:
        ConfigError: see :class:`Dialog`.
    """
    app = Dialog(path, password)
    sys.stderr.write("\x1b[22;2t")  # XTWINOPS: xterm keeps the title
    sys.stderr.flush()
    try:
        app.run()
    finally:
        sys.stderr.write("\x1b[23;2t")
        sys.stderr.flush()


def plain_lines(text: str) -> str:
    """A text of several lines, each without control characters."""
    return "\n".join(map(plain, text.split("\n")))


def _why(seen: Seen) -> str:
    if seen.status is None:
        text = _("It is not known whether the node runs, so nothing can be changed:\n{why}")
        return text.format(why=seen.why)
    return _(
        "The node runs (process {pid}), and has read its configuration: nothing can be changed "
        "here meanwhile.\n\nStop it first (F1, Stop); a primary then hands its role to the other "
        "node."
    ).format(pid=seen.status["pid"])


def _stop() -> Question:
    return Question(
        _(
            "Stop this node?\n\nA primary stops its services, sends a last update and hands its "
            "role to the secondary, which starts them."
        ),
        _("Stop"),
    )


def _switchover() -> Question:
    return Question(
        _(
            "Exchange the roles of the two nodes?\n\nThis node stops its services, sends a last "
            "update, and the other one starts them with all of the data."
        ),
        _("Exchange"),
    )
