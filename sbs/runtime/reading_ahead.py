"""Reading an update from the disk, and compressing it, while what was read before is sent."""

from __future__ import annotations

import contextlib
from typing import Final

import trio

from sbs.core.messages import Content
from sbs.replication.bodies import Compressor
from sbs.replication.source import Update

READ_AHEAD: Final = 2
"""Messages read from disk before the network takes them: two megabytes keep both busy."""


async def read_ahead(
    update: Update, compressor: Compressor | None, send: trio.MemorySendChannel[Content]
) -> None:
    """Read messages in worker threads, one hop for each, a few ahead of the network.

    Args:
        update: is read to its end.
        compressor: of the messages; ``None``: they go as they are.
        send: takes them, and is closed then.
    """
    # Closed here and now: what it holds open is not left to the garbage collector.
    with contextlib.closing(update.messages(trio.from_thread.check_cancelled)) as messages:

        def read() -> Content | None:
            message = next(messages, None)
            return message if message is None or compressor is None else compressor.shrink(message)

        async with send:
            while True:
                message = await trio.to_thread.run_sync(read)
                if message is None:
                    return
                await send.send(message)
