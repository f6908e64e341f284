"""One generation in the making: reading what was planned, packing it, sealing it (B25)."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from typing import Final

import attrs

from sbs.core.epoch import Epoch
from sbs.core.filters import directories_above, parent_of
from sbs.core.guard import Basis, Held
from sbs.core.history import History
from sbs.core.manifest import Action, Entry, FolderSpec, Operation
from sbs.core.messages import Chunk, Commit, Content, Pack, Patch
from sbs.core.plan import Candidate, Plan, touch
from sbs.errors import ReplicationError
from sbs.replication.attributes import AttributeReader, digest_of_attributes
from sbs.replication.content import (
    BLOCK_BYTES,
    BLOCKS_ABOVE,
    MAX_LISTED_BYTES,
    Comparison,
    ContentHash,
    digest_of_content,
    digests_of_zeros,
)
from sbs.replication.index import Index, Row, stat_key
from sbs.replication.packing import Packer
from sbs.replication.places import Places
from sbs.replication.planner import Outlook
from sbs.replication.problems import Problem, Problems
from sbs.replication.reading import (
    READ_ATTEMPTS,
    content_of,
    open_file,
    read_blocks,
    settled_status,
    unchanged,
)
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
        patching: bool = True,
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
        reading = _Reading(fd, folder, check, self._readers[folder])
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
        name = path[path.rfind("/") + 1 :]
        self._rows.append((parent_of(path), name, reading.row))
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._store_rows(self._folders[folder])
        yield from self._outcome(reading, step, folder)

    def _read(self, reading: _Reading, step: Candidate) -> Iterator[Chunk | Patch]:
        size, base = reading.begin(), step.base
        if size <= BLOCKS_ABOVE:
            reading.whole()
            return
        if base is not None and base.digest is not None and size <= MAX_LISTED_BYTES:
            known = self._index.blocks(base.digest) if self._patching else b""
            if known:
                yield from reading.patch(self._next_stream(), step.entry.path, base.digest, known)
                return
            equal_size = step.entry.digest is None and size == base.size_bytes
            if equal_size and reading.hashes_to(base):
                return
        if size <= MAX_LISTED_BYTES and reading.has_holes:
            known = digests_of_zeros(size)
            yield from reading.patch(self._next_stream(), step.entry.path, b"", known)
        else:
            yield from reading.stream(self._next_stream())

    def _next_stream(self) -> int:
        stream, self._streams = self._streams, self._streams + 1
        return stream

    def _outcome(self, reading: _Reading, step: Candidate, folder: int) -> Iterator[Pack]:
        spec, status = self._folders[folder], reading.status
        mode = stat.S_IMODE(status.st_mode)
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


class _Reading:
    """One file being read, as often as it takes."""

    def __init__(
        self,
        fd: int,
        folder: int,
        check: Callable[[], object],
        reader: AttributeReader | None,
    ) -> None:
        self._fd = fd
        self._reader = reader
        self._folder = folder
        self._check = check
        self.complete = False
        self.content = b""
        self.blocks = b""
        self.number: int | None = None

    def begin(self) -> int:
        self.content = b""
        self.number = None
        self.status = settled_status(self._fd)
        self._began_at_ns = time.time_ns()
        reader = self._reader
        self.attributes = None if reader is None else reader.opened(self._fd, self.status)
        return self.status.st_size

    @property
    def has_holes(self) -> bool:
        """Whether the file takes less room on its disk than it is long, by a block or more."""
        return self.status.st_size - 512 * self.status.st_blocks >= BLOCK_BYTES

    def whole(self) -> None:
        """Read a small file."""
        self.content = os.pread(self._fd, self.status.st_size, 0)
        self._finish(digest_of_content(self.content))

    def hashes_to(self, standing: Entry) -> bool:
        """Whether a large file is equal to the follower's."""
        content = content_of(self._fd, self.status.st_size, self._check)
        equal = content.digest() == standing.digest
        if equal:
            self._finish(content.digest(), content.blocks)
        return equal

    def stream(self, number: int) -> Iterator[Chunk]:
        """Read and send a large file; what was sent counts only if it is complete."""
        content = ContentHash()
        with self._pieces() as pieces:
            for piece, digests in pieces:
                content.extend(len(piece), digests)
                yield Chunk(number, piece, folder=self._folder)
        self.number = number
        self._finish(content.digest(), content.blocks)

    def patch(self, number: int, path: str, base: bytes, known: bytes) -> Iterator[Chunk | Patch]:
        """Read a large file, and send what differs from the follower's (B24).

        Args:
            number: of the stream, if one is needed.
            path: of the file.
            base: digest of the follower's; empty: it has none, and begins with zeros.
            known: the digests of the follower's blocks, or of as many zeros.
        """
        comparison, position = Comparison(known), 0
        with self._pieces() as pieces:
            for piece, digests in pieces:
                for start, run in comparison.differing(piece, digests):
                    yield from self._begin_patch(number, path, base)
                    yield Chunk(number, bytes(run), folder=self._folder, at=position + start)
                position += len(piece)
        digest = comparison.digest
        if digest != base:  # it may only have become shorter
            yield from self._begin_patch(number, path, base)
        self._finish(digest, comparison.blocks)

    def _begin_patch(self, number: int, path: str, base: bytes) -> Iterator[Patch]:
        if self.number is None:
            self.number = number
            yield Patch(
                stream=number,
                folder=self._folder,
                path=path,
                digest=base,
                size_bytes=self.status.st_size,
            )

    def _pieces(self) -> contextlib.closing[Generator[tuple[bytes, bytes]]]:
        return contextlib.closing(read_blocks(self._fd, self.status.st_size, self._check))

    def close(self) -> None:
        os.close(self._fd)

    def _finish(self, digest: bytes, blocks: bytes = b"") -> None:
        self.complete = unchanged(self._fd, self.status)
        self.digest = digest
        self.blocks = blocks
        self.row = Row(stat_key(self.status), digest, self._began_at_ns)
