"""What belongs into new directories (:mod:`sbs.replication.receiving.trees`), made in staging."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Final

import attrs

from sbs.core.manifest import STAGING_NAME, Action, Operation
from sbs.replication.files.index import Stat, stat_key
from sbs.replication.files.places import IN_THE_WAY, Places
from sbs.replication.receiving.area import CREATE, open_staging, stream_name
from sbs.replication.receiving.dressing import Dresser, Refusals
from sbs.replication.receiving.journal import write_all
from sbs.replication.receiving.trees import Root, Trees, name_of

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@attrs.frozen
class Built:
    """What was built in staging.

    Args:
        looks: of the files, in their order.
        refusals: what could not be done to them beside their content.
    """

    looks: Sequence[Stat] = ()
    refusals: Refusals = attrs.field(factory=dict[tuple[int, str], tuple[str, int]])


NOTHING: Final = Built()


class Builder:
    """Builds the new directories of one generation.

    Args:
        places: where the folders lie.
        folders: in which anything is staged; kept up to date.
        dresser: gives files and links what they have beside their content.
    """

    def __init__(self, places: Places, folders: set[int], dresser: Dresser) -> None:
        self._places = places
        self._folders = folders
        self._number = 0
        self._dresser = dresser
        self.trees: Trees = Trees()
        """Which operations were carried out, and which could not be."""
        self._looks: list[Stat] = []

    @property
    def built(self) -> Built:
        """What was built so far."""
        return Built(self._looks, self._dresser.refusals)

    def take(self, operation: Operation, content: bytes | memoryview = b"") -> bool:
        """Carry out an operation in staging if it belongs there.

        Args:
            operation: the next one.
            content: of a file that came without a stream.

        Returns:
            whether it did.

        Raises:
            OSError: it cannot be carried out.
        """
        number, self._number = self._number, self._number + 1
        place = self.trees.place(number, operation)
        if place is None and operation.action is Action.MKDIR and self._is_missing(operation):
            open_staging(self._places, operation.folder)
            self._folders.add(operation.folder)
            name = f"tree-{number}"
            self.trees.add(Root(operation.folder, operation.path, name))
            place = self.trees.place(number, operation)
        # Of what stood in a directory that is gone on this node alone, the leader may know still.
        if place is None or operation.action in (Action.TOUCH, Action.DELETE):
            return False
        root = self.trees.root(operation)
        name = root.name if root else name_of(operation)
        parent = self._places.directory(operation.folder, place)
        try:
            self._build(operation, content, parent, name)
        except OSError as error:
            if error.errno not in IN_THE_WAY:
                raise
            self.trees.leave(number, operation)
            return False
        return True

    def _is_missing(self, operation: Operation) -> bool:
        try:
            parent, name = self._places.parent(operation.folder, operation.path)
            os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return True
        except OSError:  # whoever carries it out will meet it, too
            return False
        return False

    def _build(
        self, operation: Operation, content: bytes | memoryview, parent: int, name: str
    ) -> None:
        match operation.action:
            case Action.MKDIR:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=parent)
            case Action.LINK:
                os.symlink(operation.target, name, dir_fd=parent)
                self._dresser.own_link(parent, name, operation)
            case Action.PUT:
                if operation.stream is None:
                    self._write(operation, content, parent, name)
                else:
                    self._move(operation, operation.stream, parent, name)
            case _:
                raise AssertionError(f"{operation.action.name} builds nothing")

    def _write(
        self, operation: Operation, content: bytes | memoryview, parent: int, name: str
    ) -> None:
        fd = os.open(name, CREATE, 0o600, dir_fd=parent)
        try:
            write_all(fd, content)
            self._dresser.dress(fd, operation)
            self._looks.append(stat_key(os.fstat(fd)))
        except OSError:
            os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(fd)

    def _move(self, operation: Operation, stream: int, parent: int, name: str) -> None:
        staging = self._places.directory(operation.folder, STAGING_NAME)
        fd = os.open(stream_name(stream), _READ, dir_fd=staging)
        try:
            self._dresser.dress(fd, operation)
            os.rename(stream_name(stream), name, src_dir_fd=staging, dst_dir_fd=parent)
            self._looks.append(stat_key(os.fstat(fd)))
        finally:
            os.close(fd)
