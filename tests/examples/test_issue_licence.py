"""The example runs as it stands in the documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sbs.adapters.licences.form import verify
from sbs.core.licence import Kind

EXAMPLE = Path(__file__).parents[2] / "examples" / "issue_licence.py"
ROOT = EXAMPLE.parents[1]


def run(*arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_vendor_makes_keys_and_issues_a_licence(tmp_path: Path) -> None:
    """B40."""
    key, file = tmp_path / "vendor.key", tmp_path / "beta.licence"
    line = run("keys", key)
    assert os.stat(key).st_mode & 0o777 == 0o600
    what = ("--kind", "backup", "--node", "beta", "--serial", "2026-0017")
    more = ("--holder", "Example Ltd", "--expires", "2027-01-31")
    assert run("issue", key, file, *what, *more).startswith(f"{file}: backup, serial 2026-0017")
    public = line.removeprefix('trusted_keys = ["').removesuffix('"]\n')
    licence = verify(file.read_bytes(), (public,))
    assert (licence.kind, licence.node, licence.holder) == (Kind.BACKUP, "beta", "Example Ltd")
    assert str(licence.expires) == "2027-01-31"
