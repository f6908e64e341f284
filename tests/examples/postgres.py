"""A real PostgreSQL server on loopback, run as the user ``postgres`` where the tests are root."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support import free_ports, require, wait_until


class Postgres:
    """One server; a context manager."""

    def __init__(self) -> None:
        require("psql", "pg_dump", "setpriv")
        programs = shutil.which("initdb") or next(
            iter(glob.glob("/usr/lib/postgresql/*/bin/initdb")), ""
        )
        if not programs:
            require("initdb")
        self._programs = Path(os.path.realpath(programs)).parent
        # Not below pytest's directory, which only its owner may enter.
        self._directory = Path(tempfile.mkdtemp(prefix="sbs-postgres-"))
        (self.port,) = free_ports(1)
        self.process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """For ``psql`` and ``pg_dump``."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/app"

    def __enter__(self) -> Postgres:
        if os.geteuid() == 0:
            shutil.chown(self._directory, "postgres", "postgres")
        options = ("--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8")
        subprocess.run(
            self._command("initdb", *options), cwd=self._directory, check=True, capture_output=True
        )
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start it; return when it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with open(self._directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", *words), cwd=self._directory, stdout=log, stderr=log
            )
        wait_until(self._answers, "PostgreSQL answers")

    def create(self) -> None:
        """Make the database ``app`` anew."""
        self.query("DROP DATABASE IF EXISTS app WITH (FORCE)", database="postgres")
        self.query("CREATE DATABASE app", database="postgres")

    def kill(self) -> None:
        """``kill -9`` the server; its processes end when they notice."""
        self.process.kill()
        self.process.wait()

    def query(self, statement: str, *, database: str = "app") -> str:
        """Run a statement; return what it yields."""
        done = subprocess.run(
            self._psql(statement, database), check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _answers(self) -> bool:
        assert self.process.poll() is None, (self._directory / "log").read_text()
        asked = self._psql("SELECT 1", "postgres")
        return subprocess.run(asked, check=False, capture_output=True).returncode == 0

    def _psql(self, statement: str, database: str) -> list[str]:
        url = self.url.removesuffix("app") + database
        return ["psql", "--no-psqlrc", "-Atq", f"--dbname={url}", f"--command={statement}"]

    def _command(self, program: str, *words: str) -> Sequence[str]:
        command = [str(self._programs / program), "-D", str(self._directory / "data"), *words]
        if os.geteuid() != 0:
            return command
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
