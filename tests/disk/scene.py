"""Generation g, generation g+1, the update between them, and what must hold whatever happened.

To have more tried, add to :func:`make_former` and :func:`make_next`: the update is planned from
what stands there, and what is expected is read from there.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import attrs

from sbs.core.epoch import Epoch
from sbs.core.history import History
from sbs.core.manifest import STAGING_NAME, Action, FolderSpec
from sbs.replication.changes import EVERYTHING
from sbs.replication.files.content import BLOCK_BYTES, BLOCKS_ABOVE, ContentHash
from sbs.replication.files.index import Index, stat_key
from sbs.replication.former import undo
from sbs.replication.leading.source import PeerTree, Source
from tests.disk.removing import remove
from tests.disk.standby import Prepared, Standby
from tests.replication.rig import former, is_sound, kept, look, proceed, read, reverted, write

EPOCH: Final = Epoch(1, 0)

FOLDERS: Final = ("data", "more")

LAID: Final = "laid"
"""What the receiver changes in its place."""

BY_HAND: Final = {"edited": b"by hand", "own": b"of the secondary", "closed/own": b"likewise"}
"""What somebody wrote into the secondary's ``data`` after g: goes to quarantine."""

Tree: TypeAlias = dict[bytes, tuple[object, ...]]

Recognizes: TypeAlias = Callable[[str, tuple[int, ...]], bool]


def make_former(root: str) -> None:
    """What stands in both folders at g."""
    some = random.Random(1)
    for name in ("equal", "edited", "deleted", "to-link", "to-directory", "grows", "shrinks"):
        write(f"{root}/data/{name}", f"former {name}" * 9)
    write(f"{root}/data/appended", "a line\n" * 99)
    write(f"{root}/data/filled", "")
    write(f"{root}/data/d/edited", "former")
    write(f"{root}/data/d/deleted", "former d")
    write(f"{root}/data/touched", "the same", mode=0o644)
    write(f"{root}/data/to-file/inner/deep", "former deep")
    write(f"{root}/data/gone/with/all", "former all")
    write(f"{root}/data/closed/f", "former f")
    os.chmod(f"{root}/data/closed", 0o550)
    os.symlink("former", f"{root}/data/link")
    os.symlink("former", f"{root}/data/link-to-file")
    os.symlink("former", f"{root}/data/link-deleted")
    write(f"{root}/data/patched", some.randbytes(BLOCKS_ABOVE + BLOCK_BYTES))
    write(f"{root}/data/replaced", some.randbytes(BLOCKS_ABOVE + 1))
    write(f"{root}/data/laid", some.randbytes(12 * BLOCK_BYTES))
    write(f"{root}/more/laid", some.randbytes(12 * BLOCK_BYTES))
    write(f"{root}/more/patched", some.randbytes(BLOCKS_ABOVE + BLOCK_BYTES + 5))
    write(f"{root}/more/edited", "former more")
    write(f"{root}/more/deleted", "former more deleted")


def make_next(root: str) -> None:
    """Turns it into what stands there at g+1."""
    some = random.Random(2)
    data, more = f"{root}/data", f"{root}/more"
    for name in ("deleted", "to-link", "to-directory", "link", "link-to-file", "link-deleted"):
        os.unlink(f"{data}/{name}")
    os.unlink(f"{more}/deleted")
    os.unlink(f"{data}/d/deleted")
    shutil.rmtree(f"{data}/to-file")
    shutil.rmtree(f"{data}/gone")
    write(f"{data}/edited", "next")
    write(f"{data}/grows", "next" * 9000)
    write(f"{data}/shrinks", "")
    write(f"{data}/appended", "a line\n" * 999)
    write(f"{data}/filled", "next")
    write(f"{data}/d/edited", "next")
    write(f"{data}/to-directory/f", "next")
    write(f"{data}/to-file", "next")
    write(f"{data}/link-to-file", "next")
    write(f"{data}/new/empty/f", "next")
    os.makedirs(f"{data}/new/directory", mode=0o700)
    write(f"{data}/new/large", some.randbytes(BLOCKS_ABOVE + 9))
    with opened(f"{data}/closed"):
        write(f"{data}/closed/g", "next")
    os.chmod(f"{data}/touched", 0o600)
    os.chmod(f"{data}/d", 0o711)
    os.symlink("next", f"{data}/link")
    os.symlink("next", f"{data}/to-link")
    write(f"{data}/replaced", some.randbytes(BLOCKS_ABOVE + 7))
    for folder in (data, more):
        with open(f"{folder}/patched", "r+b") as file:
            file.seek(BLOCK_BYTES)
            file.write(some.randbytes(BLOCK_BYTES))
    for folder in (data, more):
        with open(f"{folder}/laid", "r+b") as file:
            file.seek(5 * BLOCK_BYTES - 7)
            file.write(some.randbytes(9))
    os.truncate(f"{data}/laid", 11 * BLOCK_BYTES + 3)
    with open(f"{more}/laid", "ab") as file:
        file.write(b"and more")
    with open(f"{more}/patched", "ab") as file:
        file.write(b"and more")
    write(f"{more}/edited", "next")
    write(f"{more}/new", "next")


@contextlib.contextmanager
def opened(directory: str) -> Iterator[None]:
    """A directory that its owner may write to, for a moment."""
    mode = stat.S_IMODE(os.stat(directory).st_mode)
    os.chmod(directory, 0o700)
    yield
    os.chmod(directory, mode)


@attrs.frozen
class Outcome:
    """What came of a crash."""

    is_next: bool
    """The folders hold g+1."""
    recovered: bool
    """The recovery had something to apply."""


class Scene:
    """Both generations, and a secondary at g that is copied for each try.

    Args:
        home: an empty directory.
    """

    def __init__(self, home: str) -> None:
        self.home = home
        self.folders = tuple(
            FolderSpec(
                name=name,
                path=f"{home}/source/{name}",
                strict_delete=True,
                preserve_mtime=name == "data",
            )
            for name in FOLDERS
        )
        os.makedirs(f"{home}/source-state")
        self._source_index = Index(f"{home}/source-state/index.db")
        make_former(f"{home}/source")
        self._history = History()
        with self.standby("node") as standby:
            first = self._prepare(standby.connect())
            standby.take(first)
            self._history = standby.history
        with opened(f"{home}/node/data/closed"):
            for path, content in BY_HAND.items():
                write(f"{home}/node/data/{path}", content)
        self.former: dict[str, Tree] = self._trees(f"{home}/node")
        make_next(f"{home}/source")
        self.next: dict[str, Tree] = self._trees(f"{home}/source")
        self.expected = {name: self._replaced(name) for name in FOLDERS}
        with self.standby(self.restore("copy")) as standby:
            self.update = self._prepare(standby.connect())
        assert {operation.action for operation in self._operations} == set(Action)
        self._touched = {each.path for each in self._operations if each.action is Action.TOUCH}

    def close(self) -> None:
        self._source_index.close()

    def standby(self, name: str) -> Standby:
        """The secondary in a directory below ``home``."""
        return Standby(f"{self.home}/{name}", self.folders)

    def restore(self, name: str, source: str = "node") -> str:
        """A copy of a secondary, whose index holds for the copy; returns its name."""
        copy = f"{self.home}/{name}"
        remove(copy)
        shutil.copytree(f"{self.home}/{source}", copy, symlinks=True)
        original = f"{self.home}/{source}"
        index = f"{copy}/state/index.db"
        adopt(index, copy, lambda path, key: stat_of(f"{original}/{path}") == key)
        return name

    def recover(self, name: str, *, told: bool, streams: bool = False) -> Outcome:
        """Start after a crash, and look at what stands there.

        Args:
            name: of the directory.
            told: the primary knows that g+1 is held here.
            streams: the journal may not know where some were begun; the next session removes them.
        """
        base = f"{self.home}/{name}"
        with self.standby(name) as standby:
            assert standby.target.damage == ""
            record = standby.recover()
            assert standby.target.damage == ""
            trees = self._trees(base)
            if streams:
                trees = {folder: _without_staging(tree) for folder, tree in trees.items()}
            assert trees in (self.former, self.next), self._mixture(trees)
            is_next = trees == self.next
            assert is_next or not told, "g+1 was acknowledged, and is not here"
            assert is_next or record is None, "what was committed was not applied"
            assert (standby.history.number == 2) is is_next, "the state tells of another generation"
            check_index(base, lambda path, key: stat_of(f"{base}/{path}") == key)
        assert os.listdir(f"{base}/state/journal") == []
        assert not [each for each in os.listdir(f"{base}/state") if "damaged" in each]
        self._check_versions(base)
        return Outcome(is_next, record is not None)

    def finish(self, name: str, *, rows: bool = True) -> None:
        """The next session brings g+1 from whatever stands there.

        Args:
            name: of the directory.
            rows: the index lost none. Files that it does not know are sent once more.
        """
        base = f"{self.home}/{name}"
        with self.standby(name) as standby:
            number = standby.history.number
            update = self._prepare(standby.connect())
            again = {operation.path for operation in self._operations}
            # A file that is touched twice has a stat that no row knows.
            assert number == 1 or not rows or again <= self._touched, f"sent again: {again}"
            if number == 1 or not rows:
                standby.take(update)
            assert self._trees(base) == self.next
            check_index(base, lambda path, key: stat_of(f"{base}/{path}") == key)
        for folder in FOLDERS:
            versions = former(f"{base}/{folder}")
            for path, content in self.expected[folder].items():
                assert versions.pop(path)[:1] == content
            assert versions == {} or not rows
        assert sorted(kept(f"{base}/data").values()) == sorted(BY_HAND.values())
        assert sorted(os.listdir(f"{base}/data/{STAGING_NAME}")) == ["quarantine", "versions"]
        assert os.listdir(f"{base}/more/{STAGING_NAME}") == ["versions"]

    def _prepare(self, peer: PeerTree) -> Prepared:
        """Read what the primary would send to whoever holds this."""
        history = peer.history
        source = Source(self.folders, self._source_index, "off")
        update = source.prepare(peer, EVERYTHING, proceed)
        contents = tuple(update.messages(proceed))
        assert update.problems == ()
        self._operations = update.operations
        return Prepared(
            folders=self.folders,
            history=history,
            contents=contents,
            commit=update.seal(EPOCH, history, ("printer",)),
        )

    def _trees(self, base: str) -> dict[str, Tree]:
        return {
            spec.name: look(f"{base}/{spec.name}", times=spec.preserve_mtime)
            for spec in self.folders
        }

    def _mixture(self, trees: dict[str, Tree]) -> str:
        """Where a mixture of two generations differs from both, or from g."""
        lines: list[str] = []
        for folder, tree in trees.items():
            former, following = self.former[folder], self.next[folder]
            for path in sorted({*tree, *former, *following}):
                here, before, after = (each.get(path) for each in (tree, former, following))
                if here != before or here != after:
                    which = "next" if here == after else "former" if here == before else here
                    lines.append(f"{folder}/{os.fsdecode(path)}: {str(which)[:100]}")
        return "a mixture of two generations: " + ", ".join(lines)

    def _replaced(self, folder: str) -> dict[str, list[bytes]]:
        """What g+1 overwrites or deletes: contents of files and targets of links, by path."""
        return {
            os.fsdecode(path): [_content(entry)]
            for path, entry in self.former[folder].items()
            if entry[0] != "directory"
            and _content(entry) != _content(self.next[folder].get(path, ("directory",)))
        }

    def _check_versions(self, base: str) -> None:
        """Each replaced content is in its place or kept, and nothing else is.

        What only this node had is, besides, in its place or put aside.
        """
        for folder in FOLDERS:
            root = f"{base}/{folder}"
            aside = set(kept(root).values())
            assert aside <= set(BY_HAND.values()), "what both nodes have was put aside"
            standing = {os.fsdecode(path): _content(each) for path, each in look(root).items()}
            versions = list(_kept_versions(root)) + self._kept_blocks(root, folder)
            for path, (content,) in self.expected[folder].items():
                assert standing.get(path) == content or content in versions, f"{path} is lost"
                by_hand = folder == "data" and path in BY_HAND
                assert standing.get(path) == content or content in aside or not by_hand
            wrong = [each for each in versions if [each] not in self.expected[folder].values()]
            assert wrong == [], "what replaced a version was kept as if it were one"

    def _kept_blocks(self, root: str, folder: str) -> list[bytes]:
        """The versions of which only blocks are kept, put together with what g+1 made of them."""
        successor = self.next[folder][LAID.encode()]
        return [
            reverted(_content(successor), os.path.join(directory, name))
            for directory, _, names in os.walk(f"{root}/{STAGING_NAME}/versions")
            for name in names
            if name.endswith(undo.SUFFIX) and is_sound(os.path.join(directory, name))
        ]


def _without_staging(tree: Tree) -> Tree:
    staging = STAGING_NAME.encode()
    return {path: each for path, each in tree.items() if path.split(b"/")[0] != staging}


def _content(entry: tuple[object, ...]) -> bytes:
    """Content of a file, or target of a link, in what :func:`look` found."""
    match entry:
        case ("file", _, bytes() as content, *_):
            return content
        case ("link", bytes() as target):
            return target
        case _:
            return b"a directory"


def _kept_versions(root: str) -> Iterator[bytes]:
    for directory, _, names in os.walk(f"{root}/{STAGING_NAME}/versions"):
        for name in names:
            path = os.path.join(directory, name)
            if name.isdecimal():
                yield os.fsencode(os.readlink(path)) if os.path.islink(path) else read(path)


def check_index(base: str, recognizes: Recognizes) -> None:
    """Whatever the index says of a file that it would recognize is true.

    Args:
        base: directory of the secondary.
        recognizes: whether a row, of this path and stat, would be taken for that of the file.
    """
    with contextlib.closing(sqlite3.connect(f"{base}/state/index.db")) as database:
        for path, key, digest in rows(database):
            if recognizes(path, key):
                whole = ContentHash()
                whole.update(read(f"{base}/{path}"))
                assert whole.digest() == digest, f"the index does not tell the truth about {path}"
                query = "SELECT blocks FROM blocks WHERE digest = ?"
                for (blocks,) in database.execute(query, (digest,)):
                    assert bytes(blocks) == whole.blocks, f"nor about the blocks of {path}"


def adopt(index: str, copy: str, recognizes: Recognizes) -> None:
    """Make an index that came along with a copy of its files recognize these.

    Args:
        index: of the copy.
        copy: directory of the copies.
        recognizes: whether a row, of this path and stat, is of what the file was when copied. It
            then counts as read long after the file's last change.
    """
    read_at_ns = time.time_ns() + 10**9
    with contextlib.closing(sqlite3.connect(index)) as database, database:
        for path, key, _ in list(rows(database)):
            status = stat_of(f"{copy}/{path}")
            if status is not None and recognizes(path, key):
                folder, _, rest = path.partition("/")
                directory, _, name = rest.rpartition("/")
                database.execute(
                    "UPDATE digests SET size = ?, mtime_ns = ?, ctime_ns = ?, inode = ?, mode = ?,"
                    " read_at_ns = ? WHERE folder = ? AND directory = ? AND name = ?",
                    (*status, read_at_ns, folder, directory.encode(), name.encode()),
                )


def rows(database: sqlite3.Connection) -> Iterator[tuple[str, tuple[int, ...], bytes]]:
    """Path from the secondary's directory on, stat and digest of each row."""
    for folder, directory, name, digest, *key in database.execute(
        "SELECT folder, directory, name, digest, size, mtime_ns, ctime_ns, inode, mode FROM digests"
    ):
        path = directory + b"/" + name if directory else name
        yield f"{folder}/{os.fsdecode(path)}", tuple(key), digest


def stat_of(path: str) -> tuple[int, ...] | None:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat_key(status) if stat.S_ISREG(status.st_mode) else None


@contextlib.contextmanager
def scene(home: str) -> Iterator[Scene]:
    """A scene that gives its files back."""
    made = Scene(home)
    try:
        yield made
    finally:
        made.close()
