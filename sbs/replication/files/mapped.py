"""Errors of the system on the secondary, as errors of SBS that say where the disk is broken."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

from sbs.errors import ReplicationError


@contextlib.contextmanager
def mapped(path: str) -> Generator[None]:
    """Raise what the system refuses in the block as :class:`~sbs.errors.ReplicationError`.

    Args:
        path: what is worked on; the text names it, or the absolute path that the error names.
    """
    try:
        yield
    except OSError as error:
        named = error.filename
        where = named if isinstance(named, str) and os.path.isabs(named) else path
        raise ReplicationError(f"{where!r}: {error.strerror}") from error
