"""The example runs as it stands in the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "embedded_node.py"
ROOT = EXAMPLE.parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE), *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_node_runs_in_a_program_that_sees_its_roles(tmp_path: Path) -> None:
    for epoch in (1, 2):
        result = run(str(tmp_path))
        assert result.returncode == 0, result.stderr
        lines = result.stdout.splitlines()
        assert lines[0] == "role: stopped"
        assert "role: primary" in lines
        assert f"embedded leads in epoch {epoch}" in lines
        assert lines[-1] == "role: stopped"


def test_it_says_how_it_is_used() -> None:
    assert "usage" in run().stderr
