"""Random operations by people, updates, crashes and exchanged roles, against the model."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from sbs.core.manifest import FolderSpec
from sbs.replication.changes import EVERYTHING, Changes
from sbs.replication.files.content import BLOCK_BYTES, BLOCKS_ABOVE
from sbs.replication.leading.watch import Watcher
from tests.replication.hands import beside, entries, remove, write
from tests.replication.losses import Losses
from tests.replication.model import above, after_update, differences, walk
from tests.replication.nodes import CrashedError, CutError, Done, Pair
from tests.replication.rig import proceed

MEMORY: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None

ODD: Final = (".sbs.staging.put", "-rf", "new\nline", "\udcff", "ä *", "n" * 255)
NAMES: Final = st.sampled_from(["a", "b", "c", "x.tmp", "cache", *ODD])
PATHS: Final = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS: Final = st.sampled_from([b"", b"1", b"2", b"one", b"two"]) | st.binary(max_size=6)
MODES: Final = st.sampled_from([0o644, 0o600, 0o000, 0o444, 0o755, 0o4711])
DIRECTORY_MODES: Final = st.sampled_from([0o755, 0o700, 0o555, 0o000, 0o2775])
TIMES_NS: Final = st.sampled_from([0, 1, 10**18 + 7, 2 * 10**18, -(10**9)])
TARGETS: Final = st.sampled_from(["a", "../b", "nowhere/at all", "/nonexistent", ".", "\udcff"])
FILTERS: Final = st.sampled_from(
    [(), ("- *.tmp",), ("- cache/",), ("- *", "+ */", "+ a", "+ b"), ("- /b", "+ c"), ("- **/c",)]
)
BY_HAND: Final = st.sampled_from([False] * 9 + [True])
"""Whether it is done on the secondary, where nobody should."""

OWNERS: Final = st.sampled_from([(0, 0), (61234, 61235), (1, 61235)])
XATTRS: Final = st.sampled_from(["user.a", "user.\udcff", "trusted.a"])
AS_ROOT: Final = os.geteuid() == 0
"""Owners and extended attributes can be changed."""

PICKS: Final = st.integers(0, 30)
"""Which one of what there is."""

Stop: TypeAlias = Callable[[str], Callable[[], object]]

made: Counter[str] = Counter()
"""What was done, in all runs of this process."""


class Replication(RuleBasedStateMachine):
    """A pair of nodes; the tree of whoever follows is compared after each update."""

    def __init__(self) -> None:
        super().__init__()
        self._base = tempfile.mkdtemp(prefix="sbs-model-", dir=MEMORY)
        self._pair = Pair(self._base)
        self._losses = Losses(f"{self._base}/restored")
        self._watchers: dict[str, Watcher] = {}
        """Of the nodes that have led, by folder: to close one takes the kernel long."""
        self._spec = FolderSpec(name="data", path="")
        self._filters_changed = False
        self._stale = False
        """The follower's folder was changed by hand since it was listed."""
        self._unseen = False
        """Something changed that no watcher is told of."""

    @initialize(filters=FILTERS, strict=st.booleans(), times=st.booleans(), extra=st.booleans())
    def configure(self, filters: tuple[str, ...], strict: bool, times: bool, extra: bool) -> None:
        self._spec = FolderSpec(
            name="data",
            path="",
            filters=filters,
            strict_delete=strict,
            preserve_mtime=times,
            owner=extra and AS_ROOT,
            xattr=extra and AS_ROOT,
        )

    def teardown(self) -> None:
        try:
            self._pair.session = None
            self._update(EVERYTHING)
            for node in self._pair.nodes:
                self._losses.check_all(node.folder, node.history)
        finally:
            for watcher in self._watchers.values():
                watcher.close()
            self._pair.close()
            shutil.rmtree(self._base)

    # What people do.

    @rule(path=PATHS, content=CONTENTS, by_hand=BY_HAND)
    def write(self, path: str, content: bytes, by_hand: bool) -> None:
        """Over whatever is there: a directory, too, and what lies on the way."""
        place = self._cleared(path, by_hand)
        write(place, content, os.O_TRUNC | os.O_CREAT)
        self._count("write")

    @rule(path=PATHS, size=st.integers(1, 3 * BLOCK_BYTES), seed=st.integers(0, 3))
    def write_large(self, path: str, size: int, seed: int) -> None:
        content = random.Random(seed).randbytes(BLOCKS_ABOVE + size)
        write(self._cleared(path, False), content, os.O_TRUNC | os.O_CREAT)
        self._count("write large")

    @rule(path=PATHS, content=CONTENTS, by_hand=BY_HAND)
    def save(self, path: str, content: bytes, by_hand: bool) -> None:
        """As editors do: a new file takes the place of the old one."""
        place = self._cleared(path, by_hand, keep=True)
        write(beside(place), content, os.O_CREAT)
        os.rename(beside(place), place)
        self._count("save")

    @rule(pick=PICKS, content=CONTENTS, by_hand=BY_HAND)
    def append(self, pick: int, content: bytes, by_hand: bool) -> None:
        if place := self._pick("file", pick, by_hand):
            write(place, content, os.O_APPEND)
            self._count("append")

    @rule(pick=PICKS, size=st.integers(0, BLOCKS_ABOVE + 2), by_hand=BY_HAND)
    def truncate(self, pick: int, size: int, by_hand: bool) -> None:
        if place := self._pick("file", pick, by_hand):
            os.truncate(place, size)
            self._count("truncate")

    @rule(pick=PICKS, at=st.integers(0, BLOCKS_ABOVE + BLOCK_BYTES), content=CONTENTS)
    def write_sparse(self, pick: int, at: int, content: bytes) -> None:
        if place := self._pick("file", pick, False):
            write(place, content, 0, at)
            self._count("write sparse")

    @rule(pick=PICKS, at=st.integers(0, 2**20), by_hand=BY_HAND)
    def edit_unseen(self, pick: int, at: int, by_hand: bool) -> None:
        """Neither size nor time of modification show it."""
        if (place := self._pick("file", pick, by_hand)) and (size := os.stat(place).st_size):
            before = os.stat(place)
            with open(place, "rb") as file:
                file.seek(at % size)
                old = file.read(1)
            write(place, bytes([old[0] ^ 1]), 0, at % size)
            os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
            self._count("edit unseen")

    @rule(pick=PICKS, mtime_ns=TIMES_NS, by_hand=BY_HAND)
    def touch(self, pick: int, mtime_ns: int, by_hand: bool) -> None:
        if place := self._pick("file", pick, by_hand):
            os.utime(place, ns=(mtime_ns, mtime_ns))
            self._count("touch")

    @rule(pick=PICKS, mode=MODES, by_hand=BY_HAND)
    def chmod(self, pick: int, mode: int, by_hand: bool) -> None:
        if place := self._pick("file", pick, by_hand):
            os.chmod(place, mode)
            self._count("chmod")

    @rule(
        pick=PICKS,
        kind=st.sampled_from(["file", "directory", "link"]),
        owner=OWNERS,
        by_hand=BY_HAND,
    )
    def chown(self, pick: int, kind: str, owner: tuple[int, int], by_hand: bool) -> None:
        if AS_ROOT and (place := self._pick(kind, pick, by_hand)):
            os.chown(place, *owner, follow_symlinks=False)
            self._count("chown")

    @rule(
        pick=PICKS,
        kind=st.sampled_from(["file", "directory"]),
        name=XATTRS,
        value=CONTENTS,
        by_hand=BY_HAND,
    )
    def label(self, pick: int, kind: str, name: str, value: bytes, by_hand: bool) -> None:
        """Set an extended attribute, or remove it if it has this value."""
        if AS_ROOT and (place := self._pick(kind, pick, by_hand)):
            if name in os.listxattr(place) and os.getxattr(place, name) == value:
                os.removexattr(place, name)
            else:
                os.setxattr(place, name, value)
            self._count("label")

    @rule(pick=PICKS, mode=DIRECTORY_MODES, by_hand=BY_HAND)
    def close_directory(self, pick: int, mode: int, by_hand: bool) -> None:
        if place := self._pick("directory", pick, by_hand):
            os.chmod(place, mode)
            self._count("chmod directory")

    @rule(pick=PICKS, path=PATHS, kind=st.sampled_from(["file", "directory", "link"]))
    def rename(self, pick: int, path: str, kind: str) -> None:
        source = self._pick(kind, pick, False)
        place = os.path.join(self._root(False), os.fsencode(path))
        if source and not (place + b"/").startswith(source + b"/"):
            place = self._cleared(path, False, keep=kind == "file")
            if os.path.lexists(source):  # it was not in its own way
                os.rename(source, place)
                self._count(f"rename {kind}")

    @rule(pick=PICKS, kind=st.sampled_from(["file", "link", "special"]), by_hand=BY_HAND)
    def delete(self, pick: int, kind: str, by_hand: bool) -> None:
        if place := self._pick(kind, pick, by_hand):
            os.unlink(place)
            self._count("delete")

    @rule(pick=PICKS, by_hand=BY_HAND)
    def delete_tree(self, pick: int, by_hand: bool) -> None:
        if place := self._pick("directory", pick, by_hand):
            shutil.rmtree(place)
            self._count("delete tree")

    @rule(path=PATHS, mode=DIRECTORY_MODES, by_hand=BY_HAND)
    def make_directories(self, path: str, mode: int, by_hand: bool) -> None:
        place = self._cleared(path, by_hand)
        os.mkdir(place)
        os.chmod(place, mode)
        self._count("make directories")

    @rule(path=PATHS, to=TARGETS, by_hand=BY_HAND)
    def link(self, path: str, to: str, by_hand: bool) -> None:
        """Also in place of another link, in one step."""
        place = self._cleared(path, by_hand, keep=True)
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        os.symlink(os.fsencode(to), beside(place))
        os.rename(beside(place), place)
        self._count("link")

    @rule(pick=PICKS, path=PATHS)
    def link_hard(self, pick: int, path: str) -> None:
        if source := self._pick("file", pick, False):
            place = self._cleared(path, False, keep=True)
            if os.path.isfile(source) and source != place:
                remove(place)
                os.link(source, place)
                self._count("link hard")

    @rule(path=PATHS, by_hand=BY_HAND)
    def make_pipe(self, path: str, by_hand: bool) -> None:
        os.mkfifo(self._cleared(path, by_hand))
        self._count("make pipe")

    # What SBS does.

    @rule(how=st.sampled_from(["hinted", "full", "session"]))
    def update(self, how: str) -> None:
        if how == "session":
            self._pair.session = None
        self._update(EVERYTHING if how == "full" else self._hints())

    @rule(phase=st.sampled_from(["stage", "apply"]), step=st.integers(1, 12))
    def crash(self, phase: str, step: int) -> None:
        """The secondary crashes in the midst of an update, and comes back."""
        self._stop(phase, step, CrashedError)

    @rule(path=PATHS, step=st.integers(1, 12))
    def cut(self, path: str, step: int) -> None:
        """The connection is lost while a large file is sent, and comes back."""
        self.write_large(path, 3 * BLOCK_BYTES, step)
        self._stop("stage", step, CutError)
        self._update(self._hints())

    @rule()
    def swap(self) -> None:
        """The secondary takes over, without what has not been replicated yet."""
        self._pair.swap()
        made["roles swapped"] += 1

    @rule(filters=FILTERS, strict=st.booleans(), times=st.booleans(), extra=st.booleans())
    def configure_anew(
        self, filters: tuple[str, ...], strict: bool, times: bool, extra: bool
    ) -> None:
        self._filters_changed = True
        self.configure(filters, strict, times, extra)
        self._pair.session = None

    # The comparison.

    def _update(self, changes: Changes, stop: Stop = lambda _: proceed) -> None:
        pair, spec = self._pair, self._spec
        leader, before = walk(pair.leader.folder), walk(pair.follower.folder)
        begins = pair.session is None
        full = begins or changes.everything
        self._stale = self._stale and not begins
        self._watch()
        there = attrs.evolve(spec, path=pair.leader.folder)
        done = pair.update(there, changes, accept=self._filters_changed, stop=stop)
        self._note(done)
        after = walk(pair.follower.folder)
        if done.number:
            follower, crashed = pair.follower, done.crashed
            self._losses.check(follower.folder, before, after, follower.history, recovered=crashed)
            self._losses.agree(leader, after)
        else:
            found = differences(before, after, {}, times=True, extra=True)
            assert found == {}, f"nothing was committed, and {found}"
        if (done.crashed or done.cut) and not done.number:
            return
        wanted, stuck = after_update(leader, before, spec.filters, strict=spec.strict_delete)
        if not self._stale and (full or not self._unseen):
            times, extra = spec.preserve_mtime, spec.owner
            found = differences(wanted, after, leader, times=times, extra=extra)
            assert found == {}, found
            assert done.applied is None or bool(done.applied.problems) is bool(stuck)
        self._unseen = self._unseen and not full

    def _stop(self, phase: str, step: int, error: type[Exception]) -> None:
        left = iter(range(step - 1))

        def check() -> None:
            if next(left, None) is None:
                raise error

        self._update(self._hints(), lambda of: check if of == phase else proceed)

    def _note(self, done: Done) -> None:
        made["updates"] += 1
        made["generations"] += done.number > 0
        made["crashes"] += done.crashed
        made["cuts"] += done.cut
        made["went on after a cut"] += done.went_on
        made["rolled forward after a crash"] += done.crashed and done.number > 0

    def _watch(self) -> Watcher:
        folder = self._pair.leader.folder
        if folder not in self._watchers:
            self._watchers[folder] = Watcher([folder])
        return self._watchers[folder]

    def _hints(self) -> Changes:
        """What a watcher has seen; everything, if it cannot have seen all that changed."""
        seen = self._watch().drain()
        return EVERYTHING if self._unseen else seen

    # Places.

    def _root(self, by_hand: bool) -> bytes:
        node = self._pair.follower if by_hand else self._pair.leader
        return os.fsencode(node.folder)

    def _written(self, by_hand: bool) -> bytes:
        """Somebody is about to change something; returns the root of the folder."""
        self._stale = self._stale or by_hand
        root = self._root(by_hand)
        self._losses.written(os.fsdecode(root))
        return root

    def _cleared(self, path: str, by_hand: bool, *, keep: bool = False) -> bytes:
        """Where something can be put: directories are made, and what is in the way removed.

        Args:
            path: within the folder.
            by_hand: of the secondary.
            keep: leave what stands at the path itself.
        """
        root = self._written(by_hand)
        for directory in above(path):
            place = os.path.join(root, os.fsencode(directory))
            if os.path.islink(place) or not os.path.isdir(place):
                remove(place)
                os.mkdir(place)
        place = os.path.join(root, os.fsencode(path))
        if not keep or (os.path.isdir(place) and not os.path.islink(place)):
            remove(place)
        return place

    def _pick(self, kind: str, pick: int, by_hand: bool) -> bytes:
        """One of the entries of a kind, or a new file; empty if there is none of another kind."""
        found = entries(self._root(by_hand), kind)
        if not found and kind == "file":
            self.write("a", b"one", by_hand)
            found = [os.path.join(self._root(by_hand), b"a")]
        if not found:
            return b""
        place = found[pick % len(found)]
        self._written(by_hand)
        self._unseen = self._unseen or (not by_hand and os.lstat(place).st_nlink > 1)
        return place

    def _count(self, operation: str) -> None:
        made[operation] += 1
        made["operations"] += 1
