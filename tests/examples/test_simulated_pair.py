from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_simulated_pair_tells_its_story() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "simulated_pair.py")],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.partition("a: ")[2] for line in done.stdout.splitlines() if " a: " in line] == [
        "primary, holds write 0, serves with SBS_EPOCH 2",
        "primary, holds write 1, serves with SBS_EPOCH 2",
        "not running, holds write 1",
        "secondary, holds write 2",
    ]
    assert done.stdout.endswith("b: primary, holds write 2, serves with SBS_EPOCH 5\n")
