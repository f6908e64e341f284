"""TLS: the first update of one large file, encrypted and not (B62)."""

from __future__ import annotations

from pathlib import Path

from tests.bench import trees
from tests.bench.cost import Cost
from tests.bench.disk import MIB, Disk, disk
from tests.bench.order import Order
from tests.bench.ours import ours
from tests.bench.table import Result, Side, compare
from tests.system.securing import secure

GOAL = round(1 / 0.7, 2)
"""Of the time without TLS: 0.7 of the throughput is left."""

PLAIN, TLS = "SBS, plain", "SBS, TLS"


def run(order: Order) -> Result:
    """W2's file, by two pairs in turn."""
    size_bytes = order.scaled(4096 * MIB)
    costs: dict[str, list[Cost]] = {PLAIN: [], TLS: []}
    with (
        disk(order.directory, size_bytes, 1) as source,
        disk(order.directory, 2 * size_bytes, 1) as target,
    ):
        tree = source.path / "tree"
        tree.mkdir()
        trees.large(tree, size_bytes)
        _update(source, target, tree, PLAIN)  # not counted: the first pays for fresh memory
        for _ in range(order.count):
            for name, each in costs.items():
                each.append(_update(source, target, tree, name))
    sides = {name: Side(name=name, cost=Cost.median(each)) for name, each in costs.items()}
    return Result(
        title=f"TLS: first update of one incompressible file of {size_bytes / MIB:g} MiB",
        runs=order.count,
        sides=tuple(sides.values()),
        checks=(compare(sides[TLS], sides[PLAIN], GOAL, flushed=True),),
        notes=tuple(
            f"{name}: {size_bytes / 1e6 / side.cost.flushed_s:.0f} MB/s"
            for name, side in sides.items()
        ),
    )


def _update(source: Disk, target: Disk, tree: Path, name: str) -> Cost:
    target.remake()
    folder = source.path / "folder"
    folder.mkdir()
    with ours(target.path, folder) as pair:
        if name == TLS:
            secure(pair.pair, target.path)
        pair.start()
        source.flush()
        target.flush()
        cost = pair.update(lambda: trees.move(tree, folder)).cost
    trees.move(folder, tree)
    folder.rmdir()
    return cost
