"""``python -m tests.simulation --seeds 0:100000``: more seeds than the tests run, or one again."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.runs import run_seeds


def main() -> int:
    """Run the seeds asked for; print each broken promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", required=True, metavar="FIRST:END", help="END is not run")
    first, end = (int(part) for part in parser.parse_args().seeds.split(":"))
    seen = run_seeds(range(first, end))
    for text in seen.broken:
        sys.stdout.write(f"{text}\n")
    sys.stdout.write(f"{seen.runs} runs, {len(seen.broken)} broken promises\n")
    return 1 if seen.broken else 0


if __name__ == "__main__":
    sys.exit(main())
