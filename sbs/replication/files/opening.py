"""How a file is opened that may have become anything since it was seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link is followed, and no pipe waited for."""


def reader(directory: int) -> Callable[[str, int], int]:
    """An ``opener`` for :func:`open`, which leaves nothing open of a directory that it refuses.

    Args:
        directory: descriptor of the one in which the file is.
    """
    return lambda name, _flags: os.open(name, READ, dir_fd=directory)
