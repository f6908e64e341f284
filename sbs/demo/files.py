"""The files of the demo: their content follows from name and version, so any copy can be checked.

One writer changes them at random. A copy is right if it is exactly some version that was written,
and none older than what is known to have been replicated.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping
from typing import Final

from sbs.core.manifest import STAGING_NAME
from sbs.demo.results import DemoError
from sbs.replication.former.kept import standing

NAMES: Final = (
    *(f"orders/{number:03}.dat" for number in range(80)),
    *(f"settings/{number:02}.ini" for number in range(40)),
    "archive.bin",
)
"""The files; few enough that the demo is over soon, and one that travels in several blocks."""

LARGE: Final = "archive.bin"
LARGE_BYTES: Final = 3 * 1024 * 1024
SMALL_BYTES: Final = 16 * 1024

MAX_HEAD_BYTES: Final = 100
"""Longest first line of a file, which tells name and version."""

UNFINISHED: Final = ".unfinished"
"""Name of a file not yet complete; a filter keeps it from being replicated."""


def content(name: str, version: int) -> bytes:
    """What file ``name`` holds in ``version``, which counts from 1."""
    chance = random.Random(f"{name} {version}")
    size = LARGE_BYTES if name == LARGE else chance.randrange(SMALL_BYTES)
    return f"{name} {version}\n".encode() + chance.randbytes(size)


class Files:
    """The files: ``versions`` written last, and ``certain`` ones, known to be replicated.

    ``late`` counts the changes of each that came after its last replicated version.
    """

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.certain: dict[str, int] = {}
        self.late: dict[str, int] = {}
        self._chance = random.Random(1)

    def write(self, folder: str, name: str) -> bytes:
        """Write the next version of a file, as careful programs do: aside, then rename."""
        version = self.versions.get(name, 0) + 1
        data = content(name, version)
        path = os.path.join(folder, name)
        aside = os.path.join(folder, UNFINISHED)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(aside, "wb") as file:
            file.write(data)
        os.rename(aside, path)
        self.versions[name] = version
        return data

    def write_all(self, folder: str) -> None:
        """Write every file anew."""
        for name in NAMES:
            self.write(folder, name)

    def write_any(self, folder: str) -> None:
        """Write a small file anew."""
        self.write(folder, self._chance.choice([name for name in NAMES if name != LARGE]))


def read(path: str) -> bytes | None:
    """A file's content; ``None`` if it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def listed(folder: str) -> set[str]:
    """Relative paths of all files below ``folder``, but what SBS keeps there for itself."""
    found: set[str] = set()
    for parent, directories, names in os.walk(folder):
        if parent == folder and STAGING_NAME in directories:
            directories.remove(STAGING_NAME)
        found.update(os.path.relpath(os.path.join(parent, name), folder) for name in names)
    return found


def check_copy(
    folder: str, *, at_least: Mapping[str, int], at_most: Mapping[str, int]
) -> dict[str, int]:
    """Compare every file of a copy, byte for byte, with the version it claims to be.

    Args:
        folder: the copy.
        at_least: versions that the copy must have, or newer ones.
        at_most: versions written last.

    Returns:
        how many changes the copy lacks, by file.

    Raises:
        DemoError: a file is missing, torn, too old, or should not be there.
    """
    found = listed(folder)
    if found != set(at_least):
        odd = ", ".join(sorted(found ^ set(at_least))[:5])
        raise DemoError(f"{folder}: {len(found)} files instead of {len(at_least)}: {odd}")
    missing: dict[str, int] = {}
    for name in sorted(found):
        data = read(os.path.join(folder, name)) or b""
        version = _version(data, name)
        if data != content(name, version):
            raise DemoError(f"{name}: the copy is not what version {version} was written as")
        if not at_least[name] <= version <= at_most[name]:
            raise DemoError(
                f"{name}: the copy is version {version}; allowed are {at_least[name]} to "
                f"{at_most[name]}"
            )
        if version < at_most[name]:
            missing[name] = at_most[name] - version
    return missing


def check_kept(folder: str, names: Collection[str], versions: Mapping[str, int]) -> int:
    """See that the newest versions of files, which nobody else had, are in quarantine.

    Args:
        folder: where they were written.
        names: of the files.
        versions: written last.

    Returns:
        how many files are kept.

    Raises:
        DemoError: one of them is lost.
    """
    kept = {each.path: each.kept for each in standing("", folder)}
    for name in sorted(names):
        place = kept.get(name)
        data = None if place is None else read(os.path.join(folder, place))
        if data != content(name, versions[name]):
            raise DemoError(f"{name}: version {versions[name]} is lost; nobody keeps it")
    return len(kept)


def _version(data: bytes, name: str) -> int:
    head = data[:MAX_HEAD_BYTES].partition(b"\n")[0].decode(errors="replace")
    found, _, version = head.rpartition(" ")
    if found != name or not version.isdecimal():
        raise DemoError(f"{name}: the copy begins with {head!a}")
    return int(version)


def same(one: str, other: str) -> bool:
    """Whether two folders hold the same files with the same content."""
    names = listed(one)
    return names == listed(other) and all(
        read(os.path.join(one, name)) == read(os.path.join(other, name)) for name in names
    )
