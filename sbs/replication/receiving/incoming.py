"""A generation while it comes in (B20)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, assert_never

from sbs.core.epoch import Epoch
from sbs.core.folding import Folding
from sbs.core.history import History
from sbs.core.manifest import STAGING_NAME, Action, FolderSpec, Operation
from sbs.core.messages import Chunk, Commit, Content, Pack, Patch
from sbs.core.scope import check_deletes
from sbs.errors import MismatchError, ReplicationError
from sbs.replication.bodies import expand
from sbs.replication.files.content import MAX_LISTED_BYTES, digest_of_content, digests_of_zeros
from sbs.replication.files.index import Index
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import Places
from sbs.replication.receiving.building import Builder, Built
from sbs.replication.receiving.dressing import Dresser
from sbs.replication.receiving.fragment import KeptFragment
from sbs.replication.receiving.journal import Journal
from sbs.replication.receiving.patching import opened_base
from sbs.replication.receiving.staging import Staging
from sbs.replication.receiving.trees import Root
from sbs.replication.seal import Seal

MAX_OPERATIONS: Final = 16_000_000
"""Operations of one generation: as many as a folder may have entries."""

MAX_OPERATIONS_BYTES: Final = 256 * MAX_OPERATIONS
"""Of their paths, targets and attributes, which are in memory until the generation is applied:
else few, as long as each may be, would take all of it."""

MAX_BLOCKS_BYTES: Final = 256 * 1024 * 1024
"""Of lists of blocks that the index keeps for one generation: those of a tebibyte of large files.
What is in further ones is found by reading. Else a few bytes of a primary, for a file that is all
holes, would have sixteen megabytes stored."""


class Incoming:
    """Verifies and stages what comes: in the journal, or in the folders' staging directories.

    Args:
        epoch: of the leader.
        folders: of the session.
        places: where they lie.
        journal: begun for this generation.
        index: digests of the node's own files.
        fragment: of a file whose sending was cut.
        foldings: what the folders' file systems do to names.
    """

    def __init__(
        self,
        epoch: Epoch,
        folders: Sequence[FolderSpec],
        places: Places,
        journal: Journal,
        index: Index,
        fragment: KeptFragment | None,
        foldings: Sequence[Folding],
    ) -> None:
        self._epoch = epoch
        self._folders = folders
        self._places = places
        self._journal = journal
        self._index = index
        self._fragment = fragment
        self._foldings = foldings
        self.staging: Staging = Staging(places)
        """What lies in the folders until the generation is committed."""
        self._builder = Builder(places, self.staging.folders, Dresser(folders))
        self._seal = Seal()
        self._size_bytes = 0
        self._blocks_bytes = 0
        self.operations: list[Operation] = []
        """What came so far."""

    @property
    def trees(self) -> tuple[Root, ...]:
        """New directories that are built in staging."""
        return self._builder.trees.roots

    @property
    def unbuilt(self) -> tuple[int, ...]:
        """Numbers of the operations that belong into one, but cannot be carried out."""
        return self._builder.trees.unbuilt

    @property
    def built(self) -> Built:
        """What was built."""
        return self._builder.built

    def take(self, message: Content, check: Callable[[], object]) -> None:
        """Stage what a message carries.

        Args:
            message: the next one.
            check: called for each message and each MiB; may raise to cancel.

        Raises:
            ReplicationError: a body or a content is not what it is said to be, a folder or a
                stream does not exist, streams do not follow each other, the file to patch is not
                what the leader takes it for, or there is no space.
            StateError: the index cannot be used.
        """
        check()
        message = expand(message)
        match message:
            case Pack():
                self._pack(message)
            case Chunk(stream, folder=folder):
                self._check_folder(folder, f"stream {stream}")
                with mapped(f"{self._places.roots[folder]}/{STAGING_NAME}"):
                    self.staging.write(message)
            case Patch():
                self._patch(message, check)
            case _:
                assert_never(message)

    def keep(self) -> KeptFragment | None:
        """What the next session may go on with: what came of the last stream, or came before.

        Raises:
            ReplicationError: it cannot be kept.
        """
        above_bytes = 0 if self._fragment is None else self._fragment.size_bytes
        names = [spec.name for spec in self._folders]
        return self.staging.keep(names, above_bytes) or self._fragment

    def verify(self, commit: Commit, history: History, check: Callable[[], object]) -> History:
        """Whether all came that the leader says it sent, and may be.

        Args:
            commit: what it says.
            history: the leader's, before this generation.
            check: called again and again; may raise to cancel.

        Returns:
            the history with it.

        Raises:
            ReplicationError: something else came, or more is deleted than the folders' settings
                allow.
        """
        if commit.operations != self._seal.count:
            raise MismatchError(
                f"the leader sent {commit.operations} operations, {self._seal.count} came"
            )
        sealed = self._seal.generation(self._epoch, history, commit.active)
        if commit.generation != sealed:
            raise MismatchError(f"generation {commit.generation} does not fit its digest")
        try:
            check_deletes(self.operations, self._folders, check)
            return history.append(commit.generation)
        except ValueError as error:
            raise MismatchError(f"generation {commit.generation}: {error}") from error

    def _pack(self, pack: Pack) -> None:
        if len(self.operations) + len(pack.operations) > MAX_OPERATIONS:
            raise MismatchError(f"a generation of more than {MAX_OPERATIONS} operations")
        self._size_bytes += sum(map(_size_bytes, pack.operations))
        if self._size_bytes > MAX_OPERATIONS_BYTES:
            raise MismatchError(
                f"a generation whose operations take more than {MAX_OPERATIONS_BYTES} bytes"
            )
        body = memoryview(pack.body)
        position = 0
        contents: list[memoryview] = []
        for operation in pack.operations:
            self._check_folder(operation.folder, operation.path)
            content = body[position:position]
            if operation.action is Action.PUT and operation.stream is None:
                content = body[position : position + operation.size_bytes]
                position += operation.size_bytes
                sized = len(content) == operation.size_bytes
                if not sized or digest_of_content(content) != operation.digest:
                    raise MismatchError(f"{operation.path!r}: its content does not fit its digest")
            elif (stream := operation.stream) is not None:
                self._remember(operation.digest, self.staging.claim(operation, stream))
            with mapped(f"{self._places.roots[operation.folder]}/{operation.path}"):
                if not self._builder.take(operation, content) and content:
                    contents.append(content)
        if position != len(body):
            raise MismatchError(f"a pack holds {len(body) - position} bytes of no operation")
        with mapped(self._journal.directory):
            self._journal.append(b"".join(contents))
        self.operations += pack.operations
        self._seal.add(pack.operations)

    def _remember(self, digest: bytes, blocks: bytes) -> None:
        if blocks and self._blocks_bytes + len(blocks) <= MAX_BLOCKS_BYTES:
            self._index.store_blocks(digest, blocks)
            self._blocks_bytes += len(blocks)

    def _patch(self, patch: Patch, check: Callable[[], object]) -> None:
        self._check_folder(patch.folder, patch.path)
        if patch.size_bytes > MAX_LISTED_BYTES:
            raise MismatchError(
                f"{patch.path!r}: {patch.size_bytes} bytes in blocks; at most {MAX_LISTED_BYTES}"
            )
        where = f"{self._places.roots[patch.folder]}/{patch.path}"
        if not patch.digest:
            with mapped(where):
                self.staging.patch(patch, None, digests_of_zeros(patch.size_bytes), check)
            return
        name, fragment = self._folders[patch.folder].name, self._fragment
        if fragment is not None and fragment.suits(name, patch):
            self._fragment = None
            with mapped(where):
                self.staging.go_on(patch, fragment)
            return
        with (
            mapped(where),
            opened_base(self._places, self._index, name, patch, check) as (base, blocks),
        ):
            self.staging.patch(patch, base, blocks, check)

    def _check_folder(self, folder: int, path: str) -> None:
        if folder >= len(self._folders):
            raise MismatchError(
                f"{path!r} is for folder {folder}; the session has {len(self._folders)}"
            )
        if self._foldings[folder].key(path.partition("/")[0]) == STAGING_NAME:
            raise ReplicationError(
                f"{path!r} is another name of SBS's own staging directory to the file system of "
                f"{self._places.roots[folder]!r}; rename it on the primary"
            )


def _size_bytes(operation: Operation) -> int:
    attributes = operation.attributes
    beside = 0 if attributes is None else attributes.head_bytes
    return len(operation.path) + len(operation.target) + beside
