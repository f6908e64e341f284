"""What people do to a folder, in raw calls that follow no symbolic link."""

from __future__ import annotations

import os
import shutil


def entries(root: bytes, kind: str) -> list[bytes]:
    """The places of all entries of a kind, sorted."""
    found: list[bytes] = []
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as directory:
            for entry in directory:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name == b".sbs.staging":
                        continue
                    pending.append(entry.path)
                    each = "directory"
                elif entry.is_symlink():
                    each = "link"
                else:
                    each = "file" if entry.is_file() else "special"
                if each == kind:
                    found.append(entry.path)
    return sorted(found)


def write(place: bytes, content: bytes, flags: int, at: int = 0) -> None:
    fd = os.open(place, os.O_WRONLY | os.O_NOFOLLOW | flags, 0o644)
    try:
        if at:
            os.lseek(fd, at, os.SEEK_SET)
        os.write(fd, content)
    finally:
        os.close(fd)


def beside(place: bytes) -> bytes:
    return os.path.join(os.path.dirname(place), b".new")


def remove(place: bytes) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)
