from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.examples.hooks import hook, lines_of, run_hook
from tests.support import wait_until
from tests.system.nodes import Node, Pair, pair_in


def write(database: Path, count: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS jobs (number INTEGER)")
        connection.executemany("INSERT INTO jobs VALUES (?)", [(n,) for n in range(count)])


def rows(database: Path) -> int:
    if not database.exists():
        return 0
    with closing(sqlite3.connect(database)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM jobs").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_copy_is_consistent_while_another_writes(tmp_path: Path) -> None:
    """R25: what is not committed is not in it, and what is, also if it is in the log only."""
    database, copy, restored = tmp_path / "app.db", tmp_path / "copy.db", tmp_path / "b.db"
    write(database, 100)
    argv = hook("sqlite.py", database, copy)
    with closing(sqlite3.connect(database)) as writer:
        writer.execute("INSERT INTO jobs VALUES (100)")
        assert lines_of(run_hook(argv, SBS_HOOK="update")) == [str(copy)]
        writer.rollback()
    assert lines_of(run_hook(hook("sqlite.py", restored, copy), SBS_HOOK="apply")) == []
    assert rows(restored) == 100
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]


def test_same_data_is_the_same_file(tmp_path: Path) -> None:
    """R25: a period without changes replicates nothing."""
    database, copy = tmp_path / "app.db", tmp_path / "copy.db"
    write(database, 10)
    argv = hook("sqlite.py", database, copy)
    assert lines_of(run_hook(argv, SBS_HOOK="update")) == [str(copy)]
    inode = copy.stat().st_ino
    assert lines_of(run_hook(argv, SBS_HOOK="update")) == []
    assert copy.stat().st_ino == inode
    write(database, 1)
    assert lines_of(run_hook(argv, SBS_HOOK="update")) == [str(copy)]


def test_what_goes_wrong_is_said(tmp_path: Path) -> None:
    done = run_hook(hook("sqlite.py", tmp_path / "none.db", tmp_path / "c.db"), SBS_HOOK="update")
    assert done.returncode == 1
    assert "unable to open database file" in done.stderr
    done = run_hook(hook("sqlite.py", tmp_path / "a.db", tmp_path / "c.db"), SBS_HOOK="apply")
    assert lines_of(done)[0].startswith("warning: the primary has no SQLite copy")


def test_database_is_there_after_a_takeover(tmp_path: Path) -> None:
    """R7, R25: through a real pair; what the old database of the secondary held is replaced."""
    with pair_in(tmp_path) as pair:
        alpha, beta = configure(pair)
        write(alpha.directory / "app.db", 500)
        write(beta.directory / "app.db", 3)
        pair.start()
        write(alpha.directory / "app.db", 500)
        done = alpha.sbs("sync")
        assert done.returncode == 0, done.stderr
        alpha.kill()
        beta.wait_service()  # it starts when the apply scripts have ended
        assert rows(beta.directory / "app.db") == 1000
        write(beta.directory / "app.db", 1)
        alpha.start()
        pair.wait_settled(beta, alpha)
        wait_until(lambda: rows(alpha.directory / "app.db") == 1001, "the way back")


def configure(pair: Pair) -> tuple[Node, Node]:
    for node in pair.nodes:
        argv = hook("sqlite.py", node.directory / "app.db", node.folder / "app.db")
        node.configure({"hooks": {"update": [argv], "apply": [argv]}})
    return pair.alpha, pair.beta
