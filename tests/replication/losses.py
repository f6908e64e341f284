"""Whether what updates replaced can be found again, wherever the secondary keeps it."""

from __future__ import annotations

import os
from functools import cache
from typing import NamedTuple

from sbs.core.history import History
from sbs.errors import ReplicationError
from sbs.replication.files.places import Places
from sbs.replication.former import restoring
from tests.replication.model import Entry, Tree, entry_at
from tests.replication.rig import kept


class _Replaced(NamedTuple):
    folder: str
    path: str
    after: int
    """Number of the generation that it was there after."""
    entry: Entry


class Losses:
    """Looks after all contents that updates replaced or deleted.

    Args:
        scratch: path for a file that is restored for a moment.
    """

    def __init__(self, scratch: str) -> None:
        self._scratch = os.fsencode(scratch)
        self._common: dict[str, set[bytes]] = {}
        """Contents that both nodes have had, by path."""
        self._replaced: list[_Replaced] = []
        self._in_blocks: list[_Replaced] = []
        """What is kept as the blocks that differ from what stands there now."""

    def written(self, folder: str) -> None:
        """Others than SBS write to a folder, and such versions may be gone."""
        self._in_blocks = [each for each in self._in_blocks if each.folder != folder]

    def check(
        self, folder: str, before: Tree, after: Tree, history: History, *, recovered: bool
    ) -> None:
        """A generation was applied to a folder: what is gone must be kept (B4, B21).

        What the other node is not known to have had may be nothing but pages of the new content and
        zeros, as a power cut leaves them: then a recovery takes it for that, and keeps no version.
        It is in quarantine from before.
        """
        in_quarantine = cache(lambda: set(kept(folder).values()))
        for path, entry in before.items():
            now = after.get(path)
            content = None if now is None or now.kind != entry.kind else now.content
            if entry.kind not in ("file", "link") or content == entry.content:
                continue
            if entry.kind == "file" and entry.content not in self._common.get(path, ()):
                assert entry.content in in_quarantine(), f"{path!r} was on one node only"
            replaced = _Replaced(folder, path, history.number - 1, entry)
            try:
                in_blocks = self._restore(replaced, history)
            except ReplicationError:
                if recovered and entry.content in in_quarantine():
                    continue
                raise
            if entry.names == 1:  # else a write through another name changes what is kept
                (self._in_blocks if in_blocks else self._replaced).append(replaced)

    def agree(self, leader: Tree, follower: Tree) -> None:
        """Both nodes have gone through the same generation."""
        for path, entry in leader.items():
            standing = follower.get(path)
            both = (entry.kind, None if standing is None else standing.kind) == ("file", "file")
            if both and standing is not None and standing.content == entry.content:
                self._common.setdefault(path, set()).add(entry.content)

    def check_all(self, folder: str, history: History) -> None:
        """Everything that was ever replaced in a folder can still be restored."""
        for replaced in self._replaced + self._in_blocks:
            if replaced.folder == folder:
                self._restore(replaced, history)

    def _restore(self, replaced: _Replaced, history: History) -> bool:
        """As ``sbs restore --output`` does; whether only blocks of it are kept."""
        output = os.fsdecode(self._scratch)
        with Places([replaced.folder]) as places:
            found = restoring.find(places, 0, replaced.path, replaced.after, history.number)
            restoring.write_out(places, 0, found, output)
        restored = entry_at(self._scratch)
        os.unlink(self._scratch)
        wanted = replaced.entry
        assert (restored.kind, restored.content) == (wanted.kind, wanted.content)
        if wanted.names == 1:  # else its other name may have been touched by the same update
            assert (restored.mode, restored.mtime_ns) == (wanted.mode, wanted.mtime_ns)
        return bool(found.chain)
