"""A file system that takes several names for one: found out, and told what to call a file.

Such a file system keeps the name under which an entry was made, also when another file is renamed
over it under a name that is the same to it. So an entry gets the leader's name first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import unicodedata
from collections import OrderedDict
from typing import Final

from sbs.core.filters import Filter, basename, parent_of
from sbs.core.folding import Folding
from sbs.core.manifest import STAGING_NAME
from sbs.replication.files.places import Places
from sbs.replication.receiving.area import open_staging
from sbs.replication.receiving.record import CommitRecord

MAX_DIRECTORIES: Final = 64
"""Directories whose names are remembered: operations come directory by directory."""

_PROBE: Final = "probe"
_SMALL: Final = "case"
_COMPOSED: Final = "\u00e9"

_HANDLE: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def probe(places: Places, folder: int) -> Folding:
    """Find out which names are one in a folder, by names in its staging directory.

    It is the directory in which the folder's root would have been given this property. What is
    mounted inside the folder, or was given it alone, is not known.

    Raises:
        OSError: nothing can be made or removed there; what is left goes with the staging directory.
    """
    staging = open_staging(places, folder)
    os.mkdir(_PROBE, 0o700, dir_fd=staging)
    case = _is_one(staging, _SMALL, _SMALL.upper())
    unicode = _is_one(staging, _COMPOSED, unicodedata.normalize("NFD", _COMPOSED))
    os.rmdir(_PROBE, dir_fd=staging)
    return Folding.of(case=case, unicode=unicode)


def _is_one(staging: int, name: str, other: str) -> bool:
    """Whether what is made under a name is found under another one."""
    probe = os.open(_PROBE, _HANDLE, dir_fd=staging)
    try:
        try:
            os.mkdir(name, 0o700, dir_fd=probe)
        except OSError as error:
            if error.errno not in (errno.EILSEQ, errno.EINVAL):
                raise
            return False  # it takes no such name at all
        is_one = True
        try:
            os.stat(other, dir_fd=probe, follow_symlinks=False)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EILSEQ, errno.EINVAL):
                raise
            is_one = False
        os.rmdir(name, dir_fd=probe)
        return is_one
    finally:
        os.close(probe)


class Spellings:
    """The names in one folder that folds them.

    Args:
        places: of the folders.
        folder: which one.
        folding: what it does.
        rules: what is excluded keeps its name.
    """

    def __init__(self, places: Places, folder: int, folding: Folding, rules: Filter) -> None:
        self._places = places
        self._folder = folder
        self._folding = folding
        self._rules = rules
        self._names: OrderedDict[str, dict[str, list[str]]] = OrderedDict()
        """By directory, its names by their keys."""

    def standing(self, path: str) -> str | None:
        """The path under which something stands that is found at ``path``; ``None``: nothing is.

        Raises:
            OSError: a directory cannot be read.
        """
        found = ""
        for name in path.split("/"):
            own = self._own(found, name)
            if own is None:
                return None
            found = f"{found}/{own}" if found else own
        return found

    def _own(self, directory: str, name: str) -> str | None:
        parent = self._places.directory(self._folder, directory)
        try:
            os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return None
        key = self._folding.key(name)
        found = self._of(directory).get(key)
        if found is None:  # made since its directory was listed
            self._names.pop(directory)
            found = self._of(directory).get(key, [name])  # else it folds more than is known
        return name if name in found else found[0]

    def settle(self, path: str, number: int) -> None:
        """Give what stands at ``path`` exactly this name, if there is anything.

        It leaves its directory for a moment: to some file systems the two names are so much one
        that there is nothing to rename. After a crash it is found under the same number.

        Args:
            path: of a coming file, directory or link.
            number: of the operation within its generation.

        Raises:
            FileExistsError: it is excluded, and is not to be touched.
            OSError: it cannot be renamed.
        """
        away = f"spell-{number}"
        standing = self.standing(path)
        parent, name = self._places.parent(self._folder, path, make=True)
        staging = self._places.directory(self._folder, STAGING_NAME)
        if standing is not None and standing != path:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not self._rules.includes(standing, stat.S_ISDIR(status.st_mode)):
                text = f"{standing!r} is the same name here, and excluded"
                raise FileExistsError(errno.EEXIST, text)
            own = basename(standing)
            if own != name and not self._move(own, parent, away, staging):
                return
            self._names.pop(parent_of(standing), None)
        with contextlib.suppress(FileNotFoundError):  # nothing was renamed, now or before a crash
            os.rename(away, name, src_dir_fd=staging, dst_dir_fd=parent)

    def _move(self, own: str, parent: int, away: str, staging: int) -> bool:
        try:
            os.rename(own, away, src_dir_fd=parent, dst_dir_fd=staging)
        except OSError as error:
            if error.errno != errno.EXDEV:  # what is mounted inside the folder keeps its name
                raise
            return False
        return True

    @classmethod
    def of(cls, places: Places, record: CommitRecord) -> dict[int, Spellings]:
        """Those of a generation's folders that fold names."""
        return {
            number: cls(places, number, folding, Filter.parse(spec.filters))
            for number, (spec, folding) in enumerate(
                zip(record.folders, record.foldings, strict=True)
            )
            if folding is not Folding.NONE
        }

    def _of(self, directory: str) -> dict[str, list[str]]:
        names = self._names.get(directory)
        if names is None:
            names = self._names[directory] = {}
            for name in os.listdir(self._places.directory(self._folder, directory)):
                names.setdefault(self._folding.key(name), []).append(name)
            if len(self._names) > MAX_DIRECTORIES:
                self._names.popitem(last=False)
        self._names.move_to_end(directory)
        return names
