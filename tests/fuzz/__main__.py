"""``python -m tests.fuzz --seconds 600``: every decoder, for longer than the tests take.

Without targets it is all of them. Ends with 1 after a finding, whose input is saved, and printed;
run it again with ``--replay FILE TARGET``, or elsewhere with ``--pasted TEXT TARGET``.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import coverage_guided
from tests.fuzz.contract import Target
from tests.fuzz.engine import (
    HARD_S,
    FindingError,
    Recorder,
    Report,
    bound_memory,
    from_paste,
    fuzz,
    judge,
    limited,
    minimized,
    shares,
    to_paste,
)
from tests.fuzz.targets import TABLE


def main() -> int:
    """Fuzz what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TABLE))
    parser.add_argument("--engine", choices=["mutate", "atheris"], default="mutate")
    parser.add_argument("--seconds", type=float, default=120.0, help="for all targets together")
    parser.add_argument("--seed", type=int, help="the same one makes the same inputs")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="directory")
    once = parser.add_mutually_exclusive_group()
    once.add_argument("--replay", type=Path, metavar="FILE", help="run one input, and no other")
    once.add_argument("--pasted", metavar="TEXT", help="the same, of what a finding prints")
    options = parser.parse_args()
    logging.disable()  # what decoders log of bad input is not what is looked for
    if unknown := [name for name in options.targets if name not in TABLE]:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TABLE)}")
    targets = [TABLE[name] for name in options.targets or TABLE]
    if options.pasted is not None:
        return _replay(targets, from_paste(options.pasted))
    if options.replay is not None:
        read = Recorder.read if options.replay.suffix == ".last" else Path.read_bytes
        return _replay(targets, read(options.replay))
    options.found.mkdir(exist_ok=True)
    if options.engine == "atheris":
        return coverage_guided.fuzz(targets, options.seconds, options.found)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    return _mutate(targets, seed, options.seconds, options.found)


def _mutate(targets: Sequence[Target], seed: int, seconds: float, found: Path) -> int:
    print(f"seed {seed}, {len(targets)} targets, {seconds:g} s", flush=True)  # noqa: T201
    failed = total = 0
    for target, share in shares(targets, seconds):
        bound_memory()
        last = found / f"{target.name}.last"
        recorder = Recorder(last, target.longest_bytes)
        try:
            report = fuzz(target, seed, share, recorder)
        except FindingError as finding:
            failed += 1
            print(told(finding, found), flush=True)  # noqa: T201
        else:
            total += report.executions
            _keep(report, found)
            said = f"{report.executions} executions, {len(report.new)} new answers"
            print(f"{target.name}: {said}", flush=True)  # noqa: T201
        last.unlink()
    print(f"{total} executions, {failed} findings", flush=True)  # noqa: T201
    return 1 if failed else 0


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _keep(report: Report, found: Path) -> None:
    """What may be worth a place in the corpus."""
    for data in report.new:
        place = found / report.target.name
        place.mkdir(exist_ok=True)
        (place / _name(data)).write_bytes(data)


def told(finding: FindingError, found: Path) -> str:
    """Save the input of a finding, cut to what it takes; return what is printed of it."""
    kind, end_at = type(finding.__cause__), time.monotonic() + HARD_S

    def fails(data: bytes) -> bool:
        if time.monotonic() > end_at:
            return False
        try:
            with limited():
                judge(finding.target, data, measured=finding.__cause__ is None)
        except FindingError as error:
            return type(error.__cause__) is kind
        return False

    data = minimized(finding.data, fails)
    path = found / f"{finding.target.name}-{_name(data)}"
    path.write_bytes(data)
    return f"FOUND {path}: {finding}\n--pasted {to_paste(data)} {finding.target.name}"


def _replay(targets: Sequence[Target], data: bytes) -> int:
    bound_memory()
    for target in targets:
        with limited():
            print(f"{target.name}: {judge(target, data, measured=True) or 'taken'}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
