"""Reading an update from the disk, and compressing it, while what was read before is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Final

import trio

from sbs.core.messages import Content
from sbs.replication.bodies import Compressor
from sbs.replication.leading.source import Update
from sbs.replication.packing import cut

READ_AHEAD: Final = 2
"""Messages read from disk before the network takes them: two megabytes keep both busy."""


async def read_ahead(
    update: Update,
    max_bytes: int,
    compressor: Compressor | None,
    send: trio.MemorySendChannel[Content],
) -> None:
    """Read messages in worker threads, one hop for each, a few ahead of the network.

    Args:
        update: is read to its end.
        max_bytes: of each body; see :func:`~sbs.replication.packing.cut`.
        compressor: of the messages; ``None``: they go as they are.
        send: takes them, and is closed then.
    """
    # Closed here and now: what it holds open is not left to the garbage collector.
    with contextlib.closing(_prepared(update, max_bytes, compressor)) as messages:
        async with send:
            while True:
                message = await trio.to_thread.run_sync(next, messages, None)
                if message is None:
                    return
                await send.send(message)


def _prepared(
    update: Update, max_bytes: int, compressor: Compressor | None
) -> Generator[Content, None, None]:
    with contextlib.closing(update.messages(trio.from_thread.check_cancelled)) as messages:
        for message in messages:
            for piece in cut(message, max_bytes):
                yield piece if compressor is None else compressor.shrink(piece)
