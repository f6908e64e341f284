"""A pair of folders without a network, and an independent look at what stands in them."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from sbs.core.epoch import Epoch
from sbs.core.history import History
from sbs.core.manifest import FolderSpec
from sbs.core.messages import Begin, Commit, Content
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.files.index import Index
from sbs.replication.following.apply import Applied
from sbs.replication.following.target import CommitRecord, Target
from sbs.replication.former import undo
from sbs.replication.former.versions import Versions
from sbs.replication.leading.source import PeerTree, Source, Update

EPOCH = Epoch(1, 0)
NOTHING = History()


def proceed() -> None:
    """A check that never cancels."""


class Pair:
    """A primary's folders and their copies below ``base``.

    Settings go into each :class:`FolderSpec`; ``history`` is what both have gone through. The trees
    of most tests are so small that every delete would be one too many.
    """

    def __init__(
        self,
        base: str,
        names: Iterable[str] = ("data",),
        *,
        filters: tuple[str, ...] = (),
        strict_delete: bool = False,
        preserve_mtime: bool = False,
        history: History = NOTHING,
        max_deletes: str | int = "off",
        versions: Versions | None = None,
    ) -> None:
        self.base = base
        self.state_dir = f"{base}/state-b"
        self.specs = [
            FolderSpec(
                name=name,
                path=f"{base}/a/{name}",
                filters=filters,
                strict_delete=strict_delete,
                preserve_mtime=preserve_mtime,
            )
            for name in names
        ]
        self.sources = [spec.path for spec in self.specs]
        self.copies = [f"{base}/b/{spec.name}" for spec in self.specs]
        for path in (*self.sources, *self.copies, f"{base}/state-a", self.state_dir):
            os.makedirs(path, exist_ok=True)
        self.index_a = Index(f"{base}/state-a/index")
        self.index_b = Index(f"{base}/state-b/index")
        self.max_deletes = max_deletes
        self.source = Source(self.specs, self.index_a, max_deletes)
        self.target = Target(self.state_dir, self.index_b, versions)
        self.history = history
        self.epoch = EPOCH
        self.peer = PeerTree(len(self.specs))

    def __enter__(self) -> Pair:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.target.close()
        self.index_a.close()
        self.index_b.close()

    @property
    def a(self) -> str:
        return self.sources[0]

    @property
    def b(self) -> str:
        return self.copies[0]

    def connect(self) -> None:
        """A new session: the follower lists what it has."""
        self.target.open(self.specs, self.copies)
        self.peer = PeerTree(len(self.specs), self.history)
        for listing in self.target.listing(proceed):
            self.peer.add(listing)
        assert self.peer.complete

    def stage(
        self,
        *,
        update: Update | None = None,
        each: Callable[[Content], object] = lambda _: None,
        changes: Changes = EVERYTHING,
    ) -> Update:
        """Read and stage an update."""
        update = update or self.source.prepare(self.peer, changes, proceed)
        self.target.begin(Begin(self.epoch, self.history.number + 1))
        for message in update.messages(proceed):
            each(message)
            self.target.take(message, proceed)
        return update

    def seal(self, update: Update, active: tuple[str, ...] = ("printer",)) -> Commit:
        return update.seal(self.epoch, self.history, active)

    def commit(self, update: Update) -> CommitRecord:
        return self.target.commit(self.seal(update), self.history, proceed)

    def update(self) -> tuple[Update, Applied]:
        """A whole update within the session."""
        update = self.stage()
        record = self.commit(update)
        applied = self.target.apply(record, proceed)
        self.history = record.history
        self.peer.commit(update.operations)
        return update, applied

    def replicate(self) -> tuple[Update, Applied]:
        """A new session and an update in it."""
        self.connect()
        return self.update()


class Host:
    """A node that may lead or follow: one folder, one index, one journal."""

    def __init__(self, base: str, *, strict_delete: bool = False) -> None:
        self.folder = f"{base}/data"
        self._strict_delete = strict_delete
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs(f"{base}/state", exist_ok=True)
        self.index = Index(f"{base}/state/index")
        self.target = Target(f"{base}/state", self.index)
        self.quarantine = self.target.quarantine

    @property
    def spec(self) -> FolderSpec:
        return FolderSpec(name="data", path=self.folder, strict_delete=self._strict_delete)

    @property
    def kept(self) -> dict[str, bytes]:
        """Contents in quarantine, by path without the generation's directory."""
        return {path.partition("/")[2]: each for path, each in kept(self.folder).items()}

    def write(self, name: str, content: str) -> None:
        write(f"{self.folder}/{name}", content)

    def read(self, name: str) -> str:
        return read(f"{self.folder}/{name}").decode()

    def close(self) -> None:
        self.target.close()
        self.index.close()


def lead(
    leader: Host,
    follower: Host,
    history: History,
    epoch: Epoch = EPOCH,
    *,
    confirmed: bool = True,
    between: Callable[[], object] = proceed,
) -> tuple[History, Applied]:
    """A session and one update in it.

    Args:
        leader: sends.
        follower: takes.
        history: of the leader.
        epoch: it leads in.
        confirmed: it hears that the update stands in the follower's folder.
        between: called after the commit, before it is applied.
    """
    follower.target.open([leader.spec], [follower.folder])
    source, peer = Source([leader.spec], leader.index, "off"), PeerTree(1, history)
    for listing in follower.target.listing(proceed):
        peer.add(listing)
    update = source.prepare(peer, EVERYTHING, proceed)
    follower.target.begin(Begin(epoch, history.number + 1))
    for message in update.messages(proceed):
        follower.target.take(message, proceed)
    commit = update.seal(epoch, history, ())
    record = follower.target.commit(commit, history, proceed)
    between()
    applied = follower.target.apply(record, proceed)
    if confirmed:
        refused = {(problem.folder, problem.entry) for problem in applied.problems}
        source.confirm(update, commit.generation, refused)
    return record.history, applied


def write(path: str, content: bytes | str = b"", *, mode: int | None = None) -> None:
    """Write a file, with its directories."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    if mode is not None:
        os.chmod(path, mode)


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def look(root: str, *, times: bool = False) -> dict[bytes, tuple[object, ...]]:
    """What stands below ``root``, by raw path: an account that shares no code with SBS.

    Not what is in quarantine or kept; the staging directory is looked at if it holds anything else.
    """
    found = _look(root, times)
    kept = (b".sbs.staging/quarantine", b".sbs.staging/versions")
    if any(path in found for path in kept):
        found = {path: entry for path, entry in found.items() if not path.startswith(kept)}
        if not any(path.startswith(b".sbs.staging/") for path in found):
            del found[b".sbs.staging"]
    return found


def logged(root: str) -> list[tuple[str, dict[str, Any]]]:
    """The lines of all lists of versions below ``root``, by generation, without the summaries."""
    base = f"{root}/.sbs.staging/versions"
    return [
        (name, fields)
        for name in sorted(os.listdir(base) if os.path.isdir(base) else ())
        if os.path.exists(f"{base}/{name}/list.jsonl")
        for line in read(f"{base}/{name}/list.jsonl").splitlines()
        if "path" in (fields := json.loads(line))
    ]


def reverted(content: bytes, path: str) -> bytes:
    """The version of which only blocks are kept, from what replaced it."""
    with open(path, "rb") as kept, tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        found = undo.read(kept.fileno())
        assert found is not None
        undo.revert(kept.fileno(), found, file.fileno())
        file.seek(0)
        return file.read()


def is_sound(path: str) -> bool:
    """Whether such a version is whole."""
    with open(path, "rb") as kept:
        return undo.is_sound(kept.fileno(), proceed)


def former(root: str) -> dict[str, list[bytes]]:
    """Former contents that the lists of versions name, or targets of links, by path.

    Of the last version of a file only the replaced blocks may be kept.
    """
    found: dict[str, list[bytes]] = {}
    for name, fields in logged(root):
        if "former" in fields:
            path = f"{root}/.sbs.staging/versions/{name}/{fields['former']['kept']}"
            content = os.readlink(path.encode()) if os.path.islink(path) else read(path)
            if fields["former"]["kind"] == "blocks":
                content = reverted(read(f"{root}/{fields['path']}"), path)
            found.setdefault(fields["path"], []).append(content)
    return found


def kept(root: str) -> dict[str, bytes]:
    """Contents in quarantine below ``root``, by path from there on; without the list."""
    base = f"{root}/.sbs.staging/quarantine"
    return {
        os.path.relpath(os.path.join(directory, name), base): read(os.path.join(directory, name))
        for directory, _, names in os.walk(base)
        for name in names
        if name != "list.jsonl"
    }


def _look(root: str, times: bool) -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    base = os.fsencode(root)
    for directory, names, files in os.walk(base):
        for name in names + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                entry: tuple[object, ...] = ("link", os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                entry = ("directory", stat.S_IMODE(status.st_mode))
            else:
                with open(path, "rb") as file:
                    content = file.read()
                entry = ("file", stat.S_IMODE(status.st_mode), content)
                if times:
                    entry += (status.st_mtime_ns,)
            found[os.path.relpath(path, base)] = entry
    return found
