"""Large files on their way: temporary files in each folder's own staging directory.

They lie on the folder's own file system, so that a rename puts them in their place.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from sbs.core.manifest import Operation
from sbs.core.messages import Chunk, Patch
from sbs.errors import MismatchError
from sbs.replication.files.content import (
    BLOCK_BYTES,
    BLOCKS_ABOVE,
    DIGEST_BYTES,
    ContentHash,
    PatchedBlocks,
    digests_of_zeros,
)
from sbs.replication.files.copying import copy_content
from sbs.replication.files.index import stat_key
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import Places, sync_file_system
from sbs.replication.files.reading import digest_of
from sbs.replication.receiving.area import CREATE, open_staging, remove_staging, stream_name
from sbs.replication.receiving.fragment import FRAGMENT_NAME, KeptFragment
from sbs.replication.receiving.journal import write_all
from sbs.replication.receiving.overlay import IN_PLACE_ABOVE, Overlay, Ranges, alone, fill, opened

_FICLONE: Final = 0x40049409  # linux/fs.h


@attrs.define
class _Stream:
    folder: int
    content: ContentHash | PatchedBlocks
    digest: bytes = b""
    path: str = ""
    """Of the file that it becomes; empty: that is not known yet."""
    anew: bool = False
    """It began as zeros, or with a fragment."""
    overlay: Overlay | None = None
    """What it is laid over; ``None``: its temporary file is whole."""
    written: Ranges = attrs.field(factory=Ranges)


class Staging:
    """The streams of one generation.

    Args:
        places: where the folders lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._finished: dict[int, _Stream] = {}
        self._current = -1
        self._stream = _Stream(0, ContentHash())
        self._fd = -1
        self._overlaid: dict[int, tuple[Operation, Overlay]] = {}
        self.folders: set[int] = set()
        """In which anything is staged."""

    def write(self, chunk: Chunk) -> None:
        """Add a piece to the stream that it names.

        Raises:
            ReplicationError: streams do not follow each other.
            OSError: it cannot be written.
        """
        if chunk.stream != self._current:
            self.finish()
            if chunk.stream < self._current:
                raise MismatchError(
                    f"stream {chunk.stream} came after {self._current}; they must ascend"
                )
            self._begin(chunk.stream, chunk.folder, ContentHash())
        elif self._fd < 0 or chunk.folder != self._stream.folder:
            raise MismatchError(f"stream {chunk.stream} goes on after its end")
        match self._stream.content:
            case ContentHash() as content:
                if chunk.at != -1:
                    raise MismatchError(f"stream {chunk.stream} patches no file")
                write_all(self._fd, chunk.body)
                content.update(chunk.body)
            case PatchedBlocks() as blocks:
                try:
                    blocks.update(chunk.at, chunk.body)
                except ValueError as error:
                    raise MismatchError(f"stream {chunk.stream}: {error}") from error
                os.lseek(self._fd, chunk.at, os.SEEK_SET)
                write_all(self._fd, chunk.body)
                self._stream.written.add(chunk.at, len(chunk.body))

    def patch(
        self, patch: Patch, base: int | None, blocks: bytes, check: Callable[[], object]
    ) -> None:
        """Begin a stream as a copy of a file; of a large one, without what stays as it is.

        Args:
            patch: which, and what is to become of it.
            base: a descriptor to read the file; ``None``: the stream begins as zeros, without any
                room on the disk.
            blocks: the digests of its blocks, or of as many zeros.
            check: called for each MiB; may raise to cancel.

        Raises:
            ReplicationError: streams do not follow each other.
            OSError: it cannot be written.
        """
        self.finish()
        self._check_ascends(patch)
        self._begin(patch.stream, patch.folder, PatchedBlocks(blocks, patch.size_bytes))
        self._stream.path = patch.path
        self._stream.anew = base is None
        if base is not None:
            self._copy(patch, base, check)

    def go_on(self, patch: Patch, fragment: KeptFragment) -> None:
        """Begin a stream with what came of the file in an earlier session.

        Args:
            patch: which, and what is to become of it.
            fragment: what came; nothing else may use it any more.

        Raises:
            ReplicationError: streams do not follow each other, or it is of no use.
            OSError: it is gone.
        """
        self.finish()
        self._check_ascends(patch)
        self._forget_unclaimed()
        self.folders.add(patch.folder)
        self._fd = fragment.take(
            open_staging(self._places, patch.folder), stream_name(patch.stream), patch.size_bytes
        )
        self._current = patch.stream
        blocks = fragment.blocks + digests_of_zeros(patch.size_bytes - fragment.size_bytes)
        content = PatchedBlocks(blocks, patch.size_bytes)
        self._stream = _Stream(patch.folder, content, path=patch.path, anew=True)
        self._stream.written.add(0, fragment.size_bytes)

    def keep(self, names: Sequence[str], above_bytes: int) -> KeptFragment | None:
        """Keep what came of the stream that is under way, for the next session.

        Args:
            names: of the folders.
            above_bytes: what it has to be larger than.

        Returns:
            ``None`` if there is none, it is too little, or the stream changes a file that stands.

        Raises:
            ReplicationError: it cannot be kept.
        """
        stream, content = self._stream, self._stream.content
        count = stream.written.end // BLOCK_BYTES
        size_bytes = count * BLOCK_BYTES
        if self._fd < 0 or not stream.anew or size_bytes <= max(above_bytes, BLOCKS_ABOVE):
            return None
        place = self._places.roots[stream.folder]
        with mapped(place):
            at = open_staging(self._places, stream.folder)
            os.ftruncate(self._fd, size_bytes)
            os.rename(stream_name(self._current), FRAGMENT_NAME, src_dir_fd=at, dst_dir_fd=at)
            stat = stat_key(os.fstat(self._fd))
        blocks = content.blocks[: count * DIGEST_BYTES]
        name, path = names[stream.folder], stream.path
        return KeptFragment(name=name, place=place, path=path, blocks=blocks, stat=stat)

    def _check_ascends(self, patch: Patch) -> None:
        if patch.stream <= self._current:
            raise MismatchError(
                f"stream {patch.stream} came after {self._current}; they must ascend"
            )

    def _copy(self, patch: Patch, base: int, check: Callable[[], object]) -> None:
        status = os.fstat(base)
        if not _share(base, self._fd):
            if status.st_size > IN_PLACE_ABOVE:
                self._stream.overlay = Overlay(
                    stat=stat_key(status), digest=patch.digest, size_bytes=patch.size_bytes
                )
            else:
                copy_content(base, self._fd, patch.size_bytes, check)

    def claim(self, operation: Operation, number: int) -> bytes:
        """The operation takes its content from a stream, which nothing else may then do.

        Args:
            operation: puts a file.
            number: of the stream.

        Returns:
            the digests of the content's blocks; empty where they are not remembered.

        Raises:
            ReplicationError: there is no such stream, or its content is not the right one.
        """
        if number == self._current:
            with mapped(f"{self._places.roots[operation.folder]}/{operation.path}"):
                self.finish()
        stream = self._finished.pop(number, None)
        if stream is None or stream.folder != operation.folder:
            raise MismatchError(f"{operation.path!r}: no stream {number} came for it")
        content = stream.content
        if (content.size_bytes, stream.digest) != (operation.size_bytes, operation.digest):
            raise MismatchError(f"{operation.path!r}: stream {number} has other content")
        if stream.path not in ("", operation.path):
            raise MismatchError(f"{operation.path!r}: stream {number} is for {stream.path!r}")
        if stream.overlay is not None:
            overlay = attrs.evolve(stream.overlay, ranges=stream.written.merged)
            self._overlaid[number] = operation, overlay
        return content.blocks

    def overlays(self, check: Callable[[], object]) -> dict[int, Overlay]:
        """What is to be laid over files in their places, by the numbers of streams.

        Where that cannot be, the stream's temporary file is made whole instead.

        Args:
            check: called for each MiB that is copied; may raise to cancel.

        Raises:
            ReplicationError: one of the files has changed since it was patched, cannot be read, or
                there is no room.
        """
        for number, (operation, overlay) in [*self._overlaid.items()]:
            with mapped(f"{self._places.roots[operation.folder]}/{operation.path}"):
                if not self._can_stay(operation, overlay):
                    self._fill(number, operation, overlay, check)
                    del self._overlaid[number]
        return {number: overlay for number, (_, overlay) in self._overlaid.items()}

    def _can_stay(self, operation: Operation, overlay: Overlay) -> bool:
        """Whether a file can be changed in its place."""
        parent, name = self._places.parent(operation.folder, operation.path)
        with opened(parent, name) as fd, alone(fd) as is_alone:
            return is_alone and overlay.suits(os.fstat(fd))

    def _fill(
        self, number: int, operation: Operation, overlay: Overlay, check: Callable[[], object]
    ) -> None:
        staging = open_staging(self._places, operation.folder)
        fd = os.open(stream_name(number), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=staging)
        try:
            parent, name = self._places.parent(operation.folder, operation.path)
            with opened(parent, name) as base:
                fill(base, fd, overlay, check)
            if digest_of(fd, operation.size_bytes, check) != operation.digest:
                raise MismatchError(f"{operation.path!r} changed while it was patched")
        finally:
            os.close(fd)

    def sync(self) -> None:
        """Make all that is staged in the folders durable.

        Raises:
            ReplicationError: it could not be written.
        """
        self._close()
        for folder in self.folders:
            with mapped(self._places.roots[folder]):
                sync_file_system(open_staging(self._places, folder))

    def finish(self) -> None:
        """End the current stream.

        Raises:
            OSError: it cannot be written.
        """
        if self._fd < 0:
            return
        content = self._stream.content
        if isinstance(content, PatchedBlocks):
            os.ftruncate(self._fd, content.size_bytes)
        self._close()
        self._stream.digest = content.digest()
        self._finished[self._current] = self._stream

    def clear(self, keep: str = "") -> None:
        """Remove all that is staged in the folders.

        Args:
            keep: the name of a file that stays.

        Raises:
            ReplicationError: something cannot be removed.
        """
        self._close()
        for folder in self.folders:
            with mapped(self._places.roots[folder]):
                remove_staging(self._places, folder, keep)
        self.folders.clear()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _forget_unclaimed(self) -> None:
        """A file that changed while it was sent comes again; its first stream only takes room."""
        for number, stream in self._finished.items():
            os.unlink(stream_name(number), dir_fd=open_staging(self._places, stream.folder))
        self._finished.clear()

    def _begin(self, number: int, folder: int, content: ContentHash | PatchedBlocks) -> None:
        self._forget_unclaimed()
        self.folders.add(folder)
        self._fd = os.open(
            stream_name(number), CREATE, 0o600, dir_fd=open_staging(self._places, folder)
        )
        self._current = number
        self._stream = _Stream(folder, content)


def _share(source: int, target: int) -> bool:
    """Make an empty file a copy that shares its blocks; whether the file system can."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True
