"""Whether a folder's root is the directory that it was: its disk may be unmounted (B20, B22).

Below a mount point lies an empty directory. What is written there is not where it should be, and
is hidden when the disk is mounted again.
"""

from __future__ import annotations

import errno
import os

from sbs.errors import ReplicationError
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import Places


def check_same(places: Places, folder: int, known: str) -> None:
    """Within a session a folder stays what was listed.

    Args:
        places: of the folders.
        folder: which one, from 0.
        known: what :meth:`~sbs.replication.files.places.Places.root` said when it was listed.

    Raises:
        ReplicationError: another directory or file system lies there.
    """
    with mapped(places.roots[folder]):
        if places.root(folder) != known:
            raise ReplicationError(
                f"{places.roots[folder]!r} is another directory than when this session began: is"
                " its disk mounted? If that is meant, restart SBS on this node"
            )


def check_writable(place: str) -> None:
    """Else a generation would be acknowledged of which nothing can be applied.

    Args:
        place: where a folder lies.

    Raises:
        ReplicationError: nothing can be written there, and why.
    """
    with mapped(place):
        if os.statvfs(place).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise ReplicationError(f"{place!r} cannot be written by the user that runs SBS")


def check_mounted(places: Places, folder: int, known: str, remedy: str) -> None:
    """A folder may come to lie on another disk, but not in place of one.

    Args:
        places: of the folders.
        folder: which one, from 0.
        known: what ``Places.root`` said before; empty if nobody asked.
        remedy: for people who mean it.

    Raises:
        ReplicationError: another directory lies there, and on the machine's own root file system.
    """
    place = places.roots[folder]
    with mapped(place):
        # A device may be numbered anew, and a directory made anew: not both.
        parts = zip(known.split(":"), places.root(folder).split(":"), strict=False)
        moved = known != "" and all(before != now for before, now in parts)
        if moved and os.stat(place).st_dev == os.stat("/").st_dev:
            raise ReplicationError(
                f"{place!r} lay on another file system before, and now on that of '/': is its disk"
                f" mounted? {remedy}"
            )
