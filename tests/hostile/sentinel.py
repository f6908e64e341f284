"""What must not change: all that lies beside the replicated folders, to the last attribute."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs


@attrs.frozen
class Look:
    """One entry as it stands.

    The time of its change tells also what was changed and changed back. Of a file with several
    names it tells that another one came or went as well, so there it is left out.
    """

    kind: int
    mode: int
    owner: tuple[int, int]
    names: int
    mtime_ns: int
    ctime_ns: int
    xattrs: tuple[tuple[str, bytes], ...]
    content: bytes | str | tuple[str, ...]


def build(place: Path) -> None:
    """A tree that hurts where it is touched."""
    (place / "dir" / "deep").mkdir(parents=True)
    (place / "file").write_bytes(b"sentinel")
    (place / "dir" / "file").write_bytes(b"sentinel, too")
    (place / "dir" / "deep" / "closed").write_bytes(b"secret")
    (place / "dir" / "deep" / "closed").chmod(0o400)
    (place / "program").write_bytes(b"#!/bin/true\n")
    (place / "program").chmod(0o4750)
    (place / "large").write_bytes(bytes(range(256)) * 2048)
    (place / "link").symlink_to("dir")
    os.mkfifo(place / "pipe")
    with contextlib.suppress(OSError):  # a file system without them: nothing to touch
        os.setxattr(place / "file", "user.sentinel", b"untouched")


def snapshot(place: Path, but: tuple[Path, ...] = ()) -> dict[str, Look]:
    """All entries below a directory, and itself.

    Args:
        place: where to look.
        but: what lies there is not looked at; that it is there is.
    """
    return {str(path): _look(path, path in but) for path in (place, *_below(place, but))}


def differences(before: dict[str, Look], after: dict[str, Look]) -> dict[str, object]:
    """What has changed between two snapshots, by path."""
    found: dict[str, object] = {}
    for path in before.keys() | after.keys():
        one, other = before.get(path), after.get(path)
        if one is not None and other is not None and max(one.names, other.names) > 1:
            one, other = (attrs.evolve(each, names=0, ctime_ns=0) for each in (one, other))
        if one != other:
            found[path] = one, other
    return found


def _below(place: Path, but: tuple[Path, ...]) -> Iterator[Path]:
    for path in sorted(place.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink() and path not in but:
            yield from _below(path, but)


def _look(path: Path, is_left_out: bool) -> Look:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    content: bytes | str | tuple[str, ...] = b""
    if kind == stat.S_IFLNK:
        content = os.readlink(path)
    elif kind == stat.S_IFREG:
        content = path.read_bytes()
    elif kind == stat.S_IFDIR and not is_left_out:
        content = tuple(sorted(os.listdir(path)))
    if is_left_out:
        return Look(kind, 0, (0, 0), 0, 0, 0, (), b"")
    return Look(
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        names=status.st_nlink if kind == stat.S_IFREG else 1,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        xattrs=_xattrs(path),
        content=content,
    )


def _xattrs(path: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return ()
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)
