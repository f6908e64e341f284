"""``python -m tests.bench [W1 ...] [--scale S] [--count N] [--json]``."""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import attrs
import click

import sbs
from tests.bench import (
    again,
    detection,
    encrypted,
    first,
    growth,
    peers,
    slow,
    starts,
    table,
    w7,
    w8,
    w9,
)
from tests.bench.order import Order
from tests.bench.plot import svg

Result: TypeAlias = (
    table.Result
    | w7.Result
    | w8.Result
    | w9.Result
    | detection.Result
    | growth.Result
    | slow.Result
    | starts.Result
)

BENCHMARKS: dict[str, tuple[Callable[[Order], Result], int]] = {
    "W1": (first.w1, 3),
    "W2": (first.w2, 3),
    "W3": (again.w3, 5),
    "W4": (again.w4, 3),
    "W5": (again.w5, 5),
    "W6": (first.w6, 5),
    "W7": (w7.run, 100),
    "W8": (lambda order: w8.run(order.count), 20),
    "W9": (w9.run, 10),
    "TLS": (encrypted.run, 3),
    "detection": (lambda order: detection.run(order.count), 3),
    "growth": (growth.run, 3),
    "slow": (slow.run, 3),
    "starts": (lambda order: starts.run(order.count), 50),
}
"""Each with the number of runs when none is given."""

TABLE = tuple(name for name in BENCHMARKS if name.startswith(("W", "TLS")))
"""What runs when nothing is named."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(BENCHMARKS)))
@click.option("--count", type=click.IntRange(1), help="Runs of each side.")
@click.option(
    "--scale",
    type=click.FloatRange(0.0, min_open=True),
    default=1.0,
    show_default=True,
    help="Size of W1 to W7, W9, TLS and growth, 1 for that of the table.",
)
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=tempfile.gettempdir,
    help="Where file systems are made, 25 GiB at scale 1.  [default: that of temporary files]",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the curves of growth there, as SVG.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(
    names: tuple[str, ...],
    count: int | None,
    scale: float,
    directory: Path,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Run benchmarks (W1 to W9, TLS if none is named); the exit code is 1 if a goal was missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # file systems are unmounted
    if plot is not None and "growth" not in names:
        raise click.UsageError("--plot is for growth, which is not named")
    about = _about(scale)
    if not as_json:
        click.echo("\n".join(f"{name}: {value}" for name, value in about.items()))
    results: dict[str, Result] = {}
    for name in names or TABLE:
        run, usual = BENCHMARKS[name]
        results[name] = run(Order(count=count or usual, scale=scale, directory=directory))
        if not as_json:
            click.echo("\n".join(results[name].lines()))
    measured = results.get("growth")
    if plot is not None and isinstance(measured, growth.Result):
        plot.write_text(svg(measured.curves))
    if as_json:
        shown = {name: {**attrs.asdict(each), "met": each.met} for name, each in results.items()}
        click.echo(json.dumps({**about, **shown}))
    sys.exit(0 if all(result.met for result in results.values()) else 1)


def _about(scale: float) -> dict[str, object]:
    return {
        "sbs": sbs.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "scale": scale,
        **peers.versions(),
        "missing": peers.missing(),
        "not run": list(peers.NOT_RUN),
    }


if __name__ == "__main__":
    main(prog_name="python -m tests.bench")
