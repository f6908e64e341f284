"""What a secondary must hold after an update: a model that shares no code with SBS."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from tests.core.filter_reference import decide

STAGING = b".sbs.staging"


class Entry(NamedTuple):
    """What stands at a path: ``kind`` is file, link, directory or special.

    ``names`` counts the hard links; ``content`` is the target of a link, which has an ``owner`` but
    no ``xattrs`` of the kinds that are looked at.
    """

    kind: str
    mode: int = 0
    content: bytes = b""
    mtime_ns: int = 0
    names: int = 1
    owner: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_directory(self) -> bool:
        return self.kind == "directory"


Tree: TypeAlias = dict[str, Entry]
"""By path, a directory before what is in it."""


def walk(root: str) -> Tree:
    """Everything below a folder but for what SBS keeps there."""
    found: Tree = {}
    pending = [b""]
    base = os.fsencode(root)
    while pending:
        directory = pending.pop()
        for name in sorted(os.listdir(os.path.join(base, directory)), reverse=True):
            path = os.path.join(directory, name)
            if path == STAGING:
                continue
            entry = entry_at(os.path.join(base, path))
            found[os.fsdecode(path)] = entry
            if entry.is_directory:
                pending.append(path)
    return dict(sorted(found.items(), key=lambda item: item[0].split("/")))


def entry_at(path: bytes) -> Entry:
    status = os.lstat(path)
    mode = stat.S_IMODE(status.st_mode)
    owner = status.st_uid, status.st_gid
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", content=os.readlink(path), owner=owner)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return Entry("special")
    xattrs = tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)))
    if stat.S_ISDIR(status.st_mode):
        return Entry("directory", mode, owner=owner, xattrs=xattrs)
    with open(path, "rb") as file:
        content = file.read()
    return Entry("file", mode, content, status.st_mtime_ns, status.st_nlink, owner, xattrs)


def above(path: str) -> list[str]:
    """The directories that a path lies in, from the top."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def after_update(
    leader: Tree, follower: Tree, rules: Sequence[str], *, strict: bool
) -> tuple[Tree, set[str]]:
    """What an update makes of the follower's tree, and the paths at which it cannot do so.

    Time stamps are those of the leader's files, whether they are to be preserved or not.
    """

    def is_included(path: str, entry: Entry) -> bool:
        return decide(rules, path, entry.is_directory)[0]

    included = {path: entry for path, entry in leader.items() if is_included(path, entry)}
    unreadable = {path for path, entry in included.items() if entry.kind == "special"}
    wanted = {path: entry for path, entry in included.items() if path not in unreadable}
    result, stuck = dict(follower), set[str]()

    def goes(path: str, entry: Entry) -> bool:
        if entry.kind == "special" or not is_included(path, entry):
            return False
        if unreadable.intersection([path, *above(path)]):
            return False
        new = wanted.get(path)
        if new is not None and new.is_directory is not entry.is_directory:
            return True
        if any(each in wanted and not wanted[each].is_directory for each in above(path)):
            return True
        return strict and new is None

    for path in sorted((p for p, e in follower.items() if goes(p, e)), reverse=True):
        if any(each.startswith(f"{path}/") for each in result):
            stuck.add(path)
        else:
            del result[path]
    for path, entry in wanted.items():
        standing = result.get(path)
        if any(each in result and not result[each].is_directory for each in above(path)):
            stuck.add(path)  # something protected is no directory
        elif standing is not None and standing.is_directory is not entry.is_directory:
            stuck.add(path)
        else:
            result[path] = entry
    return result, stuck


def differences(
    wanted: Tree, found: Tree, leader: Tree, *, times: bool, extra: bool
) -> dict[str, Any]:
    """Paths whose entries are not the same, with both.

    Times of files, owners (with set-id) and extended attributes only where they count.
    """

    def seen(path: str, entry: Entry | None) -> Any:
        if entry is None:
            return None
        counts = times or wanted.get(path) is not leader.get(path)
        stamp = entry.mtime_ns if counts else 0
        digest = hashlib.sha256(entry.content).hexdigest()[:8]
        beside = (entry.owner, entry.xattrs) if extra else None
        # A file is set-id together with its owner only.
        mode = entry.mode if extra or entry.is_directory else entry.mode & ~0o6000
        return entry.kind, oct(mode), len(entry.content), digest, stamp, beside

    both = {
        path: (seen(path, wanted.get(path)), seen(path, found.get(path)))
        for path in {*wanted, *found}
    }
    return {path: pair for path, pair in both.items() if pair[0] != pair[1]}
