"""What ``sbs diff`` and ``sbs sync --accept`` say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sbs.cli import main
from sbs.cli.folders import MAX_PATHS_SHOWN
from sbs.errors import RefusedError
from sbs.runtime.operating import client

HELD: dict[str, Any] = {
    "id": "3f6a90b1c2d4",
    "deletes": 1,
    "reasons": [{"folder": "data", "cause": "emptied", "text": "no file is left"}],
}
FOUND: dict[str, Any] = {
    "added": 1,
    "changed": 1,
    "unsure": 1,
    "deleted": 1,
    "bytes": 99,
    "held": None,
    "paths": [
        {"change": change, "folder": "data", "path": f"{change}\x1b[2J\n\udcff", "bytes": 33}
        for change in ("delete", "change", "add", "unsure")
    ],
}
LISTED = "".join(
    f"{sign} data/{change}\\x1b[2J\\n\\udcff\n"
    for sign, change in (("-", "delete"), ("~", "change"), ("+", "add"), ("?", "unsure"))
)
SUM = "1 to delete, 1 to change, 1 to add, 1 to look at; at most 99 bytes to send\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text('[node]\npeer = "127.0.0.1:4446"\nstate_dir = "s"\n')
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reached the node, which then holds :data:`HELD`; real ones are in ``tests/system``."""
    asked: list[dict[str, Any]] = []

    def ask(state_dir: str, command: str, *, timeout_s: float, **arguments: Any) -> Any:
        asked.append({"command": command, **arguments})
        if command == "sync" and arguments["accept"] != HELD["id"]:
            raise RefusedError("update 3f6a90b1c2d4 is held")

    monkeypatch.setattr(client, "ask", ask)
    return asked


def run(config: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [*words, "-c", str(config)])
    return result.exit_code, result.stdout, result.stderr


def diff(config: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any], *words: str) -> str:
    monkeypatch.setattr(client, "ask", lambda *_, **__: found)
    code, out, _ = run(config, "diff", *words)
    assert code == 0
    return out


def test_changes_are_listed_and_nothing_that_a_terminal_obeys(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B26, adversarial 10."""
    assert diff(config, monkeypatch, FOUND) == LISTED + SUM


def test_a_held_update_says_why_and_what_to_do(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B22."""
    assert diff(config, monkeypatch, FOUND | {"held": HELD}) == (
        LISTED + SUM + "held as 3f6a90b1c2d4; nothing of it is sent:\n"
        "  folder data: no file is left\n"
        "if it is meant: sbs sync --accept 3f6a90b1c2d4\n"
        "if it is not: the secondary still has all of it; copy it back from its folder\n"
    )


def test_a_long_list_ends_with_a_count(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [{"change": "add", "folder": "d", "path": f"f{n}", "bytes": 0} for n in range(100)]
    out = diff(config, monkeypatch, FOUND | {"added": 997, "paths": paths})
    lines = out.splitlines()
    assert len(lines) == MAX_PATHS_SHOWN + 2
    assert lines[MAX_PATHS_SHOWN] == f"and {1000 - MAX_PATHS_SHOWN} more"


def test_where_nothing_differs_it_says_so(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = dict.fromkeys(("added", "changed", "unsure", "deleted", "bytes"), 0)
    out = diff(config, monkeypatch, {**nothing, "held": None, "paths": []})
    assert out == "nothing to send: the secondary has everything\n"


def test_the_object_is_what_the_node_said(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(diff(config, monkeypatch, FOUND, "--json")) == FOUND


def test_a_held_update_is_refused_with_4_until_it_is_accepted(
    config: Path, asked: list[dict[str, Any]]
) -> None:
    """B22."""
    code, out, err = run(config, "sync")
    assert (code, out) == (4, "")
    assert err == "Error: update 3f6a90b1c2d4 is held\n"
    assert run(config, "sync", "--accept", "0")[0] == 4
    assert run(config, "sync", "--accept", HELD["id"])[:2] == (0, "the secondary has everything\n")
    assert asked == [
        {"command": "sync", "accept": accept, "quick": False}
        for accept in (None, "0", "3f6a90b1c2d4")
    ]
