"""What filter rules make of a folder: counts, sizes, and examples for each rule (R21)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from sbs.core.filters import Decision, Filter
from sbs.core.manifest import STAGING_NAME

MAX_ENTRIES: Final = 100_000
"""Entries that are looked at: a second or so."""

MAX_DURATION_S: Final = 5.0
"""How long it may take: a disk may be slow, and a person waits."""

MAX_EXAMPLES: Final = 3
"""Entries shown for each rule."""


@attrs.frozen
class Example:
    """An entry and what decided over it; a directory ends with ``/``."""

    path: str
    decision: Decision


@attrs.frozen(kw_only=True)
class Preview:
    """What was found.

    Args:
        files: that are replicated.
        size_bytes: of them.
        excluded: entries that are not; what lies below an excluded directory is not counted.
        examples: the first entries over which each rule decided, by the number of the rule.
        unread: directories that could not be read.
        complete: all was looked at.
    """

    files: int
    size_bytes: int
    excluded: int
    examples: tuple[Example, ...]
    unread: int
    complete: bool


def look(
    directory: str, rules: Sequence[str], is_cancelled: Callable[[], bool] = lambda: False
) -> Preview:
    """Look at a folder.

    Args:
        directory: of the folder.
        rules: that are valid.
        is_cancelled: asked at each entry.

    Raises:
        OSError: the directory cannot be read.
    """
    chosen = Filter.parse(rules)
    give_up_at = time.monotonic() + MAX_DURATION_S
    files = size_bytes = excluded = seen = unread = 0
    examples: dict[int, list[Example]] = {}
    complete = True
    pending = [_Directory(directory, "")]
    while pending and complete:
        inside = pending.pop()
        try:
            entries = list(_entries(inside))
        except OSError:
            if not inside.prefix:
                raise
            unread += 1
            continue
        below: list[_Directory] = []
        for entry in entries:
            seen += 1
            if seen > MAX_ENTRIES or is_cancelled() or time.monotonic() > give_up_at:
                complete = False
                break
            path = inside.prefix + entry.name
            is_directory = entry.is_dir(follow_symlinks=False)
            decision = chosen.decide(path, is_directory)
            shown = examples.setdefault(decision.number, [])
            if len(shown) < MAX_EXAMPLES:
                shown.append(Example(f"{path}/" if is_directory else path, decision))
            if not decision.included:
                excluded += 1
            elif is_directory:
                below.append(_Directory(entry.path, f"{path}/"))
            else:
                files += 1
                size_bytes += _size_bytes(entry)
        pending += reversed(below)
    return Preview(
        files=files,
        size_bytes=size_bytes,
        excluded=excluded,
        examples=tuple(each for number in sorted(examples) for each in examples[number]),
        unread=unread,
        complete=complete,
    )


@attrs.frozen
class _Directory:
    path: str
    prefix: str


def _entries(directory: _Directory) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory.path) as found:
        for entry in sorted(found, key=lambda entry: entry.name):
            if directory.prefix or entry.name != STAGING_NAME:
                yield entry


def _size_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:  # it has gone meanwhile
        return 0
