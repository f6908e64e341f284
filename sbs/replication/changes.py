"""Where something may have changed: what a cycle has to look at (B23)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

MAX_DIRECTORIES: Final = 10_000
"""Directories told apart: to look at more one by one costs as much as to look at all of them."""

_NONE: Final[frozenset[tuple[int, str]]] = frozenset()


@attrs.frozen
class Changes:
    """Directories in which entries may have come, changed or gone.

    Args:
        everything: all of them, in all folders.
        directories: else these: position of the folder, path within it ("" for its root). What
            is below them is not meant, but for directories that are new to the follower.
    """

    everything: bool = False
    directories: frozenset[tuple[int, str]] = _NONE

    @classmethod
    def of(cls, directories: Iterable[tuple[int, str]]) -> Changes:
        """Changes in these directories, or in everything if they are too many."""
        found = frozenset(directories)
        return EVERYTHING if len(found) > MAX_DIRECTORIES else cls(directories=found)

    def __or__(self, other: Changes) -> Changes:
        if self.everything or other.everything:
            return EVERYTHING
        return Changes.of(self.directories | other.directories)

    def __bool__(self) -> bool:
        return self.everything or bool(self.directories)

    def of_folder(self, folder: int) -> list[str] | None:
        """The directories of one folder, each after those above it; ``None`` for all."""
        if self.everything:
            return None
        return sorted(path for number, path in self.directories if number == folder)


EVERYTHING: Final = Changes(everything=True)
NOTHING: Final = Changes()
