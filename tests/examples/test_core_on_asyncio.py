from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "core_on_asyncio.py"
ROOT = EXAMPLE.parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_two_nodes_talk_over_asyncio_without_trio() -> None:
    result = run(str(EXAMPLE))
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(result.stdout.splitlines()) == [
        "alpha: the follower has closed; 3 heartbeats answered",
        "beta: 3 heartbeats echoed",
        "beta: alpha is primary, speaking version 1",
        "beta: following in epoch 1.0",
    ]


def test_core_imports_nothing_that_waits() -> None:
    """The core can be carried by any event loop, and brings none."""
    program = (
        "import sys, sbs.core.connection; "
        "print(sorted({'trio', 'asyncio', 'socket', 'select', 'selectors'} & sys.modules.keys()))"
    )
    result = run("-c", program)
    assert (result.stdout, result.stderr) == ("[]\n", "")
