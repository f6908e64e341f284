"""How far long work is, in words and as a bar."""

from __future__ import annotations

import os
import pty
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sbs.cli import main, progress
from sbs.cli.progress import amount, words
from sbs.errors import NotRunningError, RefusedError
from sbs.runtime.operating import client

NOTHING: dict[str, Any] = {
    "phase": "sending",
    "files": 0,
    "files_total": None,
    "bytes": 0,
    "bytes_total": None,
    "bytes_s": None,
    "remaining_s": None,
}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, ""),
        ({"files": 7}, "7 files"),
        ({"files": 7, "files_total": 20, "bytes_total": 0}, "7 of 20 files"),
        ({"files_total": 20, "bytes_total": 5000}, "0 of 20 files, 0 bytes of 4.9 KiB"),
        ({"files": 1, "bytes": 10, "bytes_s": 5.0}, "1 file, 10 bytes, 5 bytes/s"),
        ({"remaining_s": 99.4}, "99 s left"),
        ({"remaining_s": 150.0}, "2 min left"),
        ({"remaining_s": 3 * 3600 + 120.0}, "3 h 2 min left"),
    ],
)
def test_what_is_known_is_said(found: dict[str, Any], said: str) -> None:
    assert words(NOTHING | found) == said


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (3.5 * 1024**3, "3.5 GiB"),
        (2**60, "1048576.0 TiB"),
    ],
)
def test_sizes_have_the_unit_that_people_would_choose(size_bytes: float, said: str) -> None:
    assert amount(size_bytes) == said


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text('[node]\npeer = "127.0.0.1:4446"\nstate_dir = "s"\n')
    return path


class Working:
    """A node whose update goes on at each look, and ends when all was seen."""

    def __init__(self, course: list[dict[str, Any] | None]) -> None:
        self.course = course
        self.seen = threading.Event()
        self.looks = 0

    def ask(self, state_dir: str, command: str, **arguments: Any) -> Any:
        if command != "status":
            assert self.seen.wait(20) or not self.course
            return None
        self.looks += 1
        if not self.course:
            self.seen.set()
            return {"progress": None}
        return {"progress": self.course.pop(0)}


COURSE: list[dict[str, Any] | None] = [
    None,
    NOTHING | {"phase": "scanning"},
    NOTHING | {"bytes": 50, "bytes_total": 100, "files_total": 9, "bytes_s": 5.0},
    NOTHING | {"bytes": 75, "bytes_total": 100, "files_total": 9, "remaining_s": 5.0},
    NOTHING | {"phase": "confirming"},
]


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The other end of a terminal that stderr is, for as long as the block takes."""
    ours, theirs = pty.openpty()
    with monkeypatch.context() as patch, open(theirs, "w", encoding="utf-8") as stderr:
        patch.setenv("TERM", "vt100")
        patch.setenv("COLUMNS", "120")
        patch.setattr(progress, "INTERVAL_S", 0.01)
        patch.setattr(sys, "stderr", stderr)
        yield ours
    os.close(ours)


def test_a_terminal_shows_each_phase(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B61."""
    node = Working(list(COURSE))
    monkeypatch.setattr(client, "ask", node.ask)
    with terminal(monkeypatch) as screen:
        with progress.shown(str(config)):
            assert client.ask("s", "sync") is None
        text = os.read(screen, 65536).decode()
    assert "scanning" in text
    assert "sending  [##########----------]   50%  0 of 9 files, 50 bytes of 100 bytes" in text
    assert "75%  0 of 9 files, 75 bytes of 100 bytes, 5 s left" in text
    assert "confirming" in text


@pytest.mark.parametrize("error", [NotRunningError("gone"), RefusedError("no")])
def test_a_failed_look_is_left_to_the_command_itself(
    config: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    looked = threading.Event()

    def ask(state_dir: str, command: str, **arguments: Any) -> Any:
        if command == "status":
            looked.set()
        assert looked.wait(20)
        raise error

    monkeypatch.setattr(client, "ask", ask)
    with terminal(monkeypatch), pytest.raises(type(error)), progress.shown(str(config)):
        client.ask("s", "sync")


@pytest.mark.parametrize("command", [["sync"], ["verify"], ["verify", "--json"]])
def test_nothing_is_shown_where_no_terminal_is(
    config: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    asked: list[str] = []

    def ask(state_dir: str, command: str, **arguments: Any) -> Any:
        asked.append(command)
        if command == "verify":
            counts = ("files", "bytes", "skipped", "repaired", "damaged")
            return {**dict.fromkeys(counts, 0), "paths": []}
        return None

    monkeypatch.setattr(client, "ask", ask)
    result = CliRunner().invoke(main, [*command, "-c", str(config)])
    assert result.exit_code == 0
    assert result.stderr == ""
    assert asked == [command[0]]
