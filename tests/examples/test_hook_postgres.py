from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.examples.hooks import hook, lines_of, run_hook
from tests.examples.postgres import Postgres
from tests.support import wait_until
from tests.system.nodes import Node, pair_in

ROWS = 1000

SERVICE = """
import http.server, json, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ask = ["psql", "-XAtq", sys.argv[2], "-c", "SELECT count(*), sum(number) FROM jobs"]
        rows = subprocess.run(ask, capture_output=True, text=True).stdout.strip()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"rows": rows}).encode())
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""The application: it answers with what its database holds."""


@pytest.fixture(scope="module")
def running() -> Iterator[list[Postgres]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Postgres()) for _ in range(2)]


@pytest.fixture
def servers(running: list[Postgres]) -> list[Postgres]:
    """Two servers, each with an empty database."""
    for server in running:
        server.create()
    return running


def configure(node: Node, server: Postgres) -> None:
    argv = hook("postgres.py", node.folder / "app.sql", server.url)
    command = [sys.executable, "-c", SERVICE, str(node.service), server.url]
    node.configure(
        {
            "hooks": {"update": [argv], "apply": [argv], "on_update_failure": "hold"},
            "services": {"unit": [{"name": "web", "command": command}]},
        }
    )


def test_the_secondary_serves_what_was_written(servers: list[Postgres], tmp_path: Path) -> None:
    """R7, R25: a thousand rows, then server and SBS of the primary are killed."""
    with pair_in(tmp_path) as pair:
        alpha, beta = pair.alpha, pair.beta
        for node, server in zip(pair.nodes, servers, strict=True):
            configure(node, server)
        servers[0].query("CREATE TABLE jobs (number integer PRIMARY KEY)")
        pair.start()
        servers[0].query(f"INSERT INTO jobs SELECT generate_series(1, {ROWS})")
        done = alpha.sbs("sync")
        assert done.returncode == 0, done.stderr
        alpha.kill()
        servers[0].kill()
        beta.wait_role("primary")
        assert beta.wait_service()["rows"] == f"{ROWS}|{ROWS * (ROWS + 1) // 2}"
        servers[1].query("INSERT INTO jobs VALUES (0)")
        servers[0].start()
        alpha.start()
        pair.wait_settled(beta, alpha)
        count = "SELECT count(*) FROM jobs"
        wait_until(lambda: servers[0].query(count) == str(ROWS + 1), "the way back")


def test_dump_is_loaded_once_a_primacy(servers: list[Postgres], tmp_path: Path) -> None:
    """R25: what did not change is neither sent nor loaded; a node that led loads it again."""
    dump = tmp_path / "app.sql"
    argvs = [hook("postgres.py", dump, server.url) for server in servers]
    servers[0].query("CREATE TABLE jobs (number integer); INSERT INTO jobs VALUES (1)")
    assert lines_of(run_hook(argvs[0], SBS_HOOK="update")) == [str(dump)]
    assert lines_of(run_hook(argvs[0], SBS_HOOK="update")) == []
    assert dump.stat().st_mode & 0o077 == 0, "a dump is nobody else's business"
    for epoch, expected in (("2", "1"), ("2", "2"), ("4", "1")):
        assert lines_of(run_hook(argvs[1], SBS_HOOK="apply", SBS_EPOCH=epoch)) == []
        assert servers[1].query("SELECT count(*) FROM jobs") == expected
        servers[1].query("INSERT INTO jobs VALUES (2)")
    assert lines_of(run_hook(argvs[1], SBS_HOOK="update")) == [str(dump)]
    assert "sbs_imported" not in dump.read_text()


def test_load_is_whole_or_nothing(servers: list[Postgres], tmp_path: Path) -> None:
    """R25: a dump that breaks off leaves the database as it was."""
    dump = tmp_path / "app.sql"
    servers[1].query("CREATE TABLE jobs (number integer); INSERT INTO jobs VALUES (7)")
    dump.write_text("DROP TABLE jobs;\nCREATE TABLE other (x int);\nNONSENSE;\n")
    done = run_hook(hook("postgres.py", dump, servers[1].url), SBS_HOOK="apply", SBS_EPOCH="2")
    assert done.returncode == 1
    assert "syntax error" in done.stderr
    assert servers[1].query("SELECT number FROM jobs") == "7"
