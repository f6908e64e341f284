"""What could not be carried over, or not as it is, for the administrator; the rest still was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from sbs.core.printable import plain
from sbs.log import INFO, WARNING, Log

MAX_PROBLEMS: Final = 1000
"""Problems listed one by one: more than anybody reads. Further ones are counted."""

_log = Log(__name__)
_NOTE = _log.event(
    "replicated-otherwise",
    INFO,
    "{path}: {text}",
    "The content is on the secondary, but something about it is not as it is here; the "
    "text says what. `sbs status` lists it as a note.",
)
_PROBLEM = _log.event(
    "not-replicated",
    WARNING,
    "not replicated: {path}: {text}",
    "This file is missing or old on the secondary, and all others are there. Mend what "
    "the text names, or exclude the file by a filter; `sbs status` lists what stands.",
)


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that was left out, or that is not on the secondary as it is on the primary.

    Args:
        path: folder name and path within it, printable.
        text: what is wrong with it, one line, printable.
        folder: its name.
        entry: the path within it, as it is; empty for what is about no single one.
        note: all contents were replicated; something else about them could not be.
    """

    path: str
    text: str
    folder: str = ""
    entry: str = ""
    note: bool = False

    @classmethod
    def of(cls, folder: str, entry: str, text: str, *, note: bool = False) -> Problem:
        """A problem of one path, or of a whole folder where ``entry`` is empty."""
        where = plain(f"{folder}/{entry}" if entry else folder)
        return cls(path=where, text=plain(text), folder=folder, entry=entry, note=note)


class Problems:
    """Collects the problems of one folder, or of several, up to :data:`MAX_PROBLEMS`."""

    def __init__(self, folder: str = "") -> None:
        self._folder = folder
        self._listed: list[Problem] = []
        self._further = 0

    def add(self, path: str, text: str, folder: str | None = None, *, note: bool = False) -> None:
        """Add one; control characters and undecodable bytes in it are escaped."""
        if len(self._listed) < MAX_PROBLEMS:
            name = self._folder if folder is None else folder
            self._listed.append(Problem.of(name, path, text, note=note))
        else:
            self._further += 1

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add what was collected elsewhere."""
        for problem in problems:
            if len(self._listed) < MAX_PROBLEMS:
                self._listed.append(problem)
            else:
                self._further += 1

    @property
    def collected(self) -> tuple[Problem, ...]:
        """All of them; the last one counts what was too much."""
        if not self._further:
            return tuple(self._listed)
        rest = Problem(path=self._folder, text=f"and {self._further} more")
        return (*self._listed, rest)


def log_new(before: Iterable[Problem], now: Iterable[Problem]) -> None:
    """Write to the log what was not known before."""
    known = set(before)
    for problem in now:
        if problem in known:
            continue
        if problem.note:
            _NOTE(path=problem.path, text=problem.text)
        else:
            _PROBLEM(path=problem.path, text=problem.text)
