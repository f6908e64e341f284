"""What a node writes to a real journal, read back by the commands of docs/log.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbs.cli.journald import SOCKET
from tests.docs.blocks import BLOCKS
from tests.support import SBS, NodeProcess, free_ports, require, wait_until
from tests.systemd.box import Box, booted


class Logged:
    """A node that is a unit of a box, with its log in the journal there."""

    def __init__(self, box: Box) -> None:
        listen, peer = free_ports(2)
        self.box = box
        self.node = NodeProcess(box.shared / "alpha", listen=listen, peer=peer)

    def sbs(self, *words: str) -> str:
        done = self.box.service(*SBS, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self) -> None:
        self.sbs("service", "install", "-c", str(self.node.config))
        self.box.run("systemctl", "start", "sbs")

    def entries(self, *matches: str) -> list[dict[str, str]]:
        """What the journal has, the oldest first."""
        lines = self.box.run("journalctl", "-u", "sbs", "-o", "json", *matches).stdout.splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    require("journalctl", root=True)
    with booted(tmp_path / "box") as box:
        yield Logged(box)


def test_events_are_entries_with_fields_and_the_page_shows_how_to_read_them(
    logged: Logged,
) -> None:
    """R31: in the unit as it is installed."""
    logged.start()
    wait_until(lambda: logged.entries("SBS_EVENT=alarm-raised"), "the lone primary says so")

    (role,) = logged.entries("SBS_EVENT=role-changed", "SBS_ROLE=primary")
    assert role["MESSAGE"].startswith("role primary, epoch ")
    assert role["MESSAGE"].endswith(role["SBS_REASON"])
    assert role["PRIORITY"] == "6"
    assert role["SYSLOG_IDENTIFIER"] == "sbs"
    assert role["SBS_LOGGER"] == "sbs.runtime.announcer"
    assert role["_TRANSPORT"] == "journal"
    assert role["_PID"] == logged.box.show("sbs", "MainPID")

    (block,) = (each for each in BLOCKS if each.name.startswith("docs/log.md: journalctl"))
    everything, important, roles, fields = (
        logged.box.run("sh", "-c", line).stdout.splitlines() for line in block.text.splitlines()
    )
    assert any(" role primary, epoch " in line for line in everything)
    assert important
    assert all(": alarm " in line for line in important)
    assert [line.partition("]: ")[2] for line in roles] == [
        each["MESSAGE"] for each in logged.entries("SBS_EVENT=role-changed")
    ]
    assert json.loads(fields[-1])["SBS_ROLE"] == "primary"
    logged.box.run("systemctl", "stop", "sbs")


def test_a_journal_that_goes_and_comes_back_loses_no_line(logged: Logged) -> None:
    """Its socket is taken away: lines come to it as text, by the stream that systemd has opened."""
    logged.start()
    wait_until(lambda: logged.entries("SBS_EVENT=alarm-raised"), "the lone primary says so")
    logged.box.run("mv", SOCKET, f"{SOCKET}.gone")
    logged.sbs("pause", "-c", str(logged.node.config))
    lines = [each["MESSAGE"] for each in logged.entries("_TRANSPORT=stdout")]
    said, paused = (line.split(" ", 1)[1] for line in lines)
    assert said.startswith(f"WARNING the journal at {SOCKET} cannot be reached: [Errno 2]")
    assert paused == "INFO    pause asked for by command: no automatic takeover until resume"

    logged.box.run("mv", f"{SOCKET}.gone", SOCKET)
    logged.box.run("systemctl", "stop", "sbs")
    assert logged.entries("SBS_EVENT=signal-stops") == []  # it was not asked again so soon
    assert len(logged.entries("_TRANSPORT=stdout")) > len(lines)
