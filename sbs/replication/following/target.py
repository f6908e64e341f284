"""The secondary's side of an update: list, stage, commit, apply (B20, R22 to R24)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from typing import Final

import attrs

from sbs.core.guard import Basis
from sbs.core.history import History
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Audit, Audited, Begin, Commit, Content, Fragment, Listing
from sbs.core.plan import OWNER_ACCESS
from sbs.errors import MismatchError, ReplicationError
from sbs.replication.audit import answer
from sbs.replication.common import Common
from sbs.replication.files.index import Index
from sbs.replication.files.mapped import mapped
from sbs.replication.files.places import DIRECTORY_MODE, READ_ACCESS, Places, check_apart
from sbs.replication.files.problems import Problem
from sbs.replication.files.roots import check_mounted, check_same, check_writable
from sbs.replication.following.apply import Applied, RollForward
from sbs.replication.following.listing import Lister
from sbs.replication.following.space import check_space, making_room
from sbs.replication.former.divergence import Survey
from sbs.replication.former.quarantine import Quarantine
from sbs.replication.former.versions import Versions
from sbs.replication.receiving.area import remove_staging
from sbs.replication.receiving.building import NOTHING
from sbs.replication.receiving.fragment import FRAGMENT_NAME, KeptFragment
from sbs.replication.receiving.incoming import Incoming
from sbs.replication.receiving.journal import DamagedError, Journal
from sbs.replication.receiving.record import CommitRecord
from sbs.replication.receiving.remains import Remains

_IF_MEANT: Final = "If that is meant, remove index.db from the state directory while SBS is stopped"

_NOT_YET: Final = "Until then the last generation cannot be completed"

DROP_BLOCKS_ABOVE: Final = 16 * 1024 * 1024
"""Bytes of lists of blocks after which those that nothing needs are dropped, which takes a look at
all files: the list of the largest file, or of 60 versions of one of a gibibyte."""

__all__ = ["Applied", "CommitRecord", "Target"]


class Target:
    """Takes updates into the secondary's folders.

    Args:
        state_dir: an existing directory of the node, for the journal.
        index: digests of the node's own files.
        versions: where what is replaced and deleted is kept; left out: nowhere.

    Raises:
        StateError: the journal's directory cannot be made.
    """

    def __init__(self, state_dir: str, index: Index, versions: Versions | None = None) -> None:
        self._state_dir = state_dir
        self._index = index
        self._common = Common(index)
        self._journal = Journal(state_dir)
        self._folders: tuple[FolderSpec, ...] = ()
        self._places = Places(())
        self._lister = Lister(self._places, (), index, self._journal)
        self._incoming: Incoming | None = None
        self._fragment: KeptFragment | None = None
        self._built = NOTHING
        self._surveyed = False
        self.quarantine: Quarantine = Quarantine()
        """Versions that updates would have destroyed (B4)."""
        self.versions: Versions = Versions() if versions is None else versions
        """What updates replaced and deleted (B21)."""
        self.done: Callable[[int, int], object] = lambda _files, _size_bytes: None
        """Told how many operations were applied just now, with how much content."""
        self.damage: str = ""
        """What :meth:`recover` found to be damaged, and where it is now."""

    def recover(
        self,
        check: Callable[[], object],
        save: Callable[[CommitRecord], object] | None = None,
    ) -> CommitRecord | None:
        """Finish what a crash interrupted; called first of all.

        A committed generation is rolled forward, a staged one is thrown away. Returns the
        record that was rolled forward. After an error it can be called again. A journal that is
        damaged is set aside, and :attr:`damage` says so: the next session's listing finds what
        is missing.

        Args:
            check: called for each operation and each MiB; may raise to cancel.
            save: called with that record when it is applied durably, before the journal forgets
                it: the place to save its history, so that no crash can come between.

        Raises:
            ReplicationError: a place is missing, or cannot be written.
            StateError: the index cannot be used.
        """
        self.abandon()
        self._surveyed = False
        with mapped(self._journal.directory):
            try:
                record = self._journal.load(check)
            except DamagedError as error:
                self.damage = str(error)
                record = None
        if record is not None:
            self._roll_forward(record, check)
            if save is not None:
                save(record)
            self._forget()
        with mapped(self._journal.directory):
            for place in self._journal.staged_places():
                with mapped(place), Places([place]) as it, contextlib.suppress(FileNotFoundError):
                    remove_staging(it, 0)
            self._journal.discard()
        return record

    def open(self, folders: Sequence[FolderSpec], places: Sequence[str]) -> None:
        """Begin a session; folders whose root is missing are made.

        Args:
            folders: the leader's settings (R24).
            places: the local path of each, which the caller has allowed.

        Raises:
            ValueError: a filter rule is malformed.
            ReplicationError: two folders have one name, places overlap each other or the state
                directory, a root cannot be made or written, or is not mounted, or the last
                generation is committed but not applied.
        """
        self.suspend()
        check_apart([spec.name for spec in folders], places, self._state_dir)
        if self._journal.committed:
            raise MismatchError("a session begins before the last generation was applied")
        opened = Places(places)
        self._forget_fragment_unless(folders, opened)
        fragment = self._fragment
        lister = Lister(opened, tuple(folders), self._index, self._journal, fragment)
        self._folders = tuple(folders)
        self._places.close()
        self._places, self._lister = opened, lister
        known = self._common.bases()
        try:
            for number, spec in enumerate(self._folders):
                self._ready(number, known.get(spec.name))
        finally:
            self._places.close()

    def _ready(self, folder: int, known: Basis | None) -> None:
        """A folder's root is there, empty of what was staged, and can be written."""
        place = self._places.roots[folder]
        with mapped(place):
            os.makedirs(place, DIRECTORY_MODE, exist_ok=True)
            if known is not None:
                check_mounted(self._places, folder, known.root, _IF_MEANT)
            remove_staging(self._places, folder, "" if self._fragment is None else FRAGMENT_NAME)
        check_writable(place)

    def listing(self, check: Callable[[], object]) -> Generator[Listing | Fragment, None, None]:
        """What stands here now, in parts of bounded size; the last one says so.

        Before the last comes what was kept of a file whose sending was cut (:meth:`suspend`).

        Digests come from the index; only files that were read too soon after their last change
        are read again. :attr:`problems` then holds what could not be read.

        Args:
            check: called for each directory and each thousand entries; may raise to cancel.

        Raises:
            ReplicationError: a folder's root cannot be read.
            StateError: the index cannot be used.
        """
        return self._lister.listing(check)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the last listing could not read."""
        return self._lister.problems

    def begin(self, begin: Begin) -> None:
        """Stage a generation; what was staged before is forgotten, but for a fragment.

        Raises:
            ReplicationError: the last one is not applied yet, there is no space, or a folder is
                not what was listed, or cannot be written.
            StateError: the index cannot be used.
        """
        self.suspend()
        if self._journal.committed:
            raise MismatchError(f"generation {begin.number} begins before the last one was applied")
        with Places(self._places.roots) as places:
            for number, spec in enumerate(self._folders):
                if (listed := self._lister.bases.get(spec.name)) is not None:
                    check_same(places, number, listed.root)
                check_writable(places.roots[number])
        with self._room(), mapped(self._journal.directory):
            self._journal.create(self._places.roots)
        self._index.drop_unused_blocks(DROP_BLOCKS_ABOVE)
        self._incoming = Incoming(
            begin.epoch,
            self._folders,
            self._places,
            self._journal,
            self._index,
            self._fragment,
            self._lister.foldings,
        )

    def take(self, message: Content, check: Callable[[], object]) -> None:
        """Stage what a message carries; see :class:`~sbs.replication.receiving.incoming.Incoming`.

        Raises:
            ReplicationError: it cannot be, or no generation was begun.
            StateError: the index cannot be used.
        """
        with self._room():
            self._begun().take(message, check)

    def audit(self, audit: Audit, check: Callable[[], object]) -> Audited:
        """Read files anew, and say what they hold (B26); see :func:`sbs.replication.audit.answer`.

        Raises:
            ReplicationError: there is no such folder.
            StateError: the index cannot be used.
        """
        return answer(self._places, self._folders, self._index, audit, check)

    def commit(self, commit: Commit, history: History, check: Callable[[], object]) -> CommitRecord:
        """Make what was staged a generation that survives a power cut.

        Args:
            commit: what the leader says it sent.
            history: the leader's, before this generation.
            check: called once, before anything is durable.

        Raises:
            ReplicationError: something else was staged than the leader says, more is deleted than
                the folders' settings allow, there is no space, or a version that only this node
                has cannot be kept; the last generation stays.
            StateError: the index cannot be used.
        """
        incoming = self._begun()
        check()
        following = incoming.verify(commit, history, check)
        record = CommitRecord(
            history=following,
            active=commit.active,
            folders=self._folders,
            places=self._places.roots,
            foldings=self._lister.foldings,
            operations=tuple(incoming.operations),
            contents_at=0,
            trees=incoming.trees,
            unbuilt=incoming.unbuilt,
            roots=self._lister.roots,
        )
        with self._room():
            self._keep(record, check)
            record = attrs.evolve(record, overlays=incoming.staging.overlays(check))
            check_space(self._places, record, self.versions.pruner)
            incoming.staging.sync()
            with mapped(self._journal.directory):
                record = self._journal.commit(record)
        self._surveyed = True
        self._incoming, self._built = None, incoming.built
        self._fragment = None  # its file goes with the rest of what is staged
        self._places.close()
        return record

    def apply(self, record: CommitRecord, check: Callable[[], object]) -> Applied:
        """Roll a committed generation forward, durably; after an error it can be called again.

        Args:
            record: what :meth:`commit` returned.
            check: called for each operation and each MiB; may raise to cancel.

        Raises:
            ReplicationError: a place is missing or cannot be written.
            StateError: the journal or the index is damaged.
        """
        applied = self._roll_forward(record, check)
        self._forget()
        return applied

    def abandon(self) -> None:
        """Forget what is staged.

        Raises:
            ReplicationError: temporary files cannot be removed.
        """
        if self._incoming is not None:
            self._incoming.staging.clear()
        elif self._fragment is None:
            return
        self._places.close()
        if self._fragment is not None:
            self._fragment.remove()
            self._fragment = None
        with mapped(self._journal.directory):
            self._journal.discard()
        self._incoming = None  # else the next attempt has something to remove

    def suspend(self) -> None:
        """The session is over: forget what is staged, but for the beginning of a large file (B24).

        If that is still under way, the next session can go on with it (:meth:`listing`). It is
        kept until then, and until a generation is committed or :meth:`abandon` forgets it.

        Raises:
            ReplicationError: temporary files cannot be removed.
        """
        if self._incoming is None:
            return
        former, kept = self._fragment, None
        with contextlib.suppress(ReplicationError):  # then it has to come again
            kept = self._incoming.keep()
        if kept is None:
            self.abandon()
            return
        self._fragment = kept
        if former is not None and former.place != kept.place:
            former.remove()
        self._incoming.staging.clear(FRAGMENT_NAME)
        self._places.close()
        with mapped(self._journal.directory):
            self._journal.create(self._places.roots)  # after a crash it says where the file is
            self._journal.close()
        self._incoming = None

    def forget_fragment(self) -> None:
        """Remove what :meth:`suspend` kept.

        Raises:
            ReplicationError: it cannot be removed.
        """
        if self._incoming is None:
            self.abandon()

    def _forget_fragment_unless(self, folders: Sequence[FolderSpec], places: Places) -> None:
        """Where it would have no place in a session."""
        at = {(spec.name, root) for spec, root in zip(folders, places.roots, strict=True)}
        if self._fragment is not None and (self._fragment.name, self._fragment.place) not in at:
            self.abandon()

    def close(self) -> None:
        """Forget what is staged and close all files; a committed generation stays."""
        self.abandon()
        self._places.close()
        self._journal.close()

    def _room(self) -> contextlib.AbstractContextManager[None]:
        return making_room(self._places, self._folders, self.versions.pruner)

    def _begun(self) -> Incoming:
        if self._incoming is None:
            raise MismatchError("no generation was begun")
        return self._incoming

    def _keep(
        self, record: CommitRecord, check: Callable[[], object], remains: Remains | None = None
    ) -> None:
        """Before anything is overwritten: what nobody else may have goes to quarantine (B4)."""
        self._common.reconcile(record.history)
        with Places(record.places, unlock=READ_ACCESS) as places:
            survey = Survey(places, record, self._index, self._common, check, remains)
            versions = survey.diverging()
            names = [spec.name for spec in record.folders]
            self.quarantine.keep(places, names, record.history.entries[-1], versions, check)

    def _roll_forward(self, record: CommitRecord, check: Callable[[], object]) -> Applied:
        with Places(record.places) as places:
            for number in sorted({operation.folder for operation in record.operations}):
                check_mounted(places, number, record.roots[number], _NOT_YET)
        remains = None
        if not self._surveyed:  # a crash or an error came between: look again
            remains = Remains(self._journal, record, self._common)
            self._keep(record, check, remains)
        self._surveyed = False
        built, self._built = self._built if remains is None else NOTHING, NOTHING
        with Places(record.places, unlock=OWNER_ACCESS) as places:
            bases = self._lister.still(record.folders, places)
            keeper = self.versions.keeper(places, record, check, remains)
            with making_room(places, record.folders, self.versions.pruner):
                applied = RollForward(
                    places, record, self._journal, self._index, self._common, bases, keeper, check
                ).run(self.done, built)
        self.versions.applied()
        return applied

    def _forget(self) -> None:
        with mapped(self._journal.directory):
            self._journal.remove()
