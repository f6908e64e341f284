"""Files of the replicated folders that have several names: each name becomes a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from sbs.replication.files.problems import Problem
from sbs.replication.files.visit import Part

MAX_REMEMBERED: Final = 100_000
"""Files with a second name somewhere, whose first one is remembered: some 20 MB. Of more than that
(a tree of backups made of hard links, say) the count is a lower bound, and the note says so."""

MAX_NAMED: Final = 4
"""Names in a note, two pairs: it is one line."""


@attrs.define
class _Found:
    count: int = 0
    named: list[str] = attrs.field(factory=list[str])


class HardLinks:
    """Looks for files with several names in one full scan of all folders.

    Args:
        folders: their names.
    """

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._first: dict[tuple[int, int], tuple[int, str] | None] = {}
        """The first name of a file, until its second one is found."""
        self._found = [_Found() for _ in folders]
        self._is_full = False

    def add(self, folder: int, part: Part) -> None:
        """What was found in one directory of a folder."""
        for path, inode in part.inodes.items():
            if inode not in self._first:
                if len(self._first) < MAX_REMEMBERED:
                    self._first[inode] = folder, path
                else:
                    self._is_full = True
                continue
            first, self._first[inode] = self._first[inode], None
            if first is not None:
                self._count(*first)
            self._count(folder, path)

    @property
    def notes(self) -> tuple[Problem, ...]:
        """One for each folder in which there are such names."""
        found = zip(self._folders, self._found, strict=True)
        return tuple(self._note(name, each) for name, each in found if each.count)

    def _count(self, folder: int, path: str) -> None:
        found = self._found[folder]
        found.count += 1
        if len(found.named) < MAX_NAMED:
            found.named.append(path)

    def _note(self, folder: str, found: _Found) -> Problem:
        further = found.count - len(found.named)
        names = ", ".join(found.named) + (f" and {further} more" if further else "")
        count = f"at least {found.count}" if self._is_full else f"{found.count}"
        text = f"{count} names are hard links; each is replicated as a file of its own: {names}"
        return Problem.of(folder, "", text, note=True)
