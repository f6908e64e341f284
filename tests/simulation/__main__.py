"""``python -m tests.simulation --seeds 0:100000``: more seeds than the tests run, or one again."""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.runs import declared_moves, run_all


def main() -> int:
    """Run the seeds asked for; print each broken promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", required=True, metavar="FIRST:END", help="END is not run")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    first, end = (int(part) for part in options.seeds.split(":"))
    seen = run_all(range(first, end), options.jobs)
    for text in seen.broken:
        sys.stdout.write(f"{text}\n")
    declared = declared_moves()
    sys.stdout.write(
        f"{seen.runs} runs, {len(seen.broken)} broken promises, "
        f"{len(seen.moves & declared)} of {len(declared)} declared changes of state seen\n"
    )
    for before, after in sorted(declared - seen.moves, key=str):
        sys.stdout.write(f"not seen: {before.name} -> {after.name}\n")
    return 1 if seen.broken else 0


if __name__ == "__main__":
    sys.exit(main())
