"""Replicates an SQLite database through a consistent copy: an update and apply hook of SBS.

    update = [["python3", "sqlite.py", "/var/lib/app/app.db", "/srv/app/dumps/app.db"]]
    apply = [["python3", "sqlite.py", "/var/lib/app/app.db", "/srv/app/dumps/app.db"]]

The first path is the application's database, outside every replicated folder; the second is the
copy, in one. A database that is written to must not be replicated as a file: what was read at two
moments is none. On the primary the application may write meanwhile; on the secondary it does not
run, and the copy replaces the database in one transaction.
"""

from __future__ import annotations

import filecmp
import os
import sqlite3
import sys
from contextlib import closing
from urllib.parse import quote

BUSY_S = 30.0
"""How long another's lock on the database is waited for."""


def connect(path: str, mode: str) -> sqlite3.Connection:
    """Open a database; ``mode`` is ``ro``, ``rw`` or ``rwc``."""
    return sqlite3.connect(f"file:{quote(path)}?mode={mode}", uri=True, timeout=BUSY_S)


def export(database: str, copy: str) -> None:
    """Copy the database; print the path if the copy is another than before."""
    beside = f"{copy}.tmp"
    if os.path.exists(beside):
        os.remove(beside)  # of a run that was killed
    with closing(connect(database, "ro")) as source, closing(connect(beside, "rwc")) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    if os.path.exists(copy) and filecmp.cmp(beside, copy, shallow=False):
        os.remove(beside)
        return
    os.replace(beside, copy)
    print(os.path.abspath(copy))


def restore(database: str, copy: str) -> None:
    """Put the copy in the place of the database."""
    if not os.path.exists(copy):
        print("warning: the primary has no SQLite copy at", copy)
        return
    with closing(connect(copy, "ro")) as source, closing(connect(database, "rwc")) as target:
        source.backup(target)


def main() -> None:
    """Export or import, as ``SBS_HOOK`` says."""
    database, copy = sys.argv[1:]
    try:
        {"update": export, "apply": restore}[os.environ["SBS_HOOK"]](database, copy)
    except (sqlite3.Error, OSError) as error:
        sys.exit(f"{database}: {error}")


if __name__ == "__main__":
    main()
