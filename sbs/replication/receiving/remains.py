"""What a power cut left of a roll-forward: files whose contents are not there yet (B20).

Small files are synced at the end of a roll-forward, all together. When the power fails before, one
may have its new name and size, and of its contents some pages only, the others being zeros. It is
put anew, from the journal; and it is no version of anybody's that would have to be kept first.
"""

from __future__ import annotations

import os
from typing import Final

from sbs.replication.common import Common
from sbs.replication.files.content import digest_of_content
from sbs.replication.receiving.journal import Journal
from sbs.replication.receiving.record import CommitRecord

PAGE_BYTES: Final = 4096
"""What is lost or kept as one: the blocks of file systems are multiples of it."""


class Remains:
    """Knows what an earlier attempt at a roll-forward may have left.

    Args:
        journal: holds the contents.
        record: what is applied.
        common: what both nodes held before.
    """

    def __init__(self, journal: Journal, record: CommitRecord, common: Common) -> None:
        self._journal = journal
        self._common = common
        self._names = [spec.name for spec in record.folders]
        self._places = {
            (operation.folder, operation.path): (position, operation.size_bytes)
            for operation, position in record.contents()
        }

    def is_of(self, fd: int, folder: int, path: str) -> bool:
        """Whether a file holds nothing but pages of its new content, and zeros.

        What it held before the roll-forward may be the beginning of the new content, or empty:
        that is not what is asked for.

        Args:
            fd: a descriptor to read it.
            folder: which one, from 0.
            path: of the file.

        Raises:
            OSError: it, or the journal, cannot be read.
            StateError: the index cannot be read.
        """
        position, whole_bytes = self._places.get((folder, path), (0, -1))
        if os.fstat(fd).st_size > whole_bytes:
            return False
        found = os.pread(fd, whole_bytes, 0)
        if digest_of_content(found) == self._common.digest(self._names[folder], path):
            return False
        whole = self._journal.read(position, whole_bytes)
        starts = range(0, len(found), PAGE_BYTES)
        pages = ((found[at : at + PAGE_BYTES], whole[at : at + PAGE_BYTES]) for at in starts)
        return all(page == new[: len(page)] or not any(page) for page, new in pages)
