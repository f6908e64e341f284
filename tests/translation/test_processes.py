"""What the command line says where the environment asks for German, by real processes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT, SBS, WAIT_S


def sbs(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, in German unless the variables say otherwise."""
    return subprocess.run(
        [*SBS, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
        env={**os.environ, "LANG": "C.UTF-8", "LANGUAGE": "de", **variables},
    )


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "alpha.toml"
    path.write_text('[node]\nname = "alpha"\npeer = 5\nmod = "symmetric"\n')
    return path


def test_problems_of_a_configuration_are_in_german(wrong: Path) -> None:
    done = sbs("config", "check", "-c", wrong)
    assert done.returncode == 78
    assert "node.mod: unbekannter Schlüssel; meinten Sie node.mode?" in done.stderr
    assert "node.peer = 5: ist eine ganze Zahl, erwartet wird eine Adresse: host" in done.stderr


def test_what_goes_to_a_log_is_in_english(wrong: Path) -> None:
    for variables in ({}, {"LANGUAGE": "", "LANG": "de_DE.UTF-8"}):
        done = sbs("run", "-c", wrong, **variables)
        assert done.returncode == 78
        assert "node.mod: unknown key; did you mean node.mode?" in done.stderr
