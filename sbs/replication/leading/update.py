"""One generation in the making: reading what was planned, packing it, sealing it (B25)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, MutableMapping, Sequence
from typing import Final

import attrs

from sbs.core.epoch import Epoch
from sbs.core.filters import basename, directories_above, parent_of
from sbs.core.guard import Basis, Held
from sbs.core.history import History
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.messages import Chunk, Commit, Content, Fragment, Pack, Patch
from sbs.core.plan import Candidate, Plan, touch
from sbs.errors import ReplicationError
from sbs.replication.files.attributes import AttributeReader, digest_of_attributes, mode_of
from sbs.replication.files.content import BLOCKS_ABOVE, MAX_LISTED_BYTES
from sbs.replication.files.index import Index, Row
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem, Problems
from sbs.replication.files.reading import READ_ATTEMPTS, open_file
from sbs.replication.leading.file_reading import FileReading
from sbs.replication.leading.planner import Outlook
from sbs.replication.packing import Packer
from sbs.replication.seal import Seal

_ROWS_AT_ONCE: Final = 5000
"""Digests kept in memory before they are written to the index in one transaction."""


class Update:
    """One generation in the making; see :meth:`Source.prepare`.

    Attributes:
        held: why it must not be sent: then it is an empty one (B22).
        bases: of the folders, by name; none if it is held.
        rebased: all was looked at, and one of them is not what it is known to be.
        operations_planned: how many at most will be sent.
        size_bytes: content that will be read, and at most sent.
        operations: what was sent so far.
    """

    def __init__(
        self,
        folders: Sequence[FolderSpec],
        outlook: Outlook,
        held: Held | None,
        problems: Sequence[Problem],
        index: Index,
        doubtful: dict[tuple[int, str], tuple[Problem, ...]],
        *,
        patching: bool,
        fragments: MutableMapping[tuple[int, str], Fragment],
    ) -> None:
        self.held: Held | None = held
        sure = outlook.prospects if held is None else ()
        self.bases: dict[str, Basis] = {each.name: each.basis for each in sure}
        self.rebased: bool = outlook.full and any(each.rebased for each in sure)
        self._plans = outlook.plans if held is None else tuple(Plan() for _ in folders)
        self.operations_planned: int = sum(len(plan.steps) for plan in self._plans)
        self.size_bytes: int = sum(plan.size_bytes for plan in self._plans)
        self.operations: list[Operation] = []
        self._folders = folders
        self._scan_problems = tuple(problems)
        self._read_problems = Problems()
        self._index = index
        self._doubtful = doubtful
        self._patching = patching
        self._fragments = fragments
        self._rows: list[tuple[str, str, Row]] = []
        self._equal: dict[tuple[str, str], bytes] = {}
        self._streams = 0
        self._readers = [AttributeReader.of(spec) for spec in folders]
        self._packer = Packer()
        self._seal = Seal()
        self._yielded = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the scan could not read, and files that could not be read or kept changing."""
        return self._scan_problems + self._read_problems.collected

    @property
    def empty(self) -> bool:
        """After :meth:`messages` is exhausted: nothing was sent."""
        return not self._yielded

    def messages(self, check: Callable[[], object]) -> Generator[Content, None, None]:
        """Read what was planned, and yield it as it is to be sent; once.

        Args:
            check: called for each file and each MiB; may raise to cancel.

        Raises:
            StateError: the index cannot be written.
        """
        for message in self._messages(check):
            self._yielded = True
            yield message

    def contents(self, refused: Collection[tuple[str, str]]) -> dict[tuple[str, str], bytes | None]:
        """What the update left on the follower, of what it looked at.

        Args:
            refused: by folder and path, what the follower could not put in place.

        Returns:
            by folder and path, the digest of a file's content; ``None``: no file.
        """
        sent = {
            (self._folders[operation.folder].name, operation.path): operation.digest or None
            for operation in self.operations
            if operation.action is not Action.TOUCH
        }
        return {at: digest for at, digest in {**self._equal, **sent}.items() if at not in refused}

    def seal(self, epoch: Epoch, history: History, active: tuple[str, ...]) -> Commit:
        """What completes the generation, after :meth:`messages` is exhausted.

        Args:
            epoch: of this primacy.
            history: of this node, before the generation.
            active: the services that start on takeover (R32).
        """
        return Commit(
            generation=self._seal.generation(epoch, history, active),
            operations=self._seal.count,
            active=active,
        )

    def _messages(self, check: Callable[[], object]) -> Iterator[Content]:
        with Places([spec.path for spec in self._folders]) as places:
            for folder, (spec, planned) in enumerate(zip(self._folders, self._plans, strict=True)):
                before = len(self.operations)
                try:
                    for step in planned.steps:
                        if isinstance(step, Operation):
                            yield from self._send_dressed(places, step)
                        else:
                            check()
                            yield from self._file(places, folder, step, check)
                finally:
                    self._store_rows(spec)
                opened = directories_above(sent.path for sent in self.operations[before:])
                for operation in planned.restore:
                    if operation.path in opened:
                        yield from self._send_dressed(places, operation)
        yield from self._sealed(self._packer.flush())

    def _send(self, operation: Operation, content: bytes = b"") -> Iterator[Pack]:
        full = self._packer.add(operation, content)
        self.operations.append(operation)
        yield from self._sealed(full)

    def _send_dressed(self, places: Places, operation: Operation) -> Iterator[Pack]:
        """Send an operation with the attributes that its entry has now."""
        reader = self._readers[operation.folder]
        if reader is not None and operation.action is not Action.DELETE:
            try:
                parent, name = places.parent(operation.folder, operation.path)
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                attributes, _ = reader.named(parent, name, status)
            except OSError as error:
                text = f"cannot be read: {error.strerror}"
                self._leave_out(operation.folder, operation.path, text)
                return
            operation = attrs.evolve(operation, attributes=attributes)
        yield from self._send(operation)

    def _sealed(self, pack: Pack | None) -> Iterator[Pack]:
        if pack is not None:
            self._seal.add(pack.operations)
            yield pack

    def _file(
        self, places: Places, folder: int, step: Candidate, check: Callable[[], object]
    ) -> Iterator[Content]:
        path = step.entry.path
        try:
            fd = open_file(places, folder, path)
        except OSError as error:
            self._leave_out(folder, path, f"cannot be read: {error.strerror}")
            return
        except ReplicationError as error:
            self._leave_out(folder, path, str(error))
            return
        reading = FileReading(fd, folder, check, self._readers[folder])
        try:
            for _ in range(READ_ATTEMPTS):
                yield from self._read(reading, step)
                if reading.complete:
                    break
        except OSError as error:
            self._leave_out(folder, path, f"cannot be read: {error.strerror}")
            return
        except ReplicationError as error:
            self._leave_out(folder, path, str(error))
            return
        finally:
            reading.close()
        if not reading.complete:
            self._leave_out(
                folder, path, "kept changing while it was read; left for the next update"
            )
            return
        if reading.blocks:
            self._index.store_blocks(reading.digest, reading.blocks)
        name = basename(path)
        self._rows.append((parent_of(path), name, reading.row))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._store_rows(self._folders[folder])
        yield from self._outcome(reading, step, folder)

    def _read(self, reading: FileReading, step: Candidate) -> Iterator[Chunk | Patch]:
        size, base, path = reading.begin(), step.base, step.entry.path
        if size <= BLOCKS_ABOVE:
            reading.whole()
            return
        if base is not None and base.digest is not None and size <= MAX_LISTED_BYTES:
            known = self._index.blocks(base.digest) if self._patching else b""
            if known:
                yield from reading.patch(self._next_stream(), path, base.digest, known)
                return
            equal_size = step.entry.digest is None and size == base.size_bytes
            if equal_size and reading.hashes_to(base):
                return
        if size <= MAX_LISTED_BYTES:
            fragment = self._fragments.pop((reading.folder, path), None)  # it can be had once
            yield from reading.anew(self._next_stream(), path, fragment)
        else:
            yield from reading.stream(self._next_stream())

    def _next_stream(self) -> int:
        stream, self._streams = self._streams, self._streams + 1
        return stream

    def _outcome(self, reading: FileReading, step: Candidate, folder: int) -> Iterator[Pack]:
        spec, status = self._folders[folder], reading.status
        mode = mode_of(status, owner=spec.owner)
        if step.base is not None and step.base.digest == reading.digest:
            self._equal[spec.name, step.entry.path] = reading.digest
            entry = attrs.evolve(
                step.entry,
                mode=mode,
                mtime_ns=status.st_mtime_ns,
                attributes=digest_of_attributes(reading.attributes),
            )
            change = touch(entry, step.base, spec, folder)
            if change is not None:
                yield from self._send(attrs.evolve(change, attributes=reading.attributes))
            return
        for operation in step.clears:
            yield from self._send(operation)
        operation = Operation(
            folder=folder,
            action=Action.PUT,
            path=step.entry.path,
            mode=mode,
            mtime_ns=status.st_mtime_ns if spec.preserve_mtime else None,
            size_bytes=status.st_size,
            digest=reading.digest,
            stream=reading.number,
            attributes=reading.attributes,
        )
        yield from self._send(operation, reading.content)
        if operation.stream is not None:  # the follower forgets what the next stream finds unused
            yield from self._sealed(self._packer.flush())

    def _leave_out(self, folder: int, path: str, text: str) -> None:
        """The next update looks again."""
        self._read_problems.add(path, text, self._folders[folder].name)
        self._doubtful.setdefault((folder, parent_of(path)), ())

    def _store_rows(self, spec: FolderSpec) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._index.store(spec.name, rows)
