"""What both nodes are known to hold: per file the content that the other node has had, too (B4).

A node whose file differs from this record holds a version that may exist nowhere else. The
record may lag behind, then more is kept than need be; it never runs ahead.

Beside it stands on what basis they hold it: in which directory, by which filters (B22).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sbs.core.epoch import Epoch
from sbs.core.filters import basename, parent_of
from sbs.core.guard import Basis
from sbs.core.history import Generation, History
from sbs.log import INFO, Log
from sbs.replication.files.index import Index

_log = Log(__name__)
_FORGOTTEN = _log.event(
    "common-forgotten",
    INFO,
    "the other node does not know generation {generation}: nothing is taken as common",
    "The nodes have different pasts, so each file that differs counts as changed on both "
    "sides; what an update replaces may be put into quarantine. Nothing to do.",
)

_NO_BASES: Final[Mapping[str, Basis]] = MappingProxyType({})

_KEY: Final = "folder = ? AND directory = ? AND name = ?"


class Common:
    """The record of one node, in the database of its index.

    It is of one line of generations: the *mark* is the newest that both nodes have held.

    Args:
        index: whose database it shares.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def digest(self, folder: str, path: str) -> bytes | None:
        """BLAKE3 of the content of a file that both nodes have held last, as far as known.

        Raises:
            StateError: the database cannot be read.
        """
        with self._index.transaction() as database:
            found = database.execute(
                f"SELECT digest FROM common WHERE {_KEY}",  # noqa: S608 - a constant
                _key(folder, path),
            ).fetchone()
        return None if found is None else found[0]

    def reconcile(self, history: History) -> None:
        """Forget everything unless the other node has gone through the mark.

        One that has not (another node in its place, or one restored from an older backup) need
        not have any of it.

        Args:
            history: of the other node.

        Raises:
            StateError: the database cannot be used.
        """
        with self._index.transaction() as database:
            found = database.execute("SELECT counter, slot, number, digest FROM mark").fetchone()
            if found is None:
                return
            counter, slot, number, digest = found
            if history.contains(mark := Generation(Epoch(counter, slot), number, digest)):
                return
            database.execute("DELETE FROM common")
            database.execute("DELETE FROM mark")
        _FORGOTTEN(generation=mark)

    def store(
        self,
        generation: Generation,
        contents: Mapping[tuple[str, str], bytes | None],
        bases: Mapping[str, Basis] = _NO_BASES,
    ) -> None:
        """Both nodes hold a generation.

        Args:
            generation: the new mark.
            contents: what it changed: by folder and path the digest of a file's content, or
                ``None`` where no file is any more.
            bases: of its folders on this node, as far as known, by name.

        Raises:
            StateError: the database cannot be written.
        """
        epoch = generation.epoch
        mark = (epoch.counter, epoch.slot, generation.number, generation.digest)
        with self._index.transaction() as database:
            database.executemany(
                "INSERT OR REPLACE INTO common VALUES (?, ?, ?, ?)",
                ((*_key(*at), digest) for at, digest in contents.items() if digest is not None),
            )
            database.executemany(
                f"DELETE FROM common WHERE {_KEY}",  # noqa: S608 - a constant
                (_key(*at) for at, digest in contents.items() if digest is None),
            )
            database.execute("DELETE FROM mark")
            database.execute("INSERT INTO mark VALUES (?, ?, ?, ?)", mark)
            _store_bases(database, bases)

    def bases(self) -> dict[str, Basis]:
        """On what basis this node's folders were last found to be what the other node holds.

        Raises:
            StateError: the database cannot be read.
        """
        with self._index.transaction() as database:
            found = database.execute("SELECT folder, root, filters FROM basis").fetchall()
            return {name: Basis(root, tuple(json.loads(text))) for name, root, text in found}

    def store_bases(self, bases: Mapping[str, Basis]) -> None:
        """Both nodes hold the same, and nothing had to be sent.

        Args:
            bases: of the folders on this node, by name.

        Raises:
            StateError: the database cannot be written.
        """
        with self._index.transaction() as database:
            _store_bases(database, bases)

    def missing(self, folder: str) -> list[tuple[str, bytes]]:
        """Files by path, with the digest that the index knows where the record has another.

        Raises:
            StateError: the database cannot be read.
        """
        with self._index.transaction() as database:
            found = database.execute(
                "SELECT d.directory, d.name, d.digest FROM digests AS d LEFT JOIN common AS c"
                " ON c.folder = d.folder AND c.directory = d.directory AND c.name = d.name"
                " WHERE d.folder = ? AND c.digest IS NOT d.digest",
                (folder,),
            ).fetchall()
            return [
                (os.fsdecode(directory + b"/" + name if directory else name), digest)
                for directory, name, digest in found
            ]


def _store_bases(database: sqlite3.Connection, bases: Mapping[str, Basis]) -> None:
    database.executemany(
        "INSERT OR REPLACE INTO basis VALUES (?, ?, ?)",
        ((name, basis.root, json.dumps(basis.filters)) for name, basis in bases.items()),
    )


def _key(folder: str, path: str) -> tuple[str, bytes, bytes]:
    return folder, os.fsencode(parent_of(path)), os.fsencode(basename(path))
