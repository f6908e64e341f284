"""A nursery inside a service adapter."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_inner_nursery() -> AsyncGenerator[trio.Nursery, None]:
    """A nursery that is an inner matter: a single error comes out as it was raised, ungrouped.

    Returns:
        A context manager, as :func:`trio.open_nursery`.
    """
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        failure = group.exceptions[0]
    if failure is not None:
        raise failure
