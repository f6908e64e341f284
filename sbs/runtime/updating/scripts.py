"""The administrator's scripts around an update: what is exported, and what is imported (R25)."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sbs.config import HookSettings
from sbs.core.alarm import Alarm
from sbs.core.epoch import Epoch
from sbs.core.filters import parent_of
from sbs.core.history import Generation
from sbs.core.manifest import FolderSpec
from sbs.errors import ReplicationError
from sbs.replication.changes import NOTHING, Changes
from sbs.replication.files.problems import Problem, Problems, log_new
from sbs.runtime.alarms import Alarms
from sbs.runtime.hooks import HookError, log_lines, run_hook

WARNING: Final = "warning: "
"""Begins a line that a script prints for the administrator."""

MAX_NAME_CHARS: Final = 80
"""Of a script's command line, where a problem names it."""

MAX_WARNING_CHARS: Final = 500
"""Of one warning; ``sbs status`` shows a line each."""


class Scripts:
    """Runs the update and apply scripts of one node.

    Args:
        settings: what runs, how long, and what a failure means.
        node: its name.
        alarms: told what fails.
    """

    def __init__(self, settings: HookSettings, node: str, alarms: Alarms) -> None:
        self._settings = settings
        self._node = node
        self._alarms = alarms
        self._told: dict[str, tuple[Problem, ...]] = {}
        self.holds: str = ""
        """Why updates are held back; empty: they are not."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the last run of each kind of script could not carry over."""
        return tuple(problem for told in self._told.values() for problem in told)

    async def update(
        self, folders: Sequence[FolderSpec], epoch: Epoch, generation: int, *, due: bool
    ) -> Changes:
        """Run the update scripts before an update, if they are due.

        Args:
            folders: that are replicated.
            epoch: of this primacy.
            generation: the last complete one.
            due: else only the failure of the last run counts, if it holds updates back.

        Returns:
            where they say that something changed.

        Raises:
            ReplicationError: one failed, and the settings hold the update back for that.
        """
        if due:
            places = {spec.name: spec.path for spec in folders}
            changes = await self._export(
                places, self._environment("update", places, epoch, generation)
            )
        else:
            changes = NOTHING
        if self.holds:
            raise ReplicationError(self.holds)
        return changes

    async def _export(self, places: Mapping[str, str], environment: Mapping[str, str]) -> Changes:
        found: set[tuple[int, str]] = set()
        problems, failures = Problems(), list[str]()
        for argv in self._settings.update:
            name = _name("update", argv)
            try:
                paths, warnings = _read(
                    argv, await run_hook(argv, environment, self._settings.timeout_s)
                )
            except HookError as error:
                failures.append(str(error))
                continue
            problems.extend(Problem.of(name, "", text) for text in warnings)
            for path, place in zip(paths, _places_of(paths, places.values()), strict=True):
                if place is None:
                    problems.add("", f"{path} is in no replicated folder", name)
                else:
                    found.add(place)
        self._tell("update", problems)
        self._alarms.tell(Alarm.UPDATE_HOOK_FAILED, failures)
        self.holds = ""
        if failures and self._settings.on_update_failure == "hold":
            text = 'the update waits for its scripts, as hooks.on_update_failure = "hold" says'
            self.holds = f"{text}: {'; '.join(failures)}"
        return Changes.of(found)

    async def apply(self, generation: Generation, places: Mapping[str, str]) -> None:
        """Run the apply scripts after a generation was applied; a failure is an alarm.

        Args:
            generation: that was applied.
            places: where the folders lie, by name.
        """
        epoch, number = generation.epoch, generation.number
        environment = self._environment("apply", places, epoch, number)
        problems, failures = Problems(), list[str]()
        for argv in self._settings.apply:
            try:
                lines = await run_hook(argv, environment, self._settings.timeout_s)
            except HookError as error:
                failures.append(str(error))
                continue
            name = _name("apply", argv)
            problems.extend(Problem.of(name, "", text) for text in _warnings(lines))
            log_lines(argv, [line for line in lines if not line.startswith(WARNING)])
        self._tell("apply", problems)
        self._alarms.tell(Alarm.APPLY_HOOK_FAILED, failures)

    def _environment(
        self, kind: str, places: Mapping[str, str], epoch: Epoch, generation: int
    ) -> dict[str, str]:
        return {
            "SBS_HOOK": kind,
            "SBS_NODE": self._node,
            "SBS_EPOCH": str(epoch.number),
            "SBS_GENERATION": str(generation),
            "SBS_FOLDERS": json.dumps({**places}),
        }

    def _tell(self, kind: str, problems: Problems) -> None:
        log_new(self._told.get(kind, ()), problems.collected)
        self._told[kind] = problems.collected


def _name(kind: str, argv: Sequence[str]) -> str:
    return f"{kind} hook {shlex.join(argv)[:MAX_NAME_CHARS]}"


def _warnings(lines: Sequence[str]) -> list[str]:
    return [
        line.removeprefix(WARNING)[:MAX_WARNING_CHARS] for line in lines if line.startswith(WARNING)
    ]


def _read(argv: Sequence[str], lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths and warnings of what an update script printed.

    Raises:
        HookError: a line is neither: then none of the output is used.
    """
    paths = [line for line in lines if line and not line.startswith(WARNING)]
    for path in paths:
        if not os.path.isabs(path) or "\0" in path:
            raise HookError(
                f"hook {shlex.join(argv)}: printed {path[:MAX_WARNING_CHARS]!a}: allowed is a "
                f"line for each changed file, its absolute path, and lines that begin with "
                f'"{WARNING}"; other output belongs to standard error'
            )
    return paths, _warnings(lines)


def _places_of(paths: Sequence[str], folders: Iterable[str]) -> Iterator[tuple[int, str] | None]:
    """For each path the folder and the directory in it that it lies in, if it lies in one."""
    roots = [os.path.realpath(folder) for folder in folders]
    for path in paths:
        yield _place_of(os.path.realpath(path), roots)


def _place_of(real: str, roots: Sequence[str]) -> tuple[int, str] | None:
    for folder, root in enumerate(roots):
        if os.path.commonpath([real, root]) == root:
            return folder, "" if real == root else parent_of(os.path.relpath(real, root))
    return None
