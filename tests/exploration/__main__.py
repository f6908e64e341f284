"""``python -m tests.exploration --states 300000``: further than the tests, or another way."""

from __future__ import annotations

import argparse
import os
import sys

from sbs.core.claim import Policy
from sbs.testing.explorer import Bounds, Setup
from tests.exploration.searches import MODES, Search, run_all, special, told


def main() -> int:
    """Explore what is asked for; print each broken promise with the way to it."""
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__)
    parser.add_argument("--states", type=int, default=100_000, help="of each search, at most")
    parser.add_argument("--faults", type=int, default=1, help="on one path")
    parser.add_argument("--commands", type=int, default=0, help="of an operator, on one path")
    parser.add_argument("--swaps", type=int, default=1, help="events out of order, on one path")
    parser.add_argument("--kinds", default="", help="of faults, repairs and commands, with commas")
    parser.add_argument("--policy", choices=[policy.value for policy in Policy])
    parser.add_argument("--modes", help="such as symmetric/symmetric")
    parser.add_argument("--begin", choices=["settled", "cold"])
    parser.add_argument("--fence", action="store_true", help="with a fence hook")
    parser.add_argument("--not-alone", action="store_true", help="start_alone = false")
    parser.add_argument(
        "--special", action="store_true", help="what the tests combine, with more states; no more"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    failed = 0
    searches = [*special(options.states)] if options.special else _searches(options)
    for search, report in run_all(searches, options.jobs):
        sys.stdout.write(f"{told(search, report)}\n")
        sys.stdout.flush()
        failed += report.broken is not None
    return 1 if failed else 0


def _searches(options: argparse.Namespace) -> list[Search]:
    bounds = Bounds(
        states=options.states,
        faults=options.faults,
        commands=options.commands,
        swaps=options.swaps,
        kinds=frozenset(options.kinds.split(",")) if options.kinds else frozenset(),
    )
    return [
        Search(
            setup=Setup(
                policy=policy,
                modes=modes,
                fence=options.fence,
                start_alone=not options.not_alone,
            ),
            bounds=bounds,
            settled=settled,
        )
        for policy in Policy
        if options.policy in (None, policy.value)
        for modes in MODES
        if options.modes in (None, "/".join(mode.value for mode in modes))
        for settled in (True, False)
        if options.begin in (None, "settled" if settled else "cold")
    ]


if __name__ == "__main__":
    sys.exit(main())
