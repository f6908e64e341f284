"""B62: ``sbs init`` offers to pair and to install, and two terminals become a pair by it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from sbs.adapters.services.systemd import own_service
from sbs.adapters.transports.identity import read_identity, read_pins
from sbs.cli.offers import Done, offer
from sbs.config import reading
from tests.cli.terminal import Terminal
from tests.cli.test_commands import RIGHT
from tests.support import SBS

ALPHA, BETA = "127.44.62.1", "127.44.62.2"
"""Addresses of loopback that no other test takes, for a pair meets at a fixed port."""


def begin(directory: Path, own: str, other: str) -> Terminal:
    """Answer all questions of ``sbs init`` up to the offer to pair."""
    directory.mkdir()
    terminal = Terminal([*SBS, "init", "-c", "sbs.toml"], directory)
    for question, answer in (
        ("Name of this node", directory.name),
        ("Address of the other node", other),
        ("Address of this node", own),
        ("Directory for its state", "state"),
        ("First folder to replicate", "data"),
        ("Write ", ""),
    ):
        terminal.read_until(question)
        terminal.read_until(": ")
        terminal.type(f"{answer}\n")
    return terminal


def test_two_terminals_become_a_pair(tmp_path: Path) -> None:
    """Where the other one waits, to call it is what is proposed: Enter, Enter, the code."""
    with begin(tmp_path / "alpha", ALPHA, BETA) as alpha:
        alpha.read_until("(wait, call, later) [wait]: ")
        alpha.type("\n")
        alpha.read_until("  sbs pair ")
        address, code = alpha.read_until("\r\n").split()
        assert address == f"{ALPHA}:4449"
        with begin(tmp_path / "beta", BETA, ALPHA) as beta:
            beta.read_until("(wait, call, later) [call]: ")
            beta.type("\n")
            beta.read_until(f"Address that it shows [{address}]: ")
            beta.type("\n")
            beta.read_until("Code that the other node shows: ")
            beta.type(f"{code}\n")
            for terminal in (alpha, beta):
                terminal.read_until("know each other")
                left = terminal.read_until("docs/configuration.md")
                assert "sbs init" not in left
                terminal.read_until("  2. sbs run -c sbs.toml, on both\r\n")
                assert terminal.wait() == 0
    for own, other in (("alpha", "beta"), ("beta", "alpha")):
        (pin,) = read_pins(str(tmp_path / own / "peer.pem"))
        assert pin == read_identity(str(tmp_path / other / "identity.pem"))


def test_a_wrong_code_is_told_and_what_is_left_to_do(tmp_path: Path) -> None:
    with begin(tmp_path / "alpha", ALPHA, BETA) as alpha:
        alpha.read_until("[wait]: ")
        alpha.type("call\n")
        alpha.read_until(f"[{BETA}:4449]: ")
        alpha.type("\n")
        alpha.read_until("Code that the other node shows: ")
        alpha.type("123-456-789\n")
        alpha.read_until("nobody waits at")
        alpha.read_until("  2. sbs pair -c sbs.toml")
        assert alpha.wait() == 3
    assert (tmp_path / "alpha" / "sbs.toml").exists()


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where units would lie, on a machine where systemd runs and the user is root."""
    directory = tmp_path / "units"
    directory.mkdir()
    monkeypatch.setattr(own_service, "UNITS", directory)
    monkeypatch.setattr(own_service, "UNIT_DIR", directory)
    monkeypatch.setattr(own_service, "_run", lambda *_words: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(reading, "distrust", lambda *_: "")  # the files are not root's
    return directory


def answer(config: Path, *answers: str) -> tuple[Done, str]:
    found: list[Done] = []

    @click.command
    def offers() -> None:
        found.append(offer(str(config)))

    said = CliRunner().invoke(offers, input="".join(f"{each}\n" for each in answers))
    assert said.exception is None
    return found[0], said.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "sbs.toml"
    tls = '[tls]\nidentity = "identity.pem"\npeer_certificate = "peer.pem"\n'
    path.write_text(RIGHT + tls)
    return path


@pytest.mark.parametrize(("said", "installed"), [("", True), ("y", True), ("n", False)])
def test_where_systemd_runs_it_is_offered_to_install(
    config: Path, units: Path, said: str, installed: bool
) -> None:
    done, screen = answer(config, said, "later")
    assert (done.installed, done.paired, done.exit_code) == (installed, False, 0)
    assert re.search(r"Install SBS as a service of this machine, .*\? \[Y/n\]: ", screen)
    assert (units / "sbs.service").exists() is installed
    if installed:
        assert f" run -c {config}\n" in (units / "sbs.service").read_text()
        assert "installed " in screen


@pytest.mark.parametrize("why", ["another's", "no systemd", "not root"])
def test_where_it_cannot_be_installed_nothing_is_asked(
    config: Path, units: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "another's":
        (units / "sbs.service").write_text(own_service.MARK)
    elif why == "no systemd":
        monkeypatch.setattr(own_service, "UNIT_DIR", units / "missing")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done, screen = answer(config, "later")
    assert done == Done()
    assert "Install" not in screen


def test_an_installation_that_fails_does_not_keep_from_pairing(
    config: Path, units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_service, "_path", lambda _name: units / "missing" / "sbs.service")
    done, screen = answer(config, "y", "later")
    assert done == Done(exit_code=1)
    assert "Error: cannot write" in screen
    assert "Pair now?" in screen
