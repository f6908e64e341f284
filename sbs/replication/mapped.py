"""Errors of the system on the secondary, as errors of SBS."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from sbs.errors import ReplicationError


@contextlib.contextmanager
def mapped(what: str) -> Generator[None]:
    """Raise what the system refuses in the block as :class:`~sbs.errors.ReplicationError`.

    Args:
        what: is being used; the text names it, and the path if there is one.
    """
    try:
        yield
    except OSError as error:
        path = what if error.filename is None else f"{what} ({error.filename!r})"
        raise ReplicationError(f"{path}: {error.strerror}") from error
