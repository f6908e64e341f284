"""What to do to a follower's folder so that it becomes the leader's (R22).

A plan is made for a part of a folder: one directory, with what the follower has below those of its
directories that the leader lacks; or for a whole folder. The plans of the parts follow each other.

The primary always wins: a directory where it has a file is removed with what is in it, also
without ``strict_delete``. What the filter excludes counts on neither side, so that it is
protected on the secondary; what the leader could not read is never deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeAlias

import attrs

from sbs.core.filters import Filter, directories_above, parent_of
from sbs.core.manifest import Action, Entry, FolderSpec, Kind, Manifest, Operation

OWNER_ACCESS = 0o700
"""Permission bits without which a directory's owner cannot change what is in it."""


@attrs.frozen(kw_only=True)
class Candidate:
    """A file whose content may have to travel: reading it decides.

    Args:
        entry: the leader's.
        base: the follower's file there, if its digest is known: equal content need not be sent,
            nor equal blocks of a large one (B24).
        clears: deletes that make room for the file, to be sent just before it; they are not
            sent where the file cannot be read.
    """

    entry: Entry
    base: Entry | None = None
    clears: tuple[Operation, ...] = ()

    @property
    def may_be_equal(self) -> bool:
        """Whether the contents may turn out to be equal when the leader's is read."""
        base, entry = self.base, self.entry
        return base is not None and entry.digest is None and entry.size_bytes == base.size_bytes


Step: TypeAlias = Operation | Candidate


@attrs.frozen(kw_only=True)
class Plan:
    """Steps in the order in which they can be taken.

    Args:
        steps: deletes of what the leader lacks, deepest first; then the leader's entries,
            a directory before what is below it.
        restore: modes of closed directories that must be opened to change what is below them,
            however deep; to be set again at the end where something below was changed.
    """

    steps: tuple[Step, ...] = ()
    restore: tuple[Operation, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Content that has to be read, and at most sent."""
        return sum(step.entry.size_bytes for step in self.steps if isinstance(step, Candidate))


def plan(
    source: Manifest,
    target: Manifest,
    spec: FolderSpec,
    folder: int,
    *,
    rules: Filter | None = None,
    unreadable: Collection[str] = (),
) -> list[Step]:
    """Compare what the leader has with what the follower has.

    Args:
        source: the leader's entries, a directory before what is below it.
        target: the follower's entries, in any order.
        spec: the folder's settings.
        folder: its position in the session's list.
        rules: the folder's filters, if they are parsed already.
        unreadable: paths that the leader could not read; nothing there or below is deleted.

    Returns:
        deletes of what the leader lacks, deepest first; then what makes its entries.

    Raises:
        ValueError: a filter rule is malformed.
    """
    rules = Filter.parse(spec.filters) if rules is None else rules
    source, target = rules.select(source), rules.select(target)
    clears, surplus = _deletes(source, target, spec, folder, unreadable)
    steps: list[Step] = [*surplus]
    for path, entry in source.items():
        steps += _steps(entry, target.get(path), clears.get(path, ()), spec, folder)
    return steps


def restore(
    steps: Iterable[Step], entry_of: Callable[[str], Entry | None], folder: int
) -> tuple[Operation, ...]:
    """Modes of the directories on the way to a change though they are closed.

    Args:
        steps: of the whole folder.
        entry_of: what the leader has at a path.
        folder: its position in the session's list.
    """
    steps = list(steps)
    made = {step.path for step in steps if isinstance(step, Operation)}
    opened = directories_above(
        step.path if isinstance(step, Operation) else step.entry.path for step in steps
    )
    return tuple(
        _mkdir(entry, folder)
        for path in sorted(opened - made)
        if (entry := entry_of(path)) is not None and is_closed(entry)
    )


def is_closed(entry: Entry) -> bool:
    """Whether an entry is a directory whose owner cannot change what is in it."""
    return entry.kind is Kind.DIRECTORY and entry.mode & OWNER_ACCESS != OWNER_ACCESS


def touch(source: Entry, target: Entry, spec: FolderSpec, folder: int) -> Operation | None:
    """What makes the rest of a file right whose content is, or ``None``: nothing to do.

    Attributes are compared here, and read when the operation is sent.
    """
    stamp = source.mtime_ns if spec.preserve_mtime else None
    same = source.mode == target.mode and source.attributes == target.attributes
    if same and stamp in (None, target.mtime_ns):
        return None
    return Operation(
        folder=folder, action=Action.TOUCH, path=source.path, mode=source.mode, mtime_ns=stamp
    )


def _steps(
    entry: Entry,
    standing: Entry | None,
    clears: tuple[Operation, ...],
    spec: FolderSpec,
    folder: int,
) -> Iterator[Step]:
    if standing is not None and standing.kind is not entry.kind:
        standing = None
    if entry.kind is Kind.FILE:
        yield from _file(entry, standing, clears, spec, folder)
        return
    yield from clears
    if entry.kind is Kind.DIRECTORY:
        if standing is None or _access(standing) != _access(entry):
            yield _mkdir(entry, folder)
    elif standing is None or _link(standing) != _link(entry):
        yield Operation(folder=folder, action=Action.LINK, path=entry.path, target=entry.target)


def _access(entry: Entry) -> tuple[int, bytes | None]:
    return entry.mode, entry.attributes


def _link(entry: Entry) -> tuple[str, bytes | None]:
    return entry.target, entry.attributes


def _file(
    entry: Entry,
    standing: Entry | None,
    clears: tuple[Operation, ...],
    spec: FolderSpec,
    folder: int,
) -> Iterator[Step]:
    if standing is None or standing.digest is None:
        yield Candidate(entry=entry, clears=clears)
    elif entry.digest == standing.digest:
        change = touch(entry, standing, spec, folder)
        if change is not None:
            yield change
    else:
        yield Candidate(entry=entry, base=standing)


def _mkdir(entry: Entry, folder: int) -> Operation:
    return Operation(folder=folder, action=Action.MKDIR, path=entry.path, mode=entry.mode)


def _deletes(
    source: Manifest,
    target: Manifest,
    spec: FolderSpec,
    folder: int,
    unreadable: Collection[str],
) -> tuple[dict[str, tuple[Operation, ...]], list[Operation]]:
    """What stands in the way of which entry, and what the leader lacks."""
    protected = frozenset(unreadable)
    clashes = frozenset(
        path
        for path, entry in source.items()
        if (standing := target.get(path)) is not None
        and standing.kind is not entry.kind
        and Kind.DIRECTORY in (standing.kind, entry.kind)
    )
    clears: dict[str, list[Operation]] = {path: [] for path in clashes}
    surplus: list[Operation] = []
    for path in sorted(target, reverse=True):  # a directory after what is below it
        clash = _cover(path, clashes)
        if clash is None and (path in source or not spec.strict_delete):
            continue
        if _cover(path, protected) is None:
            delete = Operation(folder=folder, action=Action.DELETE, path=path)
            (surplus if clash is None else clears[clash]).append(delete)
    return {path: tuple(deletes) for path, deletes in clears.items()}, surplus


def _cover(path: str, roots: frozenset[str]) -> str | None:
    """The one of ``roots`` that is ``path`` or a directory above it."""
    if not roots:
        return None
    while path and path not in roots:
        path = parent_of(path)
    return path or None
