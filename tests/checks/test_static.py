"""The rules of the house that tools can check."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
MAX_LINES = 405
"""Of a module: about four hundred; what needs more is two things."""


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["pyright"],
        ["pyright", "--verifytypes", "sbs", "--ignoreexternal"],
        ["lint-imports"],
    ],
    ids=" ".join,
)
def test_tool_finds_nothing(command: list[str]) -> None:
    program, *arguments = command
    done = subprocess.run(
        [SCRIPTS / program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_core_is_covered_to_the_last_branch(tmp_path: Path) -> None:
    data = f"--data-file={tmp_path / 'coverage'}"
    run = [sys.executable, "-m", "coverage"]
    subprocess.run(
        [*run, "run", data, "--branch", "--source=sbs.core", "-m", "pytest", "-q", "tests/core"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    report = subprocess.run(
        [*run, "report", data, "--fail-under=100", "--show-missing", "--skip-covered"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stdout


def test_core_needs_nothing_but_attrs_cattrs_and_msgpack() -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import pkgutil, importlib, sbs.core\n"
        "names = [m.name for m in pkgutil.walk_packages(sbs.core.__path__, 'sbs.core.')]\n"
        "[importlib.import_module(name) for name in names if not name.endswith('__main__')]\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split()) - sys.stdlib_module_names
    known = {"attr", "attrs", "cattrs", "msgpack", "typing_extensions", "sbs", "cython_runtime"}
    assert {name for name in loaded if not name.startswith("_")} <= known


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("sbs/**/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_module_is_no_room_too_large(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES
