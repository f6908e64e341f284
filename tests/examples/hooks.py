"""Runs the example hooks as SBS does: as programs that learn everything from their environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

HOOKS = ROOT / "examples" / "hooks"


def hook(name: str, *arguments: str | Path) -> list[str]:
    """The command line of an example."""
    return [sys.executable, str(HOOKS / name), *map(str, arguments)]


def run_hook(argv: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a hook to its end, in SBS's environment and what is named here."""
    return subprocess.run(
        argv,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a hook that has to succeed has printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
