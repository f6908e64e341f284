"""The example runs as it stands in the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_service.py"
ROOT = EXAMPLE.parents[1]


def test_adapter_is_checked_and_taken_over() -> None:
    """B30, R7."""
    result = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE)],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["the adapter keeps its promises", "alpha is primary"]
    assert lines[2].startswith("beta has taken over, with SBS_EPOCH ")
    assert int(lines[2].split()[-1]) >= 4
