"""The Windows service manager of Wine; docs/windows.md says what it shows, and what not."""

from __future__ import annotations

from pathlib import Path

from tests.windows.wine import HERE, windows_python

CHECKS_BOUND_S = 200.0
"""Longest for all checks, which take some 15 s on a machine with nothing else to do."""


def test_in_windows_python_under_wine(tmp_path: Path) -> None:
    """R30, R31, R32, B30, B31: ``inside.py`` has the checks."""
    with windows_python(tmp_path) as wine:
        options = ("-q", "-p", "no:cacheprovider", "-p", "tests.windows.shim")
        code, output = wine.output(
            "wine64", wine.python, "-m", "pytest", *options, HERE / "inside.py",
            timeout_s=CHECKS_BOUND_S,
        )  # fmt: skip
        assert code == 0, output
