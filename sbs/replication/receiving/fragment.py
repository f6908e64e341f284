"""What came of a large file before its session was cut, kept for the next one (B24).

It lies in the staging directory of the file's folder. Nothing but the memory of this process says
what it is: after a crash the journal clears it away like anything else that was staged.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

import attrs

from sbs.core.manifest import STAGING_NAME
from sbs.core.messages import Fragment, Patch
from sbs.errors import MismatchError, ReplicationError
from sbs.replication.files.content import BLOCK_BYTES, DIGEST_BYTES, digest_of_blocks
from sbs.replication.files.index import Stat, stat_key
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import Places

FRAGMENT_NAME: Final = "fragment"
"""Its file: a node keeps one, the largest."""


@attrs.frozen(kw_only=True)
class KeptFragment:
    """The beginning of a file.

    Args:
        name: of the folder.
        place: where that lies.
        path: of the file in it.
        blocks: the digests of the whole blocks that it has, more than two.
        stat: of its own file.
    """

    name: str
    place: str
    path: str
    blocks: bytes = attrs.field(repr=False)
    stat: Stat

    @property
    def size_bytes(self) -> int:
        """How much it is."""
        return len(self.blocks) // DIGEST_BYTES * BLOCK_BYTES

    @property
    def digest(self) -> bytes:
        """Of it, as of a file's content."""
        return digest_of_blocks(self.blocks)

    def told(self, places: Places, folder: int) -> Fragment | None:
        """How the leader is told of it; ``None`` if its file is not what it was.

        Args:
            places: of the session.
            folder: its number there.
        """
        try:
            staging = places.directory(folder, STAGING_NAME)
            status = os.stat(FRAGMENT_NAME, dir_fd=staging, follow_symlinks=False)
        except OSError:
            return None
        if stat_key(status) != self.stat:
            return None
        return Fragment(
            folder=folder, path=self.path, size_bytes=self.size_bytes, digest=self.digest
        )

    def suits(self, name: str, patch: Patch) -> bool:
        """Whether a stream is to begin with it.

        Args:
            name: of the stream's folder.
            patch: that begins the stream.
        """
        return (name, patch.path, patch.digest) == (self.name, self.path, self.digest)

    def take(self, staging: int, name: str, size_bytes: int) -> int:
        """Make its file that of a stream.

        Args:
            staging: descriptor of the staging directory.
            name: of the stream's file.
            size_bytes: of the file that it becomes.

        Returns:
            a descriptor to write it.

        Raises:
            ReplicationError: it is not what it was, or larger than the file is to be.
            OSError: it is gone.
        """
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(FRAGMENT_NAME, flags, dir_fd=staging)
        try:
            if stat_key(os.fstat(fd)) != self.stat or size_bytes < self.size_bytes:
                raise MismatchError(
                    f"{self.path!r}: what was kept of it is of no use; it has to be sent whole"
                )
            os.rename(FRAGMENT_NAME, name, src_dir_fd=staging, dst_dir_fd=staging)
        except (ReplicationError, OSError):
            os.close(fd)
            raise
        return fd

    def remove(self) -> None:
        """Remove its file, and the staging directory if nothing else is in it.

        Raises:
            ReplicationError: it cannot be removed.
        """
        with (
            mapped(self.place),
            Places([self.place]) as places,
            contextlib.suppress(FileNotFoundError),
        ):
            os.unlink(FRAGMENT_NAME, dir_fd=places.directory(0, STAGING_NAME))
            with contextlib.suppress(OSError):  # it is not empty
                os.rmdir(STAGING_NAME, dir_fd=places.directory(0))
