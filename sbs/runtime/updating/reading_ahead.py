"""Reading an update from the disk, and compressing it, while what was read before is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from typing import Final

import trio

from sbs.core.messages import MAX_BODY_BYTES, Content
from sbs.replication.bodies import Compressor, content_bytes
from sbs.replication.leading.source import Update
from sbs.replication.packing import cut

READ_AHEAD: Final = 2
"""Batches read from disk before the network takes them: two megabytes keep both busy."""

BATCH_BYTES: Final = MAX_BODY_BYTES
"""Contents that are read in one hop to a worker thread, which costs 100 us; one message may exceed
it."""

BATCH_MESSAGES: Final = 16
"""Likewise, messages: some have no content."""


async def read_ahead(
    update: Update,
    max_bytes: int,
    compressor: Compressor | None,
    send: trio.MemorySendChannel[list[Content]],
) -> None:
    """Read messages in worker threads, one hop for each batch, a few ahead of the network.

    Args:
        update: is read to its end.
        max_bytes: of each body; see :func:`~sbs.replication.packing.cut`.
        compressor: of the messages; ``None``: they go as they are.
        send: takes the batches, none of them empty, and is closed then. Where nobody takes them
            any more, whoever did says why.
    """
    # Closed here and now: what it holds open is not left to the garbage collector.
    with contextlib.closing(_prepared(update, max_bytes, compressor)) as messages:
        async with send:
            while True:
                batch = await trio.to_thread.run_sync(_batch, messages)
                if not batch:
                    return
                try:
                    await send.send(batch)
                except trio.BrokenResourceError:
                    return


def _batch(messages: Iterator[Content]) -> list[Content]:
    batch: list[Content] = []
    size_bytes = 0
    for message in messages:
        batch.append(message)
        size_bytes += content_bytes(message)
        if size_bytes >= BATCH_BYTES or len(batch) == BATCH_MESSAGES:
            break
    return batch


def _prepared(
    update: Update, max_bytes: int, compressor: Compressor | None
) -> Generator[Content, None, None]:
    with contextlib.closing(update.messages(trio.from_thread.check_cancelled)) as messages:
        for message in messages:
            for piece in cut(message, max_bytes):
                yield piece if compressor is None else compressor.shrink(piece)
