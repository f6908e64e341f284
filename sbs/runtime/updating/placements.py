"""What becomes of the leader's generations in its follower's folders."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from sbs.core.filters import parent_of
from sbs.core.history import Generation
from sbs.core.manifest import Action, Entry, FolderSpec
from sbs.core.messages import Finding, Findings
from sbs.replication.changes import NOTHING, Changes
from sbs.replication.leading.source import PeerTree, Source, Update

RETRY_REFUSED_S: Final = 60.0
"""From one attempt to send what the follower cannot put in place to the next: not long for whoever
has just cleared the way, and seldom enough for a large file. It doubles while nothing changes."""

LONGEST_RETRY_S: Final = 3600.0
"""But no longer than this: what is excluded may keep its directory for ever."""


@attrs.frozen
class _Expected:
    """A generation that the follower holds; what was at the paths that it deletes."""

    generation: Generation
    update: Update
    deleted: dict[tuple[str, str], Entry | None]


class Placements:
    """Generations that the follower holds, until it says that they stand in its folders.

    Args:
        source: records what both nodes hold.
        folders: of the session.
    """

    def __init__(self, source: Source, folders: Sequence[FolderSpec]) -> None:
        self._source = source
        self._names = [spec.name for spec in folders]
        self._numbers = {spec.name: number for number, spec in enumerate(folders)}
        self._waiting: deque[_Expected] = deque()
        self._refused: frozenset[tuple[str, str]] = frozenset()
        """What it could not put in place or delete, by folder and path."""
        self._undeleted: dict[tuple[str, str], Entry] = {}
        """What it could not delete."""
        self._tried_at = -math.inf
        self._pause_s = 0.0

    @property
    def expected(self) -> bool:
        """Whether the follower still has to say what became of a generation."""
        return bool(self._waiting)

    def expect(self, generation: Generation, update: Update, tree: PeerTree) -> None:
        """The follower holds a generation.

        Args:
            generation: which.
            update: that it was made of.
            tree: what the follower is taken to hold; it does not know of the update yet.
        """
        deleted = (each for each in update.operations if each.action is Action.DELETE)
        found = {
            (self._names[each.folder], each.path): tree.entry(each.folder, each.path)
            for each in deleted
        }
        self._waiting.append(_Expected(generation, update, found))

    async def take(self, findings: Findings) -> None:
        """The oldest of them stands in its folders, but for what these say.

        Raises:
            StateError: the index cannot be written.
        """
        told = findings.findings
        refused = frozenset((each.folder, each.path) for each in told if _is_refusal(each))
        if refused != self._refused:
            self._pause_s = min(self._pause_s, RETRY_REFUSED_S)
        self._refused = refused
        if not self._waiting:
            return
        expected = self._waiting.popleft()
        deleted = {at: entry for at, entry in expected.deleted.items() if entry is not None}
        self._undeleted = {
            at: entry for at, entry in (self._undeleted | deleted).items() if at in refused
        }
        # What is refused comes first: if not even that fits in, nobody knows what stands there.
        if len(told) == findings.total or not all(map(_is_refusal, told)):
            await trio.to_thread.run_sync(
                self._source.confirm, expected.update, expected.generation, refused
            )

    def retry(self, tree: PeerTree, now: float) -> Changes:
        """Have what something was in the way of sent again, now and then.

        Args:
            tree: what the follower is taken to hold.
            now: seconds.

        Returns:
            where to look for it.
        """
        if not self._refused or now < self._tried_at + self._pause_s:
            return NOTHING
        self._tried_at = now
        self._pause_s = min(max(2 * self._pause_s, RETRY_REFUSED_S), LONGEST_RETRY_S)
        known = [at for at in self._refused if at[0] in self._numbers]
        for name, path in known:
            if (entry := self._undeleted.get((name, path))) is not None:
                tree.put_back(self._numbers[name], entry)
            else:
                tree.forget(self._numbers[name], path)
        return Changes.of((self._numbers[name], parent_of(path)) for name, path in known)


def _is_refusal(finding: Finding) -> bool:
    """Whether the content is not in its place."""
    return not finding.kept and not finding.note
