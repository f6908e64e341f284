"""Where the primary's folders may lie on this node (R24)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from sbs.core.manifest import FolderSpec
from sbs.errors import ReplicationError

MAX_COMPONENTS: Final = 64
"""Of a path that only the primary names: deeper than any person makes one. Each of them is looked
at for links, and made if it is missing."""


def place_of(
    folder: FolderSpec, own: Mapping[str, str], accept_under: Sequence[str], state_dir: str
) -> str:
    """Where a folder of the primary lies on a node; see ``Follower.place``.

    Raises:
        ReplicationError: the configuration does not allow it; the text says what to add.
    """
    if folder.name in own:
        return own[folder.name]
    what = f"folder {folder.name!r} ({ascii(folder.path)[1:-1]}) of the primary"
    if not os.path.isabs(folder.path):
        raise ReplicationError(
            f"{what} has no absolute path: give it one there, or a place here under [[folders]]"
        )
    depth = folder.path.count("/")
    if depth > MAX_COMPONENTS:
        raise ReplicationError(
            f"folder {folder.name!r} of the primary has a path of {depth} components; allowed are "
            f"{MAX_COMPONENTS}, or a place of its own under [[folders]]"
        )
    if not any(is_below(folder.path, allowed) for allowed in accept_under):
        raise ReplicationError(
            f"{what} is not allowed here: add it under [[folders]], or a directory above it "
            "to sync.accept_under"
        )
    for taken in (state_dir, *own.values()):
        if is_below(folder.path, taken) or is_below(taken, folder.path):
            raise ReplicationError(
                f"{what} is not allowed here: it overlaps {taken}; give it another place under "
                "[[folders]]"
            )
    return folder.path


def is_below(path: str, above: str) -> bool:
    """Whether ``path`` is ``above`` or lies in it, links followed."""
    real = os.path.realpath(above)
    return os.path.commonpath([os.path.realpath(path), real]) == real
