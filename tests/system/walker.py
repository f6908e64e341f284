"""An independent look at a tree: nothing of SBS, only the operating system's own calls."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import TypeAlias

Fact: TypeAlias = tuple[str, int, str]
"""Kind, permission bits, and the content's SHA-256 or the link's target."""


def look_at(root: Path) -> dict[bytes, Fact]:
    """Every entry below ``root``, by its path in bytes; links are not followed.

    Not what SBS keeps for itself in a folder: former versions, and the quarantine.
    """
    found: dict[bytes, Fact] = {}
    base = os.fsencode(root)
    for directory, names, files in os.walk(base):
        if directory == base and b".sbs.staging" in names:
            names.remove(b".sbs.staging")
        for name in (*names, *files):
            path = os.path.join(directory, name)
            found[os.path.relpath(path, base)] = _fact(path)
    return found


def _fact(path: bytes) -> Fact:
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return ("link", 0, os.fsdecode(os.readlink(path)))
    if stat.S_ISDIR(status.st_mode):
        return ("directory", mode, "")
    with open(path, "rb") as file:
        return ("file", mode, hashlib.file_digest(file, "sha256").hexdigest())


def difference(one: Path, other: Path) -> str:
    """The first differences of two trees; empty if there is none."""
    left, right = look_at(one), look_at(other)
    differing = [path for path in sorted(left.keys() | right) if left.get(path) != right.get(path)]
    lines = [f"{path!r}: {left.get(path)} and {right.get(path)}" for path in differing[:5]]
    return "\n".join([*lines, f"{len(differing)} of {len(left)} differ"]) if differing else ""
