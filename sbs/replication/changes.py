"""Where something may have changed: what a cycle has to look at (B23)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import attrs

MAX_DIRECTORIES: Final = 10_000
"""Directories told apart: to look at more one by one costs as much as to look at all of them."""

MAX_NAMES: Final = 10_000
"""Names told apart, likewise: beyond that their directories are looked at as a whole."""

_NO_DIRECTORIES: Final[frozenset[tuple[int, str]]] = frozenset()
_NO_NAMES: Final[frozenset[tuple[int, str, str]]] = frozenset()

Looks: TypeAlias = Mapping[str, frozenset[str] | None]
"""By directory of one folder, the names in it to look at; ``None``: all that is in it."""


@attrs.frozen
class Changes:
    """Where entries may have come, changed or gone.

    Args:
        everything: anywhere, in all folders.
        directories: else anywhere in these: position of the folder, path within it ("" for its
            root). What is below them is not meant, but for directories that are new to the
            follower.
        names: and here: position of the folder, directory, and name in it.
    """

    everything: bool = False
    directories: frozenset[tuple[int, str]] = _NO_DIRECTORIES
    names: frozenset[tuple[int, str, str]] = _NO_NAMES

    @classmethod
    def of(
        cls,
        directories: Iterable[tuple[int, str]] = _NO_DIRECTORIES,
        names: Iterable[tuple[int, str, str]] = _NO_NAMES,
    ) -> Changes:
        """Changes at these places, or in a wider sense if they are too many."""
        whole, apart = frozenset(directories), frozenset(names)
        if len(apart) > MAX_NAMES:
            whole, apart = whole | {each[:2] for each in apart}, _NO_NAMES
        if len(whole) > MAX_DIRECTORIES:
            return EVERYTHING
        return cls(directories=whole, names=apart)

    def __or__(self, other: Changes) -> Changes:
        if self.everything or other.everything:
            return EVERYTHING
        return Changes.of(self.directories | other.directories, self.names | other.names)

    def __bool__(self) -> bool:
        return self.everything or bool(self.directories) or bool(self.names)

    def of_folder(self, folder: int) -> Looks | None:
        """Where to look in one folder; ``None``: everywhere."""
        if self.everything:
            return None
        named: dict[str, set[str]] = {}
        for number, directory, name in self.names:
            if number == folder:
                named.setdefault(directory, set()).add(name)
        looks: dict[str, frozenset[str] | None] = {}
        looks.update((directory, frozenset(names)) for directory, names in named.items())
        looks.update((path, None) for number, path in self.directories if number == folder)
        return looks


EVERYTHING: Final = Changes(everything=True)
NOTHING: Final = Changes()
