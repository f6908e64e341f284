"""What stands in the follower's folders when a session begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

import attrs

from sbs.core.filters import Filter, basename, parent_of
from sbs.core.folding import Folding
from sbs.core.guard import Basis
from sbs.core.manifest import Entry, FolderSpec
from sbs.core.messages import MAX_ITEMS, Fragment, Listing
from sbs.errors import ReplicationError
from sbs.replication.files.attributes import AttributeReader
from sbs.replication.files.index import Index, Row, stat_key
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem, Problems
from sbs.replication.files.reading import digest_of, open_file, settled_status, unchanged
from sbs.replication.files.scan import Scanner
from sbs.replication.files.visit import Part
from sbs.replication.following.space import FULL
from sbs.replication.packing import MAX_NAMES_BYTES, head_bytes
from sbs.replication.receiving.area import remove_staging
from sbs.replication.receiving.folding import probe
from sbs.replication.receiving.fragment import FRAGMENT_NAME, KeptFragment
from sbs.replication.receiving.journal import Journal


class Lister:
    """Lists the folders of one session.

    Args:
        places: where they lie.
        folders: their settings.
        index: digests of the node's own files.
        journal: empty, unless there is a fragment; it remembers where files may be left while a
            session begins, and where the fragment lies.
        fragment: of a file whose sending was cut; it lies in one of the folders.

    Raises:
        ValueError: a filter rule is malformed.
    """

    def __init__(
        self,
        places: Places,
        folders: Sequence[FolderSpec],
        index: Index,
        journal: Journal,
        fragment: KeptFragment | None = None,
    ) -> None:
        self._places = places
        self._folders = folders
        self._rules = [Filter.parse(spec.filters) for spec in folders]
        self._index = index
        self._journal = journal
        self._fragment = fragment
        self.problems: tuple[Problem, ...] = ()
        self.bases: dict[str, Basis] = {}
        """Of the folders that were listed, by name."""
        self.foldings: tuple[Folding, ...] = (Folding.NONE,) * len(folders)
        """What their file systems do to names, when they were listed last."""

    def listing(self, check: Callable[[], object]) -> Generator[Listing | Fragment, None, None]:
        """See :meth:`sbs.replication.following.target.Target.listing`."""
        problems = Problems()
        try:
            self._probe(problems)
            for number in range(len(self._folders)):
                if self.foldings[number] is not Folding.NONE:
                    yield Listing(folder=number, folding=self.foldings[number])
                for entries in _parts(self._entries(number, problems, check)):
                    yield Listing(folder=number, entries=entries)
            yield from self._fragments()
        finally:
            self._places.close()
        self.problems = problems.collected
        yield Listing(folder=max(len(self._folders) - 1, 0), last=True)

    def _probe(self, problems: Problems) -> None:
        """Find out what the file systems do to names; a crash leaves what the journal can clear."""
        found = [Folding.NONE for _ in self._folders]
        name, place = self._folders[0].name if self._folders else "", self._journal.directory
        try:
            self._journal.create(self._places.roots)
            for number, spec in enumerate(self._folders):
                name, place = spec.name, self._places.roots[number]
                found[number] = probe(self._places, number)
                remove_staging(self._places, number, FRAGMENT_NAME)
            if self._fragment is None:
                self._journal.discard()
        except OSError as error:
            if error.errno not in FULL:
                raise ReplicationError(f"{place!r}: {error.strerror}") from error
            # Versions may have to give way first.
            problems.add("", f"whether it folds names is not known: {error.strerror}", name)
        self.foldings = tuple(found)

    @property
    def roots(self) -> tuple[str, ...]:
        """What tells the root of each folder that was listed; empty for one that was not."""
        bases = (self.bases.get(spec.name) for spec in self._folders)
        return tuple("" if basis is None else basis.root for basis in bases)

    def _fragments(self) -> Iterator[Fragment]:
        for number, spec in enumerate(self._folders):
            if self._fragment is not None and self._fragment.name == spec.name:
                told = self._fragment.told(self._places, number)
                if told is not None:
                    yield told

    def still(self, folders: Sequence[FolderSpec], places: Places) -> dict[str, Basis]:
        """On what basis the folders stand that are what was listed (B22).

        One that was replaced in the middle of a session, or unmounted, holds the last changes only.

        Args:
            folders: of the generation that is applied.
            places: of them.
        """
        found: dict[str, Basis] = {}
        for number, spec in enumerate(folders):
            listed = self.bases.get(spec.name)
            with contextlib.suppress(OSError):  # a missing root is found by whoever needs it
                if listed is not None and listed.root == places.root(number):
                    found[spec.name] = listed
        return found

    def _entries(
        self, folder: int, problems: Problems, check: Callable[[], object]
    ) -> Iterator[Entry]:
        spec, name = self._folders[folder], self._folders[folder].name
        scanner = Scanner(
            self._places,
            folder,
            name,
            self._rules[folder],
            self._index,
            check,
            reader=AttributeReader.of(spec),
        )
        self.bases[name] = Basis(scanner.root(), spec.filters)
        for part in scanner.all():
            problems.extend(part.problems)
            self._settle(folder, part, check)
            yield from part.entries.values()

    def _settle(self, folder: int, found: Part, check: Callable[[], object]) -> None:
        """Read files whose row came too soon after a change, and trust what is read now."""
        name = self._folders[folder].name
        rows: list[tuple[str, str, Row]] = []
        for path in found.unsettled:
            check()
            try:
                row = self._read(folder, path, check)
            except (OSError, ReplicationError):
                continue  # without a digest the leader sends the content
            rows.append((parent_of(path), basename(path), row))
            found.entries[path] = attrs.evolve(found.entries[path], digest=row.digest)
        if rows:
            self._index.store(name, rows)

    def _read(self, folder: int, path: str, check: Callable[[], object]) -> Row:
        fd = open_file(self._places, folder, path)
        try:
            status = settled_status(fd)
            row = Row(stat_key(status), b"")
            digest = digest_of(fd, status.st_size, check)
            if not unchanged(fd, status):
                raise ReplicationError("changed while it was read")
            return attrs.evolve(row, digest=digest)
        finally:
            os.close(fd)


def _parts(entries: Iterable[Entry]) -> Iterator[tuple[Entry, ...]]:
    part: list[Entry] = []
    size_bytes = 0
    for entry in entries:
        head = head_bytes(entry.path, entry.target)
        if len(part) == MAX_ITEMS or size_bytes + head > MAX_NAMES_BYTES:
            yield tuple(part)
            part, size_bytes = [], 0
        part.append(entry)
        size_bytes += head
    if part:
        yield tuple(part)
