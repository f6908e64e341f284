"""``python -m tests.bench [W8] [detection] [starts] [--count N] [--json]``."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from typing import TypeAlias

import attrs
import click

import sbs
from tests.bench import detection, starts, w8

Result: TypeAlias = w8.Result | detection.Result | starts.Result

BENCHMARKS: dict[str, tuple[Callable[[int], Result], int]] = {
    "W8": (w8.run, 20),
    "detection": (detection.run, 3),
    "starts": (starts.run, 50),
}
"""Each with the number of runs when none is given."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(BENCHMARKS)))
@click.option("--count", type=click.IntRange(1), help="Runs of each benchmark.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(names: tuple[str, ...], count: int | None, as_json: bool) -> None:
    """Run benchmarks, W8 if none is named; the exit code is 1 if a goal was missed."""
    results: dict[str, Result] = {}
    for name in names or ("W8",):
        run, usual = BENCHMARKS[name]
        results[name] = run(count or usual)
        if not as_json:
            click.echo("\n".join(results[name].lines()))
    if as_json:
        shown = {name: {**attrs.asdict(each), "met": each.met} for name, each in results.items()}
        click.echo(json.dumps({**_versions(), **shown}))
    sys.exit(0 if all(result.met for result in results.values()) else 1)


def _versions() -> dict[str, object]:
    return {
        "sbs": sbs.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
    }


if __name__ == "__main__":
    main(prog_name="python -m tests.bench")
