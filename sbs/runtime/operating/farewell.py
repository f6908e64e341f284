"""What those are told who asked for the end of a node, before it has ended."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import trio


class Farewell:
    """Tells how one node ended."""

    def __init__(self) -> None:
        self.kept: str = ""
        """Why a primary that ends has given its role to nobody; empty: it has, or had none."""
        self._ended = trio.Event()
        self.expected: int = 0
        """How many wait to be told."""
        self._paid = trio.Event()

    @contextmanager
    def owed(self) -> Generator[None]:
        """For as long as somebody waits to be told, :meth:`run` does not return."""
        if not self.expected:
            self._paid = trio.Event()
        self.expected += 1
        try:
            yield
        finally:
            self.expected -= 1
            if not self.expected:
                self._paid.set()

    async def wait(self) -> str:
        """Wait for the end; return :attr:`kept`."""
        await self._ended.wait()
        return self.kept

    def end(self) -> None:
        """Nothing happens any more."""
        self._ended.set()

    async def run(self) -> None:
        """Return when the node has ended, and everybody knows."""
        await self._ended.wait()
        if self.expected:
            await self._paid.wait()
