"""The primary's side of an update: look, and prepare what to send (R20)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sbs.core.guard import DEFAULT_LIMIT, Limit, judge
from sbs.core.history import Generation
from sbs.core.manifest import FolderSpec
from sbs.replication.audit import Reading, read_anew
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.common import Common
from sbs.replication.files.index import Index
from sbs.replication.files.places import Places
from sbs.replication.files.problems import Problem, Problems
from sbs.replication.leading.peer_tree import PeerTree
from sbs.replication.leading.planner import Doubtful, Planner
from sbs.replication.leading.preview import Preview, preview
from sbs.replication.leading.update import Update

__all__ = ["PeerTree", "Source", "Update"]


class Source:
    """Reads the primary's folders.

    Args:
        folders: their settings; ``path`` is the local path.
        index: digests that are known from earlier readings.
        max_deletes: of an update that is not held, in each folder (B22).

    Raises:
        ValueError: a filter rule or the limit is malformed.
    """

    def __init__(
        self,
        folders: Sequence[FolderSpec],
        index: Index,
        max_deletes: str | int = DEFAULT_LIMIT,
    ) -> None:
        self._folders = tuple(folders)
        self._limit = Limit.parse(max_deletes)
        self._index = index
        self._common = Common(index)
        self._planner = Planner(self._folders, index, self._common)
        self._met: PeerTree | None = None
        self._doubtful: Doubtful = {}
        self._withheld = False
        """The last update was held: what it would have deleted has to be found again."""
        self._notes: tuple[Problem, ...] = ()
        """Of the last full scan."""
        self._patching = self._patched = True
        self._equal: dict[tuple[str, str], bytes] = {}
        """What stood on both nodes when they met, and is not recorded yet."""

    def prepare(
        self, peer: PeerTree, changes: Changes, check: Callable[[], object], accepted: str = ""
    ) -> Update:
        """Look where something may have changed, plan what to send, and ask the guard (B22).

        Args:
            peer: what the follower holds, complete.
            changes: where to look; besides, where something could not be read the last time, and
                everywhere if that was held, or is.
            check: called for each directory and each thousand entries; may raise to cancel.
            accepted: the id of a held update that is to be sent all the same.

        Raises:
            ReplicationError: a folder's root is missing or cannot be read: nothing is sent.
            StateError: the index cannot be used.
        """
        if peer is not self._met:
            self._meet(peer)
            changes = EVERYTHING
        changes |= EVERYTHING if self._withheld else Changes.of(self._doubtful)
        outlook = self._planner.look(peer, changes, self._doubtful, check)
        held = judge(outlook.prospects, self._limit)
        if held is not None and not outlook.full:  # there may be more that it would delete
            outlook = self._planner.look(peer, EVERYTHING, self._doubtful, check)
            held = judge(outlook.prospects, self._limit)
        if held is not None and held.id == accepted:
            held = None
        self._withheld = held is not None
        if outlook.full:
            self._notes = outlook.notes
        problems = Problems()
        problems.extend(self._notes)
        for found in self._doubtful.values():
            problems.extend(found)
        if changes.everything:
            self._index.drop_unused_blocks()
        patching, self._patching = self._patching, True
        self._patched = patching
        return Update(
            self._folders,
            outlook,
            held,
            problems.collected,
            self._index,
            self._doubtful,
            patching=patching,
            fragments=peer.fragments,
        )

    def preview(self, peer: PeerTree, check: Callable[[], object]) -> Preview:
        """What an update would send now; no file is read, and nothing sent (B26).

        Args:
            peer: as for :meth:`prepare`.
            check: as for :meth:`prepare`.

        Raises:
            ReplicationError: a folder's root is missing or cannot be read.
            StateError: the index cannot be used.
        """
        outlook = self._planner.look(peer, EVERYTHING, {}, check)
        held = judge(outlook.prospects, self._limit)
        return preview(self._folders, outlook.plans, peer, held)

    def audit(
        self, folder: int, paths: Sequence[str], check: Callable[[], object]
    ) -> dict[str, Reading]:
        """Read files anew (B26); see :func:`sbs.replication.audit.read_anew`.

        Raises:
            StateError: the index cannot be read.
        """
        with Places([spec.path for spec in self._folders]) as places:
            name = self._folders[folder].name
            return read_anew(places, folder, name, self._index, paths, check)

    def send_whole(self) -> None:
        """The next update patches no file: the follower refused, and perhaps that is why.

        What it had of files whose sending was cut, it has forgotten.

        Unless the last one did not either: a disk may have room for a few blocks alone.
        """
        self._patching = not self._patched
        if self._met is not None:
            self._met.fragments.clear()

    def confirm(
        self, update: Update, generation: Generation, refused: Collection[tuple[str, str]]
    ) -> None:
        """The follower has put an update in place: its contents are on both nodes now (B4).

        Args:
            update: what was sent.
            generation: that it became.
            refused: by folder and path, what the follower could not put in place.

        Raises:
            StateError: the index cannot be written.
        """
        contents = {**self._equal, **update.contents(refused)}
        self._common.store(generation, contents, update.bases)
        self._equal = {}

    def settle(self, update: Update) -> None:
        """Nothing of an update had to be sent: the follower holds what stands here (B22).

        Raises:
            StateError: the index cannot be written.
        """
        self._common.store_bases(update.bases)

    def _meet(self, peer: PeerTree) -> None:
        """Begin with what both nodes have already."""
        self._common.reconcile(peer.history)
        self._equal = {
            (spec.name, path): digest
            for number, spec in enumerate(self._folders)
            for path, digest in self._common.missing(spec.name)
            if (entry := peer.entry(number, path)) is not None and entry.digest == digest
        }
        self._met = peer
