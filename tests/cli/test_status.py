"""What ``sbs status`` shows, also of what should not reach a terminal."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from sbs.cli import main
from sbs.cli.text import plain
from sbs.runtime.operating import client
from sbs.runtime.operating.status import SCHEMA, Status
from sbs.runtime.serving.licence_status import LicenceStatus

RUNNING: dict[str, Any] = {
    "schema": 1,
    "name": "alpha",
    "role": "primary",
    "state": "primary",
    "mode": "symmetric",
    "epoch": 7,
    "epoch_token": 15,
    "generation": 12,
    "peer": {
        "name": "beta\x1b]0;owned\x07",
        "address": "127.0.0.1:4446",
        "role": "secondary",
        "connected": True,
    },
    "security": {
        "tls": True,
        "fingerprint": "8d2f",
        "peer_fingerprint": "51c7",
        "expires": "2036-01-29",
    },
    "in_step": True,
    "behind_since": None,
    "last_change": {"at": 1.0, "role": "primary", "epoch": 7, "reason": "why\x1b[m"},
    "services": {
        "active": ["web", "dns"],
        "wanted": ["web", "mail"],
        "down": ["dns", "mail"],
        "restarts": {"web": 2},
    },
    "licence": None,
    "last_update": {"at": 0.0, "files": 3, "bytes": 99, "duration_s": 0.25},
    "held": None,
    "progress": {
        "phase": "sending",
        "files": 1200,
        "files_total": 10_000,
        "bytes": 1_288_490_189,
        "bytes_total": 3_650_722_202,
        "bytes_s": 115_658_752.5,
        "remaining_s": 20.4,
    },
    "policy": "availability",
    "votes": None,
    "paused": False,
    "alarms": [{"code": "no-secondary", "text": "no\nsecondary", "since": 0.0}],
    "problems": ["a\x1b[2Jb: cannot be read"],
    "notes": ["data: 2 names are\x07 hard links"],
    "conflicts": [
        {"node": "beta", "folder": "data", "path": f"f{n}", "kept": f"q/f{n}", "generation": 3}
        for n in range(12)
    ],
    "conflict_count": 14,
    "listen": "127.0.0.1:4445",
    "node_id": "0" * 32,
    "pid": 42,
    "version": "0.1.0",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(
        '[node]\nname = "alpha"\nmode = "backup-only"\npeer = "127.0.0.1:4446"\nstate_dir = "s"\n'
    )
    return path


def status(config: Path, *words: str, color: bool = False) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["status", "-c", str(config), *words], color=color)
    return result.exit_code, result.stdout


def test_a_stopped_node_is_an_object_of_the_same_form_and_exit_code_3(config: Path) -> None:
    """B61: scripts read one form, whether a node runs or not."""
    code, out = status(config, "--json")
    found = json.loads(out)
    assert code == 3
    assert found.keys() == {field.name for field in attrs.fields(Status)}
    assert (found["schema"], found["name"]) == (SCHEMA, "alpha")
    assert (found["role"], found["mode"]) == ("stopped", "backup-only")
    assert found["services"] == {"active": [], "wanted": [], "down": [], "restarts": {}}
    assert found["peer"] is found["last_update"] is found["epoch"] is found["paused"] is None
    assert found["held"] is None


def test_a_stopped_node_is_said_to_be_stopped(config: Path) -> None:
    code, out = status(config)
    assert code == 3
    assert out == (
        "STOPPED\n  node        alpha (backup-only)\n"
        "              no node is running; start it: systemctl start sbs, or sbs run -c FILE\n"
    )


def test_a_socket_that_a_killed_node_left_behind_is_no_node(config: Path) -> None:
    (config.parent / "s").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(config.parent / "s/control.sock"))
    assert status(config)[0] == 3


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that answers with :data:`RUNNING`; a real one is in ``test_processes.py``."""
    monkeypatch.setattr(client, "ask", lambda *_: RUNNING)
    monkeypatch.setenv("TZ", "UTC")


@pytest.mark.usefixtures("running")
def test_all_of_a_status_is_shown_and_nothing_that_a_terminal_obeys(config: Path) -> None:
    """B61."""
    code, out = status(config)
    assert code == 0
    assert out == (
        "PRIMARY\n"
        "  node        alpha (symmetric)\n"
        "  state       primary, serves 127.0.0.1:4445, process 42\n"
        "  since       1970-01-01 00:00:01 +0000: why\\x1b[m\n"
        "  epoch       7 (SBS_EPOCH 15)\n"
        "  generation  12, in step\n"
        "  peer        beta\\x1b]0;owned\\x07 at 127.0.0.1:4446: secondary, connected\n"
        "  security    TLS 1.3, certificates until 2036-01-29 (sbs pair --show)\n"
        "  services    web, dns (down), mail (down)\n"
        "              a takeover starts: web, mail\n"
        "              started again: web 2\n"
        "  last update 1970-01-01 00:00:00 +0000, 3 files, 99 bytes, 0.250 s\n"
        "  progress    sending: 1200 of 10000 files, 1.2 GiB of 3.4 GiB, 110.3 MiB/s, 20 s left\n"
        "  alarm       1970-01-01 00:00:00 +0000  no-secondary: no\\nsecondary\n"
        "  problem     a\\x1b[2Jb: cannot be read\n"
        "  note        data: 2 names are\\x07 hard links\n"
        + "".join(f"  conflict    data/f{n} of beta, kept as q/f{n}\n" for n in range(10))
        + "  conflict    and 4 more; see --json\n"
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "12, in step"),
        ({"held": {"id": "3f6a", "deletes": 2}}, "12, in step but for what is held"),
        (
            {"alarms": [{"code": "update-failed", "text": "no space", "since": 0.0}]},
            "12, in step but for an update that failed",
        ),
        ({"in_step": False}, "12"),
    ],
)
def test_a_secondary_is_not_called_in_step_while_something_is_stuck(
    config: Path, more: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B20, B22: a takeover would find the last complete generation, and no more."""
    monkeypatch.setattr(client, "ask", lambda *_: RUNNING | more)
    assert f"  generation  {said}" in status(config)[1].splitlines()


@pytest.mark.usefixtures("running")
def test_what_the_secondary_may_lack_is_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B61: with the time since when."""
    monkeypatch.setattr(client, "ask", lambda *_: RUNNING | {"behind_since": 60.0})
    line = "  behind      what was written since 1970-01-01 00:01:00 +0000 may be missing there"
    assert line in status(config)[1].splitlines()


def test_votes_and_a_pause_are_shown_where_there_are_any(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B3, B6."""
    found = RUNNING | {"paused": True, "votes": {"peer": False, "witness": True}}
    monkeypatch.setattr(client, "ask", lambda *_: found)
    lines = status(config)[1].splitlines()
    assert "  votes       witness" in lines
    assert "  paused      no automatic takeover (sbs resume)" in lines
    found["votes"] = {"peer": False, "witness": False}
    assert "  votes       none" in status(config)[1].splitlines()


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "backup, Ltd\\x1b, serial 17"),
        ({"expires": "2027-01-31"}, "backup, Ltd\\x1b, serial 17, until 2027-01-31"),
        ({"problem": "it ended"}, "backup, Ltd\\x1b, serial 17; it does not count any more"),
        ({"refusal": "no takeover"}, "backup, Ltd\\x1b, serial 17; services are withheld"),
        (
            {"granted": True},
            "backup, Ltd\\x1b, serial 17; services run in place of a failed primary",
        ),
        ({"kind": None, "problem": "missing"}, "none that counts"),
    ],
)
def test_a_licence_is_shown_where_one_is_needed(
    config: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], shown: str
) -> None:
    """R40 to R44."""
    licence = LicenceStatus(
        kind="backup", holder="Ltd\x1b", serial="17", expires=None, problem="", warning=""
    ).to_json()
    monkeypatch.setattr(client, "ask", lambda *_: RUNNING | {"licence": licence | changes})
    assert f"  licence     {shown}" in status(config)[1].splitlines()


def test_a_held_update_is_shown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B22."""
    held = {"id": "3f6a90b1c2d4", "deletes": 7, "reasons": []}
    monkeypatch.setattr(client, "ask", lambda *_: RUNNING | {"held": held})
    lines = status(config)[1].splitlines()
    assert "  held        update 3f6a90b1c2d4, 7 deletes: sbs diff shows it" in lines


@pytest.mark.usefixtures("running")
def test_colour_is_for_terminals_only(config: Path) -> None:
    assert "\x1b" not in status(config)[1]
    coloured = status(config, color=True)[1]
    assert coloured.startswith("\x1b[32m\x1b[1mPRIMARY\x1b[0m\n")
    assert "\x1b[31m\x1b[1malarm\x1b[0m       1970" in coloured


@pytest.mark.usefixtures("running")
def test_the_object_is_what_the_node_said(config: Path) -> None:
    code, out = status(config, "--json")
    assert (code, json.loads(out)) == (0, RUNNING)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("für €", "für €"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[0m\x9b", "\\x1b[0m\\x9b"),
        ("right\u202eleft", "right\\u202eleft"),
        ("undecoded\udcff", "undecoded\\udcff"),
    ],
)
def test_a_text_is_made_plain(raw: str, shown: str) -> None:
    assert plain(raw) == shown
    assert plain(raw).isprintable()
