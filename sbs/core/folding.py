"""Names that a file system takes for one: in another case, or composed otherwise.

The follower looks what its file system does and says so when it lists a folder. The leader then
replicates one of several names that are one there, and leaves the others out: the file that the
follower holds already, else the first in the order of names. So an update never replaces what
the one before it put there under the other name, and a takeover finds one of the files rather
than none.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Callable, Collection, Iterable


class Folding(enum.Enum):
    """Which names are one name in a folder."""

    NONE = "none"
    """Each is its own."""
    CASE = "case"
    """Those that differ in case."""
    UNICODE = "unicode"
    """Those that are equal in Unicode's decomposed normal form (NFD)."""
    BOTH = "both"
    """Those that are equal by either rule."""

    @classmethod
    def of(cls, *, case: bool, unicode: bool) -> Folding:
        """The value for what was found."""
        if case:
            return cls.BOTH if unicode else cls.CASE
        return cls.UNICODE if unicode else cls.NONE

    def key(self, path: str) -> str:
        """What is equal for all paths that are one, and perhaps for a few more.

        File systems differ in what they fold. One that folds less than this leaves a file out that
        could have been replicated, and the administrator is told; the other way round, a file would
        be lost. So case is folded in full (``ß`` is ``ss``), and what ext4 ignores is dropped.
        """
        if self is Folding.NONE:
            return path
        if path.isascii():
            return path if self is Folding.UNICODE else path.lower()
        if self is not Folding.UNICODE:
            path = path.upper().casefold()
        if self is Folding.CASE:
            return path
        # After the case, as ext4 does: U+0345 is an iota then, which other marks do not pass.
        decomposed = unicodedata.normalize("NFD", path)
        path = "".join(each for each in decomposed if not _is_ignorable(each))
        if self is Folding.BOTH:
            path = path.upper().casefold()
        # What case folding makes may be composed otherwise than what was folded.
        return unicodedata.normalize("NFD", path)

    def spellings(self, paths: Iterable[str]) -> dict[str, str]:
        """The paths by their keys; none where each is its own."""
        return {} if self is Folding.NONE else {self.key(path): path for path in paths}

    def clashes(
        self, paths: Collection[str], held: Callable[[], Collection[str]]
    ) -> dict[str, str]:
        """Which of the paths cannot all stand in one directory.

        Args:
            paths: of the leader's entries of the directory.
            held: tells those of the follower's; asked only where there is a clash.

        Returns:
            by each path that is to be left out, the one that is replicated instead.
        """
        if self is Folding.NONE:
            return {}
        groups: dict[str, list[str]] = {}
        for path in paths:
            groups.setdefault(self.key(path), []).append(path)
        if len(groups) == len(paths):
            return {}
        standing = held()
        found: dict[str, str] = {}
        for group in groups.values():
            chosen = min(group, key=lambda path: (path not in standing, path))
            found |= {path: chosen for path in group if path != chosen}
        return found


def _is_ignorable(character: str) -> bool:
    """Whether a file system may take a name for the same without it: joiners, selectors."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"
