"""The digests of a node's own files, by what ``stat`` says of them: a cache, kept in SQLite.

A row holds for as long as size, times, inode and mode of its file are unchanged, and only if
the file was not young when it was read: the kernel stamps files with a clock that moves in
ticks of 1 to 10 ms, so that two changes within one tick look like one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Generator, Iterable
from typing import Final, TypeAlias

import attrs

from sbs.core.printable import quoted
from sbs.errors import StateError
from sbs.replication.files.content import BLOCKS_ABOVE

SETTLING_NS: Final = 50_000_000
"""A file this young when it was read is not trusted: five of the longest kernel ticks."""

UNWRITTEN_NS: Final = 600_000_000_000
"""Before a power cut, contents younger than this may not have reached the disk: Linux writes them
out after 35 s by default, and later where the disk cannot keep up."""

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"

_VERSION: Final = 3
"""Of the schema. One of an earlier version begins anew: large files had other digests."""

_SCHEMA: Final = """
DROP TABLE IF EXISTS digests;
DROP TABLE IF EXISTS common;
DROP TABLE IF EXISTS mark;
DROP TABLE IF EXISTS blocks;
DROP TABLE IF EXISTS basis;
CREATE TABLE digests (
    folder TEXT NOT NULL,
    directory BLOB NOT NULL,
    name BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    read_at_ns INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (folder, directory, name)
) WITHOUT ROWID;
CREATE TABLE common (
    folder TEXT NOT NULL,
    directory BLOB NOT NULL,
    name BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (folder, directory, name)
) WITHOUT ROWID;
CREATE TABLE blocks (
    digest BLOB NOT NULL PRIMARY KEY,
    blocks BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE mark (
    counter INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE basis (
    folder TEXT NOT NULL PRIMARY KEY,
    root TEXT NOT NULL,
    filters TEXT NOT NULL
) WITHOUT ROWID;
"""

_NONSENSE: Final = (TypeError, ValueError, OverflowError, RecursionError)
"""What is raised in a transaction where a column holds what SBS never writes: SQLite takes any."""

_SELECT: Final = (
    "SELECT name, digest, read_at_ns, size, mtime_ns, ctime_ns, inode, mode FROM digests"
)

Stat: TypeAlias = tuple[int, ...]
"""Size, mtime_ns, ctime_ns, inode and mode: what must be equal for a row to hold."""


def stat_key(status: os.stat_result) -> Stat:
    """What of a file's status a row is compared with."""
    return (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        # SQLite's integers are signed; inodes of some file systems use all 64 bits.
        status.st_ino if status.st_ino < 2**63 else status.st_ino - 2**64,
        status.st_mode,
    )


@attrs.frozen
class Row:
    """What is known of one file.

    Args:
        stat: of the file when it was read or written.
        digest: BLAKE3 of its content then.
        read_at_ns: when, nanoseconds since 1970, before the first byte was read.
    """

    stat: Stat
    digest: bytes
    read_at_ns: int = attrs.field(factory=time.time_ns)

    @classmethod
    def certain(cls, stat: Stat, digest: bytes) -> Row:
        """Of a file that nobody could change until the clock had left the tick of its stamps."""
        return cls(stat, digest, stat[2] + SETTLING_NS + 1)

    @property
    def content(self) -> tuple[int, bytes]:
        """What the database keeps beside the stat."""
        return self.read_at_ns, self.digest

    @property
    def settled(self) -> bool:
        """Whether a change after it was read must show in its time stamps.

        Only the time of the status change decides: every change moves it, and nobody can set it,
        whereas the time of modification may lie in the future and stay there.
        """
        return self.stat[2] < self.read_at_ns - SETTLING_NS


class Index:
    """The cache of one node; safe to lose: then everything is read again, and more is kept (B4).

    Args:
        path: of the database. One that is damaged is renamed to ``*.damaged-<n>``.
        boot: what tells this start of the machine from others; left out: the kernel is asked.

    Raises:
        StateError: it can be neither opened nor made.
    """

    def __init__(self, path: str, boot: str | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        """Threads share the connection: a commit of one must not end what another has begun."""
        self._boot = _boot_id() if boot is None else boot
        self._blocks_bytes: int | None = None
        """Stored since unused ones were dropped; ``None``: nobody knows."""
        self._stuck = False
        """The database could be opened for reading alone, and stays so until it is opened anew."""
        try:
            try:
                self._database = _open(path, self._boot)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # of a name in a schema
                if not _is_damage(error):
                    raise
                _set_aside(path)
                self._database = _open(path, self._boot)
        except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
            raise StateError(
                f"index {path!r} cannot be opened: {error}; SBS needs to read and write it"
            ) from error

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def rows(self, folder: str, directory: str) -> dict[str, Row]:
        """What is known of the files of one directory, by name."""
        with self.transaction() as database:
            found = database.execute(
                f"{_SELECT} WHERE folder = ? AND directory = ?", (folder, os.fsencode(directory))
            )
            return {
                os.fsdecode(name): Row(tuple(key), digest, at) for name, digest, at, *key in found
            }

    def row(self, folder: str, directory: str, name: str) -> Row | None:
        """What is known of one file."""
        with self.transaction() as database:
            found = database.execute(
                f"{_SELECT} WHERE folder = ? AND directory = ? AND name = ?",
                (folder, os.fsencode(directory), os.fsencode(name)),
            ).fetchone()
            if found is None:
                return None
            _, digest, at, *key = found
            return Row(tuple(key), digest, at)

    def store(self, folder: str, rows: Iterable[tuple[str, str, Row]]) -> None:
        """Keep rows, each with its directory and name, in one transaction."""
        with self.transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (folder, os.fsencode(place), os.fsencode(name), *row.stat, *row.content)
                    for place, name, row in rows
                ),
            )

    def drop(self, folder: str, names: Iterable[tuple[str, str]]) -> None:
        """Forget files, each given by directory and name."""
        with self.transaction() as database:
            database.executemany(
                "DELETE FROM digests WHERE folder = ? AND directory = ? AND name = ?",
                ((folder, os.fsencode(directory), os.fsencode(name)) for directory, name in names),
            )

    def keep_directories(self, folder: str, directories: set[str]) -> None:
        """Forget the files of all other directories of the folder."""
        with self.transaction() as database:
            known = database.execute(
                "SELECT DISTINCT directory FROM digests WHERE folder = ?", (folder,)
            ).fetchall()
            database.executemany(
                "DELETE FROM digests WHERE folder = ? AND directory = ?",
                ((folder, raw) for (raw,) in known if os.fsdecode(raw) not in directories),
            )

    def blocks(self, digest: bytes) -> bytes:
        """The digests of the blocks of a large content; empty if they are not known (B24)."""
        with self.transaction() as database:
            found = database.execute(
                "SELECT blocks FROM blocks WHERE digest = ?", (digest,)
            ).fetchone()
        return b"" if found is None else bytes(found[0])

    def store_blocks(self, digest: bytes, blocks: bytes) -> None:
        """Keep the digests of the blocks of a large content."""
        with self.transaction() as database:
            database.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?)", (digest, blocks))
        if self._blocks_bytes is not None:
            self._blocks_bytes += len(blocks)

    def drop_unused_blocks(self, above_bytes: int = -1) -> None:
        """Forget the blocks of contents that no file has here, and that the nodes do not share.

        All rows are looked at: 6 ms for 100,000 files, of 360 ms for a full scan in which they are
        all as they were.

        Args:
            above_bytes: nothing is done unless more was stored since the last time, or nobody knows
                how much; left out: it is done.
        """
        if self._blocks_bytes is not None and self._blocks_bytes <= above_bytes:
            return
        with self.transaction() as database:
            if database.execute("SELECT 1 FROM blocks LIMIT 1").fetchone() is not None:
                database.execute(
                    "DELETE FROM blocks WHERE digest NOT IN"
                    " (SELECT digest FROM digests WHERE size > ?)"
                    " AND digest NOT IN (SELECT digest FROM common)",
                    (BLOCKS_ABOVE,),
                )
        self._blocks_bytes = 0

    def sync(self) -> None:
        """Make durable what was stored and dropped so far.

        Raises:
            StateError: it cannot be.
        """
        try:
            for path in (self._path, f"{self._path}-wal"):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
        except OSError as error:
            raise StateError(
                f"index {self._path!r}: {error.strerror}; SBS needs to read and write it"
            ) from error

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """The database for one transaction, which ends with the block.

        Raises:
            StateError: it cannot be used; nothing of the transaction counts.
        """
        try:
            with self._lock:
                if self._stuck:
                    self._database.close()
                    self._database = _open(self._path, self._boot)
                    self._stuck = False
                with self._database:
                    yield self._database
        except (sqlite3.Error, *_NONSENSE) as error:
            self._stuck = self._stuck or _code(error) == sqlite3.SQLITE_READONLY
            raise StateError(
                f"index {self._path!r}: {quoted(str(error))}; it may be removed while SBS is"
                " stopped: then all files are read again"
            ) from error


def _open(path: str, boot: str) -> sqlite3.Connection:
    with contextlib.suppress(OSError):  # which SQLite tells better
        # For its owner alone: names are in it. SQLite gives the files beside it the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL").fetchone()
        # A row lost in a power cut costs one more reading; a damaged file must not come of it.
        database.execute("PRAGMA synchronous = NORMAL")
        if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version < _VERSION:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise sqlite3.DatabaseError(f"version {version}, expected {_VERSION}")
        _doubt(database, boot)
    except (sqlite3.Error, UnicodeDecodeError):
        database.close()
        raise
    return database


def _boot_id() -> str:
    """Another one after each start of the machine; empty where the system does not say."""
    try:
        with open(_BOOT_ID, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _doubt(database: sqlite3.Connection, boot: str) -> None:
    """After a start of the machine, have files read again that were young when it ended.

    Their rows may know contents that a power cut took back, while size and times stayed. When it
    ended is not known, but that it lived when the last file was read.
    """
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS boot (id TEXT NOT NULL)")
        known = [each for (each,) in database.execute("SELECT id FROM boot")]
        if boot and known == [boot]:
            return
        database.execute(
            "UPDATE digests SET read_at_ns = 0"
            " WHERE ctime_ns > (SELECT max(read_at_ns) FROM digests) - ?",
            (UNWRITTEN_NS,),
        )
        database.execute("DELETE FROM boot")
        database.execute("INSERT INTO boot VALUES (?)", (boot,))


def _code(error: Exception) -> int | None:
    """SQLite's number of an error, without the details; ``None`` for one of ours."""
    extended: int | None = getattr(error, "sqlite_errorcode", None)
    return None if extended is None else extended & 0xFF


def _is_damage(error: Exception) -> bool:
    """Whether the database is not what was written; not, say, that it cannot be read just now."""
    return _code(error) in (None, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _set_aside(path: str) -> None:
    number = 1
    while os.path.lexists(f"{path}.damaged-{number}"):
        number += 1
    os.rename(path, f"{path}.damaged-{number}")
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + suffix)
