"""The leader's account of what its follower holds, directory by directory.

A directory's entries are kept as one packed value and unpacked when they are looked at: about a
hundred bytes a file, where objects would take six times as much.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

import attrs
import msgpack

from sbs.core.filters import basename, parent_of
from sbs.core.folding import Folding
from sbs.core.history import History
from sbs.core.manifest import Action, Entry, Kind, Operation
from sbs.core.messages import Fragment, Listing
from sbs.replication.files.attributes import digest_of_attributes
from sbs.replication.files.visit import Alike, Part

MAX_ENTRIES: Final = 16_000_000
"""Entries of a follower's listing: more than a node has memory for is an attack or a mistake."""

MAX_NAMES: Final = 64 * MAX_ENTRIES
"""Characters of all names, targets and paths of directories in a listing: 64 for each of the most
entries. Else a sixteenth of them, as long as each may be, would take all memory."""

MAX_FRAGMENTS: Final = 1000
"""Of which a follower may tell: SBS keeps one."""

MAX_LOOKED_AT: Final = 16
"""Directories kept unpacked: paths come one directory after the other, with those above them."""

_NOTHING: Final = History()

_pack: Final = cast("Callable[..., bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType] - no types
_unpack: Final = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType] - likewise

_KINDS: Final[dict[int, Kind]] = {kind.value: kind for kind in Kind}
_Row: TypeAlias = tuple[Any, ...]
"""Of an entry, what :data:`_fields` gets."""

_fields: Final[Callable[[Entry], _Row]] = attrgetter(
    "kind", "mode", "size_bytes", "mtime_ns", "digest", "target", "attributes"
)


class PeerTree:
    """What the follower holds: from its listing, and from what it committed since.

    Args:
        folders: how many the session has.
        history: the generations that it has gone through.
    """

    def __init__(self, folders: int, history: History = _NOTHING) -> None:
        self.history = history
        self.complete: bool = False
        self.fragments: dict[tuple[int, str], Fragment] = {}
        """Of files whose sending was cut, by folder and path, until the follower has committed or
        refused a generation; whoever uses one takes it out."""
        self._folders: list[dict[str, tuple[int, bytes]]] = [{} for _ in range(folders)]
        """By directory, how many files and links are in it, and its packed entries."""
        self._alike: list[dict[str, Alike]] = [{} for _ in range(folders)]
        """By directory; forgotten with the next change of the follower's."""
        self._foldings: dict[int, Folding] = {}
        self._listed: tuple[int, str] | None = None
        self._listing: dict[str, _Row] = {}
        """The directory that the listing is at."""
        self._known: set[tuple[int, str]] = {(number, "") for number in range(folders)}
        """The directories that were listed so far."""
        self._entries = self._names = 0
        self._looked_at: OrderedDict[tuple[int, str], dict[str, Entry]] = OrderedDict()
        """The directories that were looked at last, unpacked."""

    def add(self, listing: Listing | Fragment) -> None:
        """Take a part of the listing.

        Raises:
            ValueError: no such folder, too many entries, names or fragments, an entry that lies in
                no directory listed before, a directory whose entries do not come together, or the
                listing had ended already.
        """
        if self.complete:
            raise ValueError("a listing after the last one")
        if isinstance(listing, Fragment):
            self._add_fragment(listing)
            return
        if listing.folder >= len(self._folders) and (listing.entries or self._folders):
            raise ValueError(
                f"a listing of folder {listing.folder}; the session has {len(self._folders)}"
            )
        if listing.folding is not Folding.NONE:
            self._foldings[listing.folder] = listing.folding
        self._entries += len(listing.entries)
        if self._entries > MAX_ENTRIES:
            raise ValueError(f"a listing of more than {MAX_ENTRIES} entries")
        for entry in listing.entries:
            self._list(listing.folder, entry)
        if listing.last:
            self._end_directory()
            self._known.clear()
            self.complete = True

    def clear(self) -> None:
        """The listing ended early, and begins anew."""
        for directories in self._folders:
            directories.clear()
        self._foldings.clear()
        self.fragments.clear()
        self._listed = None
        self._listing = {}
        self._known = {(number, "") for number in range(len(self._folders))}
        self._entries = self._names = 0
        self._looked_at.clear()

    def folding(self, folder: int) -> Folding:
        """Which names are one in the follower's folder."""
        return self._foldings.get(folder, Folding.NONE)

    def directory(self, folder: int, path: str) -> dict[str, Entry]:
        """The entries of one directory by path; none where there is no such directory."""
        prefix = f"{path}/" if path else ""
        rows = self._rows(folder, path)
        return {prefix + name: _entry(prefix + name, row) for name, row in rows.items()}

    def apart(self, folder: int, part: Part) -> tuple[dict[str, Entry], dict[str, Entry]]:
        """In what the leader's directory and the follower's differ.

        Most of both is the same where something changed, and objects cost more than the comparison.

        Args:
            folder: in which they are.
            part: what was found in the leader's.

        Returns:
            entries of the leader that the follower does not have so, or perhaps not; and those of
            the follower that the leader does not have so, of the names that were looked at.
        """
        entries = part.entries
        prefix = f"{part.directory}/" if part.directory else ""
        rows = self._rows(folder, part.directory)
        own = {
            each: entry
            for each, entry in entries.items()
            if rows.get(each[len(prefix) :]) != _fields(entry)
            or (entry.kind is Kind.FILE and entry.digest is None)
        }
        others = {
            each: _entry(each, row)
            for name, row in rows.items()
            if part.names is None or name in part.names
            if (each := prefix + name) in own or each not in entries
        }
        return own, others

    def below(self, folder: int, path: str) -> Iterator[Entry]:
        """All entries below a directory, each directory before what is in it."""
        pending = [path]
        while pending:
            for entry in self.directory(folder, pending.pop()).values():
                yield entry
                if entry.kind is Kind.DIRECTORY:
                    pending.append(entry.path)

    def entry(self, folder: int, path: str) -> Entry | None:
        """What stands at a path; quick for paths of one directory after the other."""
        place = folder, parent_of(path)
        found = self._looked_at.get(place)
        if found is None:
            found = self._looked_at[place] = self.directory(*place)
            if len(self._looked_at) > MAX_LOOKED_AT:
                self._looked_at.popitem(last=False)
        self._looked_at.move_to_end(place)
        return found.get(path)

    def has_directory(self, folder: int, path: str) -> bool:
        """Whether something is in the directory with this path; ``""`` is the root."""
        return path in self._folders[folder]

    def directories(self, folder: int) -> list[str]:
        """Those that hold something, in the order of their names; ``""`` is the root."""
        return sorted(self._folders[folder])

    def count(self, folder: int) -> int:
        """How many files and links there are."""
        return sum(count for count, _ in self._folders[folder].values())

    def alike(self, folder: int, directory: str) -> Alike | None:
        """How the leader's directory looked when the follower had all that is in it."""
        return self._alike[folder].get(directory)

    def remember(self, folder: int, directory: str, alike: Alike) -> None:
        """The follower has all that is in a directory of the leader."""
        self._alike[folder][directory] = alike

    def commit(self, operations: Iterable[Operation]) -> None:
        """The follower holds what an update has sent."""
        self.fragments.clear()
        places: dict[tuple[int, str], list[Operation]] = {}
        for operation in operations:  # deletes go up and down: each directory is packed only once
            place = operation.folder, parent_of(operation.path)
            places.setdefault(place, []).append(operation)
        for (folder, directory), group in places.items():
            rows = self._rows(folder, directory)
            prefix = f"{directory}/" if directory else ""
            spellings = self.folding(folder).spellings(prefix + name for name in rows)
            for operation in group:
                if spellings:
                    self._spell(folder, operation.path, rows, spellings)
                _apply(rows, operation)
            self._store(folder, directory, rows)

    def forget(self, folder: int, path: str) -> None:
        """The follower could not put this in place: the next update sends it again."""
        directory = parent_of(path)
        rows = self._rows(folder, directory)
        if rows.pop(basename(path), None) is not None:
            self._store(folder, directory, rows)

    def put_back(self, folder: int, entry: Entry) -> None:
        """The follower could not delete this: the next update does so, if it has to go still."""
        directory = parent_of(entry.path)
        rows = self._rows(folder, directory) | {basename(entry.path): _fields(entry)}
        self._store(folder, directory, rows)

    def _spell(
        self, folder: int, path: str, rows: dict[str, _Row], spellings: dict[str, str]
    ) -> None:
        """What stood there under another name of the same key does not any more.

        What was in a directory is in it still, and is unknown until it is sent or listed again.
        """
        key = self.folding(folder).key(path)
        former, spellings[key] = spellings.get(key, path), path
        if former != path and rows.pop(basename(former), None) is not None:
            gone = [each for each in self._folders[folder] if f"{each}/".startswith(f"{former}/")]
            for directory in gone:
                del self._folders[folder][directory]
                self._alike[folder].pop(directory, None)

    def _add_fragment(self, fragment: Fragment) -> None:
        if fragment.folder >= len(self._folders):
            raise ValueError(
                f"a fragment in folder {fragment.folder}; the session has {len(self._folders)}"
            )
        self.fragments[fragment.folder, fragment.path] = fragment
        if len(self.fragments) > MAX_FRAGMENTS:
            raise ValueError(f"more than {MAX_FRAGMENTS} fragments")

    def _list(self, folder: int, entry: Entry) -> None:
        place = folder, parent_of(entry.path)
        if place != self._listed:
            self._end_directory()
            if place[1] in self._folders[folder]:
                # Else a directory would be packed anew for each of its entries.
                raise ValueError(f"the entries of {place[1]!r} do not come together")
            # Else 2000 directories could hide in each path, which nobody counts.
            if place not in self._known:
                raise ValueError(f"{entry.path!r} is listed before its directory")
            self._listed = place
        name = basename(entry.path)
        self._names += len(name) + len(entry.target)
        self._listing[name] = _fields(entry)
        if entry.kind is Kind.DIRECTORY:
            self._names += len(entry.path)
            self._known.add((folder, entry.path))
        if self._names > MAX_NAMES:
            raise ValueError(f"a listing of more than {MAX_NAMES} characters of names")

    def _end_directory(self) -> None:
        if self._listed is not None:
            self._store(*self._listed, self._listing)
        self._listed, self._listing = None, {}

    def _rows(self, folder: int, directory: str) -> dict[str, _Row]:
        """What is in a directory, by name."""
        found = self._folders[folder].get(directory)
        if found is None:
            return {}
        rows = _unpack(found[1], unicode_errors="surrogateescape", use_list=False)
        return {name: tuple(row) for name, *row in rows}

    def _store(self, folder: int, directory: str, rows: Mapping[str, _Row]) -> None:
        self._looked_at.clear()
        self._alike[folder].pop(directory, None)
        if not rows:
            self._folders[folder].pop(directory, None)
            return
        count = sum(row[0] != Kind.DIRECTORY for row in rows.values())
        packed = _pack(
            [(name, *row) for name, row in rows.items()], unicode_errors="surrogateescape"
        )
        self._folders[folder][directory] = count, packed


def _entry(path: str, row: _Row) -> Entry:
    kind, mode, size_bytes, mtime_ns, digest, target, attributes = row
    return Entry(
        path=path,
        kind=_KINDS[kind],
        mode=mode,
        size_bytes=size_bytes,
        mtime_ns=mtime_ns,
        digest=digest,
        target=target,
        attributes=attributes,
    )


def _apply(rows: dict[str, _Row], operation: Operation) -> None:
    path, attributes = operation.path, digest_of_attributes(operation.attributes)
    name = basename(path)
    match operation.action:
        case Action.DELETE:
            rows.pop(name, None)
            return
        case Action.MKDIR:
            entry = Entry(
                path=path, kind=Kind.DIRECTORY, mode=operation.mode, attributes=attributes
            )
        case Action.LINK:
            entry = Entry(
                path=path, kind=Kind.SYMLINK, target=operation.target, attributes=attributes
            )
        case Action.PUT:
            entry = Entry(
                path=path,
                kind=Kind.FILE,
                mode=operation.mode,
                size_bytes=operation.size_bytes,
                mtime_ns=operation.mtime_ns or 0,
                digest=operation.digest,
                attributes=attributes,
            )
        case Action.TOUCH:
            before = _entry(path, rows[name])
            stamp = before.mtime_ns if operation.mtime_ns is None else operation.mtime_ns
            entry = attrs.evolve(before, mode=operation.mode, mtime_ns=stamp, attributes=attributes)
    rows[name] = _fields(entry)
