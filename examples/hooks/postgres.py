"""Replicates a PostgreSQL database through ``pg_dump``: an update and apply hook of SBS.

    update = [["python3", "postgres.py", "/srv/app/dumps/app.sql", "postgresql:///app"]]
    apply = [["python3", "postgres.py", "/srv/app/dumps/app.sql", "postgresql:///app"]]

The file lies in a replicated folder; the connection string names a server of the node itself. Both
servers run all the time, started by the machine; the application, which writes, is a service of
SBS. What is written after the last dump is lost with the primary: for less than ``sync.period_s``
of loss use PostgreSQL's own replication. The account of SBS must be able to connect without a
password prompt (``peer`` authentication, or ``~/.pgpass``).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator

IMPORTED = "public.sbs_imported"
"""A table of the secondary: which dump of which primacy its database holds."""


def content(path: str) -> Iterator[bytes]:
    """The lines of a dump, but for the random keys that differ from one to the next."""
    with open(path, "rb") as file:
        for line in file:
            if not line.startswith((b"\\restrict ", b"\\unrestrict ")):
                yield line


def digest(path: str) -> str:
    """Names the content of a dump."""
    found = hashlib.sha256()
    for line in content(path):
        found.update(line)
    return found.hexdigest()


def export(path: str, database: str) -> None:
    """Dump the database; print the path if the dump is another than before."""
    beside = f"{path}.tmp"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        dump = ["pg_dump", "--clean", "--if-exists", "--no-owner", f"--exclude-table={IMPORTED}"]
        subprocess.run([*dump, f"--dbname={database}"], stdout=file, check=True)
    if os.path.exists(path) and digest(path) == digest(beside):
        os.remove(beside)
        return
    os.replace(beside, path)
    print(os.path.abspath(path))


def restore(path: str, database: str) -> None:
    """Load the dump in one transaction, unless the database holds it already.

    The same dump of another primacy is loaded again: this node may have led in between.
    """
    if not os.path.exists(path):
        print("warning: the primary has no PostgreSQL dump at", path)
        return
    mark = f"{digest(path)} {os.environ['SBS_EPOCH']}"
    psql = ["psql", "--no-psqlrc", "--quiet", f"--dbname={database}"]
    query = f"SELECT mark FROM {IMPORTED}"  # noqa: S608 - a constant
    held = subprocess.run(
        [*psql, "--tuples-only", "--no-align", f"--command={query}"],
        capture_output=True,
        text=True,
        check=False,  # there is no such table at first
    )
    if held.stdout.strip() == mark:
        return
    statements = (
        f"CREATE TABLE IF NOT EXISTS {IMPORTED} (mark text)",
        f"TRUNCATE {IMPORTED}",
        f"INSERT INTO {IMPORTED} VALUES ('{mark}')",  # noqa: S608 - a digest and a number
    )
    subprocess.run(
        [
            *psql,
            "--single-transaction",
            "--set=ON_ERROR_STOP=1",
            f"--file={path}",
            *(f"--command={statement}" for statement in statements),
        ],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"},
        check=True,
    )


def main() -> None:
    """Export or import, as ``SBS_HOOK`` says."""
    path, database = sys.argv[1:]
    try:
        {"update": export, "apply": restore}[os.environ["SBS_HOOK"]](path, database)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
