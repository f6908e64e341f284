"""The example runs as it stands in the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "replication_alone.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(EXAMPLE.parents[1])
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
        timeout=60,
    )


def test_it_copies_a_folder_and_then_only_what_changed(tmp_path: Path) -> None:
    """R20, R22, R23."""
    (tmp_path / "a" / "d").mkdir(parents=True)
    (tmp_path / "a" / "d" / "f").write_text("one")
    (tmp_path / "a" / "d" / "h").write_text("three")
    places = [str(tmp_path / name) for name in ("a", "b", "state")]
    first = run(*places)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "mkdir  'd'\nput    'd/f'\nput    'd/h'\n3 changes\n"
    assert (tmp_path / "b" / "d" / "f").read_text() == "one"
    assert run(*places).stdout == "0 changes\n"
    (tmp_path / "a" / "g").write_text("two")
    (tmp_path / "a" / "d" / "f").unlink()
    assert run(*places).stdout == "put    'g'\ndelete 'd/f'\n2 changes\n"
    assert sorted(path.name for path in (tmp_path / "b").rglob("*")) == ["d", "g", "h"]
    for name in ("g", "d/h"):
        (tmp_path / "a" / name).unlink()
    held = run(*places)  # B22
    assert held.stdout.startswith("held as ")
    assert held.stdout.endswith(": 2 files would be deleted\n0 changes\n")
    assert (tmp_path / "b" / "g").read_text() == "two"


def test_it_says_how_it_is_used() -> None:
    done = run("only-one")
    assert done.returncode == 1
    assert "usage" in done.stderr
