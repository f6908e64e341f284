"""Ways to show the demo: live on a terminal, line by line elsewhere, or one JSON object."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Final, Protocol

import click

from sbs.demo.results import Result, StepResult

MIN_WIDTH: Final = 40
"""Columns assumed of a terminal that says it has fewer, or none."""

MAX_LOG_SHOWN: Final = 15
"""Last lines shown of each node's log when a step failed."""


class Reporter(Protocol):
    """Is told how the demo gets on.

    A reporter that cannot write any more keeps the error as ``failure``, and the demo ends itself
    in order.
    """

    failure: OSError | None

    def began(self, title: str) -> None:
        """A step begins."""
        ...

    def progress(self, text: str) -> None:
        """Something happened within it."""
        ...

    def ended(self, step: StepResult) -> None:
        """It is over."""
        ...

    def summary(self, result: Result) -> None:
        """The demo is over."""
        ...


class _Output:
    """Standard output, until it cannot be written."""

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def write(self, text: str, *, line: bool = True) -> None:
        """Write at once, with colours on a terminal alone."""
        if self.failure is None:
            try:
                click.echo(text, nl=line)
            except OSError as error:  # the reader of a pipe has gone, or the terminal
                self.failure = error


class JsonReporter(_Output):
    """One JSON object at the end, and nothing else."""

    def began(self, title: str) -> None:
        """Say nothing."""

    def progress(self, text: str) -> None:
        """Say nothing."""

    def ended(self, step: StepResult) -> None:
        """Say nothing."""

    def summary(self, result: Result) -> None:
        """Print the object; an interrupted demo has none."""
        if not result.interrupted:
            self.write(json.dumps(result.to_json()))


class PlainReporter(_Output):
    """A line for each step as it ends, then the figures."""

    def began(self, title: str) -> None:
        """Say nothing yet."""

    def progress(self, text: str) -> None:
        """Say nothing."""

    def ended(self, step: StepResult) -> None:
        """One line."""
        self.write(_step_line(step))

    def summary(self, result: Result) -> None:
        """The figures, or why there are none."""
        for line in _summary_lines(result):
            self.write(line)


class TerminalReporter(PlainReporter):
    """The same, and the present step's line changes while it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self._title = ""

    def began(self, title: str) -> None:
        """Show what is done."""
        self._title = title
        self.progress("")

    def progress(self, text: str) -> None:
        """Replace the line, cut to the terminal's width so that it stays one."""
        width = max(MIN_WIDTH, shutil.get_terminal_size().columns) - 1
        title = f" ..   {self._title}"
        more = f": {text}" if text else " ..."
        styled = click.style(title[:width], bold=True) + more[: max(0, width - len(title))]
        self.write(f"\r\x1b[2K{styled}", line=False)

    def ended(self, step: StepResult) -> None:
        """Put the result in the place of the present line."""
        self.write("\r\x1b[2K", line=False)
        super().ended(step)

    def summary(self, result: Result) -> None:
        """As the plain form; what an interrupted step left on the line goes."""
        self.write("\r\x1b[2K", line=False)
        super().summary(result)


def _step_line(step: StepResult) -> str:
    word = click.style(" ok ", fg="green") if step.ok else click.style("FAIL", fg="red", bold=True)
    seconds = click.style(f"({step.duration_ms / 1000:.1f} s)", dim=True)
    return f"{word}  {step.text} {seconds}"


def _summary_lines(result: Result) -> Iterator[str]:
    if result.interrupted:
        yield "Interrupted; both nodes and their services have ended."
    elif result.error:
        yield click.style(f"The demo failed after {result.duration_s:.1f} s.", fg="red", bold=True)
    else:
        yield ""
        for label, value_ms, meaning in _rows(result):
            yield f"{label:<12}{click.style(f'{value_ms:7.1f} ms', bold=True)}   {meaning}"
        yield ""
        done = click.style("Every check held", fg="green", bold=True)
        yield f"{done} in {result.duration_s:.1f} s."
    if result.kept is not None:
        yield f"Configurations, logs and folders are kept in {result.kept}"


def _rows(result: Result) -> Iterator[tuple[str, float, str]]:
    figures = result.figures
    for label, value_ms, meaning in (
        ("replication", figures.replication_ms, "from a change until it stands on the other node"),
        ("takeover", figures.takeover_ms, "from kill -9 to the first answer on the other node"),
        ("catch-up", figures.catch_up_ms, "from the old primary's start until nothing differs"),
        ("switchover", figures.switchover_gap_ms, "without an answer while the roles change"),
    ):
        if value_ms is not None:
            yield label, value_ms, meaning


def failure_lines(result: Result) -> Iterator[str]:
    """What went wrong, and the end of each node's log; for standard error."""
    yield f"sbs demo: {_printable(result.error)}"
    for name, lines in result.logs:
        yield f"last lines of {name}'s log:"
        for line in lines[-MAX_LOG_SHOWN:]:
            yield f"  {_printable(line)}"


def _printable(text: str) -> str:
    """The text without control characters, which could act on the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)
