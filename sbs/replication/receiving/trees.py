"""Directories that the follower lacks are built in staging, as their contents come (B20).

A first update consists of little else. What lies in such a directory is written once, where it
would otherwise go through the journal, and the roll-forward moves only the topmost of them.

Which operations are carried out in staging follows from the *roots*, the topmost new directories:
all that lies in a root, or in a directory that the generation makes below one.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from sbs.core.filters import basename, parent_of
from sbs.core.manifest import STAGING_NAME, Action, Operation, check_path


@attrs.frozen
class Root:
    """A topmost new directory.

    Args:
        folder: position of its folder.
        path: where it belongs.
        name: that it has in the folder's staging directory.
    """

    folder: int
    path: str
    name: str

    def __attrs_post_init__(self) -> None:
        check_path(self.path)
        if "/" in check_path(self.name):
            raise ValueError(f"{self.name!r} is no name in a staging directory")


class Trees:
    """Tells of the operations of a generation, one after the other, which are built in staging.

    Args:
        roots: as far as they are known.
        unbuilt: numbers of the operations that cannot be carried out in staging, likewise.
    """

    def __init__(self, roots: Iterable[Root] = (), unbuilt: Iterable[int] = ()) -> None:
        self._roots = {(root.folder, root.path): root for root in roots}
        self._unbuilt = set(unbuilt)
        self._directories: dict[tuple[int, str], str] = {}
        """Where they are built, by where they belong."""

    @property
    def roots(self) -> tuple[Root, ...]:
        """The topmost new directories."""
        return tuple(self._roots.values())

    @property
    def unbuilt(self) -> tuple[int, ...]:
        """What cannot be made in staging; the roll-forward meets the reason again."""
        return tuple(sorted(self._unbuilt))

    def leave(self, number: int, operation: Operation) -> None:
        """An operation cannot be carried out in staging."""
        self._unbuilt.add(number)
        self._directories.pop((operation.folder, operation.path), None)

    def add(self, root: Root) -> None:
        """The operation that makes this directory comes next."""
        self._roots[root.folder, root.path] = root

    def root(self, operation: Operation) -> Root | None:
        """The one that an operation makes, if it does."""
        if operation.action is not Action.MKDIR:
            return None
        return self._roots.get((operation.folder, operation.path))

    def place(self, number: int, operation: Operation) -> str | None:
        """The directory in staging that an operation builds in; ``None``: it does not.

        To be asked for every operation, in their order.

        Args:
            number: of the operation within its generation, from 0.
            operation: the operation.
        """
        at = operation.folder, operation.path
        if number in self._unbuilt:
            self._directories.pop(at, None)
            return None
        root = self.root(operation)
        parent = STAGING_NAME if root else self._directories.get((at[0], parent_of(at[1])))
        if parent is not None and operation.action is Action.MKDIR:
            self._directories[at] = f"{parent}/{root.name if root else name_of(operation)}"
        return parent


def name_of(operation: Operation) -> str:
    """The last component of its path."""
    return basename(operation.path)
