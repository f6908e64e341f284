"""R60, R61: the dialog in a real terminal (tmux), from the command line, by keys alone."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from sbs.cli import main
from sbs.config import load
from tests.dialog.driving import TEXT
from tests.support import ROOT, WAIT_S, require, sbs


class Terminal:
    """A terminal of 80 by 24, and what runs in it; the sockets lie in ``directory``."""

    def __init__(self, directory: Path, command: list[str]) -> None:
        self._tmux = ["tmux", "-S", str(directory / "tmux"), "-f", "/dev/null"]
        text = f"{shlex.join(command)}; echo ended=$?; printf '\\033]2;done\\007'; sleep 60"
        self._run("new-session", "-d", "-x", "80", "-y", "24", "-c", str(ROOT), text)

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=True)
        return done.stdout

    def keys(self, *names: str) -> None:
        """Type."""
        self._run("send-keys", *names)

    @property
    def screen(self) -> str:
        """All that can be seen."""
        return self._run("capture-pane", "-p")

    @property
    def title(self) -> str:
        """Of the terminal."""
        return self._run("display-message", "-p", "#{pane_title}").strip()

    def until(self, text: str) -> None:
        """Wait until something is to be seen."""
        give_up_at = time.monotonic() + WAIT_S
        while text not in self.screen:
            assert time.monotonic() < give_up_at, f"no {text!r} in\n{self.screen}"
            time.sleep(0.05)

    def end(self) -> None:
        """With all that runs in it."""
        self._run("kill-server")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def terminal(path: Path) -> Iterator[Terminal]:
    require("tmux")
    command = [sys.executable, "-m", "sbs.cli", "-cfg", "-c", str(path)]
    terminal = Terminal(path.parent, command)
    yield terminal
    terminal.end()


def test_a_setting_is_changed_and_saved_by_keys(terminal: Terminal, path: Path) -> None:
    terminal.until("STOPPED")
    terminal.until("not running")
    assert terminal.title == "■ stopped - SBS"
    terminal.keys("F2")
    terminal.until("sync.period_s")
    terminal.keys("F3")
    terminal.until("receivers")
    terminal.keys("F4")
    terminal.until("filters, one rule a line")
    terminal.keys("F2")
    terminal.until("node.listen")
    terminal.keys("Tab")
    terminal.until("What people call this node.")
    terminal.keys("2")
    terminal.until("[not saved]")
    terminal.keys("C-s")
    terminal.until("saved")
    terminal.keys("C-q")
    terminal.until("ended=0")
    assert load(path).node.name == "alpha2"
    assert path.read_text() == TEXT.replace('"alpha"', '"alpha2"')


def test_without_a_terminal_it_says_so(path: Path) -> None:
    for command in ("config", "-cfg"):
        done = sbs(command, "-c", path)
        assert (done.returncode, done.stdout) == (1, "")
        assert "the dialog needs a terminal; sbs config check and sbs status" in done.stderr


def test_what_is_missing_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbs.cli.config.on_terminal", lambda: True)
    done = CliRunner().invoke(main, ["config", "-c", str(path.parent / "none.toml")])
    assert done.exit_code == 78
    assert "no such file; sbs init writes a first one" in done.stderr
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(main, ["config", "-c", str(path)])
    assert done.exit_code == 1
    assert 'pip install "sbs[dialog]"' in done.stderr


def test_the_file_of_a_subcommand_comes_after_it(path: Path) -> None:
    done = sbs("config", "-c", path, "check")
    assert done.returncode == 2
    assert "-c FILE comes after check" in done.stderr
    assert sbs("config", "check", "-c", path).returncode == 0
