"""What becomes of the leader's generations in its follower's folders."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import trio

from sbs.core.filters import parent_of
from sbs.core.history import Generation
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Findings
from sbs.replication.changes import NOTHING, Changes
from sbs.replication.source import PeerTree, Source, Update

RETRY_REFUSED_S: Final = 60.0
"""From one attempt to send what the follower cannot put in place to the next: not long for whoever
has just cleared the way, and seldom enough for a large file."""


class Placements:
    """Generations that the follower holds, until it says that they stand in its folders.

    Args:
        source: records what both nodes hold.
        folders: of the session.
    """

    def __init__(self, source: Source, folders: Sequence[FolderSpec]) -> None:
        self._source = source
        self._numbers = {spec.name: number for number, spec in enumerate(folders)}
        self._waiting: deque[tuple[Generation, Update]] = deque()
        self._refused: frozenset[tuple[str, str]] = frozenset()
        """What it could not put in place, by folder and path."""
        self._retry_at = -math.inf

    @property
    def expected(self) -> bool:
        """Whether the follower still has to say what became of a generation."""
        return bool(self._waiting)

    def expect(self, generation: Generation, update: Update) -> None:
        """The follower holds a generation."""
        self._waiting.append((generation, update))

    async def take(self, findings: Findings) -> None:
        """The oldest of them stands in its folders, but for what these say.

        Raises:
            StateError: the index cannot be written.
        """
        told = findings.findings
        self._refused = frozenset((each.folder, each.path) for each in told if not each.kept)
        if not self._waiting:
            return
        generation, update = self._waiting.popleft()
        # What is refused comes first: if not even that fits in, nobody knows what stands there.
        if len(told) == findings.total or any(each.kept for each in told):
            await trio.to_thread.run_sync(self._source.confirm, update, generation, self._refused)

    def retry(self, tree: PeerTree, now: float) -> Changes:
        """Have what something was in the way of sent again, now and then.

        Args:
            tree: what the follower is taken to hold.
            now: seconds.

        Returns:
            where to look for it.
        """
        if not self._refused or now < self._retry_at:
            return NOTHING
        self._retry_at = now + RETRY_REFUSED_S
        known = [
            (self._numbers[name], path) for name, path in self._refused if name in self._numbers
        ]
        for folder, path in known:
            tree.forget(folder, path)
        return Changes.of((folder, parent_of(path)) for folder, path in known)
