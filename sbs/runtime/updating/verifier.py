"""The leader's comparison of all contents, on both nodes, read anew (B26)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs
import trio

from sbs.core.manifest import Entry, FolderSpec, Kind
from sbs.core.messages import MAX_AUDITED, Audit, Audited
from sbs.core.printable import plain
from sbs.core.progress import Phase
from sbs.errors import RemoteProtocolError, ReplicationError
from sbs.log import ERROR, Log
from sbs.replication.audit import Reading
from sbs.replication.leading.peer_tree import PeerTree
from sbs.replication.leading.source import Source
from sbs.runtime.linking.link import Link
from sbs.runtime.updating.tracker import Tracker

BATCH_BYTES: Final = 32 * 1024 * 1024
"""Read at once on each node, but for a single file that is larger: an update waits for no more."""

MAX_NAMED: Final = 100
"""Files named in a result; the log has all."""

_log = Log(__name__)
_DIFFERS = _log.event(
    "verify-found",
    ERROR,
    "verify: {path}: {finding}",
    "A disk, or somebody, changed a file behind SBS's back; the text names it and says "
    "what was done. Look at the disk of the node that had the damage.",
)


@attrs.define
class Verification:
    """What a comparison found.

    Attributes:
        files: compared.
        bytes: of them, on one node.
        skipped: files that changed meanwhile, or could not be read on this node.
        repaired: how many differed on the secondary; they are sent again.
        damaged: how many differ on the primary from what they were, although nothing has changed
            them.
        paths: the first :data:`MAX_NAMED` of both: what is wrong, and where.
    """

    files: int = 0
    bytes: int = 0
    skipped: int = 0
    repaired: int = 0
    damaged: int = 0
    paths: list[str] = attrs.field(factory=list[str])


class Verifier:
    """Compares what one leader and its follower hold.

    Args:
        link: to the follower.
        source: reads the leader's folders.
        folders: their settings.
        tree: what the follower is taken to hold.
        turn: of whoever looks at the folders; held for a batch at a time.
    """

    def __init__(
        self,
        link: Link,
        source: Source,
        folders: Sequence[FolderSpec],
        tree: PeerTree,
        turn: trio.Lock,
    ) -> None:
        self._link = link
        self._source = source
        self._folders = folders
        self._tree = tree
        self._turn = turn
        self._running = trio.Lock()
        self.tracker: Tracker = Tracker()
        """How far the comparison under way is."""
        self._deliver, self._answers = trio.open_memory_channel[Audited](1)

    def take(self, audited: Audited) -> None:
        """The follower's answer arrived.

        Raises:
            RemoteProtocolError: nobody has asked.
        """
        try:
            self._deliver.send_nowait(audited)
        except trio.WouldBlock:
            raise RemoteProtocolError("an answer to an audit that nobody asked for") from None

    def close(self) -> None:
        """The connection is lost: nothing more is answered."""
        self._deliver.close()

    async def run(self, bytes_s: float) -> Verification:
        """Compare everything, once.

        Args:
            bytes_s: at most so many bytes are read in a second on each node; 0: no limit.

        Raises:
            ReplicationError: the connection was lost, or what the follower holds is not known yet.
            StateError: the index cannot be used.
        """
        found = Verification()
        async with self._running:
            if not self._tree.complete:
                raise ReplicationError("the secondary has not said yet what it holds; try again")
            self.tracker.begin(Phase.VERIFYING)
            try:
                await self._compare_all(bytes_s, found)
            finally:
                self.tracker.end()
        return found

    async def _compare_all(self, bytes_s: float, found: Verification) -> None:
        for folder in range(len(self._folders)):
            for directory in self._tree.directories(folder):
                for paths in _batches(self._tree.directory(folder, directory)):
                    began_at, files, size_bytes = trio.current_time(), found.files, found.bytes
                    async with self._turn:
                        await self._compare(folder, paths, found)
                    self.tracker.advance(found.files - files, found.bytes - size_bytes)
                    if bytes_s:
                        await trio.sleep_until(began_at + (found.bytes - size_bytes) / bytes_s)

    async def _compare(self, folder: int, paths: Sequence[str], found: Verification) -> None:
        entries = {path: self._tree.entry(folder, path) for path in paths}
        held = {path: entry for path, entry in entries.items() if _is_known(entry)}
        if not held:
            return
        own: Mapping[str, Reading] = await trio.to_thread.run_sync(
            self._source.audit, folder, tuple(held), trio.from_thread.check_cancelled
        )
        await self._link.send(Audit(folder, tuple(held)))
        try:
            audited = await self._answers.receive()
        except trio.EndOfChannel:
            raise ReplicationError(
                "the connection to the secondary was lost; run sbs verify again when it is back"
            ) from None
        if not audited.digests:
            raise ReplicationError("the secondary cannot compare; its log says why")
        if len(audited.digests) != len(held):
            raise RemoteProtocolError(f"{len(audited.digests)} digests of {len(held)} files")
        for (path, entry), digest in zip(held.items(), audited.digests, strict=True):
            if entry is not None:
                self._judge(folder, entry, own[path], digest, found)

    def _judge(
        self, folder: int, entry: Entry, own: Reading, theirs: bytes, found: Verification
    ) -> None:
        found.files += 1
        found.bytes += entry.size_bytes
        if own.is_damaged:
            found.damaged += 1
            self._name(folder, entry.path, _damage(theirs == entry.digest), found)
        elif own.digest != entry.digest:
            found.skipped += 1  # the next update deals with it
        elif theirs != entry.digest:
            found.repaired += 1
            self._tree.forget(folder, entry.path)
            self._name(folder, entry.path, "differed on the secondary; sent again", found)

    def _name(self, folder: int, path: str, what: str, found: Verification) -> None:
        name = plain(f"{self._folders[folder].name}/{path}")
        _DIFFERS(path=name, finding=what)
        if len(found.paths) < MAX_NAMED:
            found.paths.append(f"{name}: {what}")


def _damage(is_whole_there: bool) -> str:
    text = "is damaged on the primary: its content changed although nothing wrote it"
    if is_whole_there:
        return f"{text}; the secondary's is whole: copy it back from there"
    return f"{text}, and on the secondary as well"


def _is_known(entry: Entry | None) -> bool:
    return entry is not None and entry.kind is Kind.FILE and entry.digest is not None


def _batches(entries: Mapping[str, Entry]) -> Iterator[list[str]]:
    batch: list[str] = []
    size_bytes = 0
    for path, entry in entries.items():
        if not _is_known(entry):
            continue
        if batch and (len(batch) == MAX_AUDITED or size_bytes + entry.size_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(path)
        size_bytes += entry.size_bytes
    if batch:
        yield batch
