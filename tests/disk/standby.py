"""A secondary without its event loop: state, index, journal and folders of one directory.

It does what a node does, in the same order: recover, list, stage, commit, tell, save, apply.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from types import TracebackType

import attrs

from sbs.core.history import History
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Begin, Commit, Content
from sbs.replication.files.index import Index
from sbs.replication.following.target import Applied, CommitRecord, Target
from sbs.replication.former.versions import Versions
from sbs.replication.leading.source import PeerTree
from sbs.runtime.lasting.state import StateStore, new_node
from tests.replication.rig import proceed

KEEP_S = 3600.0
"""How long versions are kept: longer than any of these tests."""


@attrs.frozen(kw_only=True)
class Prepared:
    """An update as the primary sends it.

    Args:
        folders: settings, as the primary has them.
        history: both nodes' before it.
        contents: what is sent.
        commit: what completes it.
    """

    folders: tuple[FolderSpec, ...]
    history: History
    contents: tuple[Content, ...]
    commit: Commit

    @property
    def begin(self) -> Begin:
        return Begin(self.commit.generation.epoch, self.commit.generation.number)


class Standby:
    """A context manager; leaving it gives everything back, as a node does that ends.

    Args:
        base: its directory; each folder lies there under its name.
        folders: their settings.
    """

    def __init__(self, base: str, folders: tuple[FolderSpec, ...]) -> None:
        self._folders = folders
        self.state_dir = f"{base}/state"
        self.places = places_in(base, folders)
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._store = StateStore(self.state_dir)
            stack.callback(self._store.close)
            self.index = Index(f"{self.state_dir}/index.db")
            stack.callback(self.index.close)
            self.target = Target(self.state_dir, self.index, Versions(KEEP_S))
            stack.callback(self.target.close)
            self._stored = self._store.load() or new_node(0)
            self._stack = stack.pop_all()

    def __enter__(self) -> Standby:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def own(self) -> dict[str, str]:
        """Where the folders lie, by name."""
        return dict(zip((spec.name for spec in self._folders), self.places, strict=True))

    @property
    def history(self) -> History:
        """As it is saved."""
        return self._stored.durable.history

    def recover(self) -> CommitRecord | None:
        """What a node does first."""
        record = self.target.recover(proceed, self.save)
        self._store.save(self._stored)
        return record

    def save(self, record: CommitRecord) -> None:
        """The node's state learns of a generation."""
        durable = attrs.evolve(self._stored.durable, history=record.history)
        self._stored = attrs.evolve(self._stored, durable=durable, folders=record.folders)
        self._store.save(self._stored)

    def connect(self) -> PeerTree:
        """A session begins: what the primary learns of this node."""
        self.target.open(self._folders, self.places)
        tree = PeerTree(len(self._folders), self.history)
        for listing in self.target.listing(proceed):
            tree.add(listing)
        return tree

    def commit(self, update: Prepared, told: Callable[[], object]) -> CommitRecord:
        """Stage an update and commit it; then the primary is told."""
        self.target.begin(update.begin)
        for content in update.contents:
            self.target.take(content, proceed)
        record = self.target.commit(update.commit, update.history, proceed)
        told()
        return record

    def take(self, update: Prepared, told: Callable[[], object] = proceed) -> Applied:
        """Take an update within a session."""
        record = self.commit(update, told)
        self.save(record)
        return self.target.apply(record, proceed)


def places_in(base: str, folders: tuple[FolderSpec, ...]) -> list[str]:
    """Where the folders lie."""
    places = [f"{base}/{spec.name}" for spec in folders]
    for place in places:
        os.makedirs(place, exist_ok=True)
    os.makedirs(f"{base}/state", exist_ok=True)
    return places
