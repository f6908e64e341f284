"""W1, W2, W6: the first update, beside rsync.

Both sides are at rest and know nothing of the files: the pair is in step with an empty folder,
the rsync daemon listens. Then the tree is there (it is renamed into the folder), and the clock
runs from the command: `sync` through the control socket here, ``rsync`` there. Starting Python
and the daemon is in neither figure, scanning the tree is in both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from tests.bench import trees
from tests.bench.cost import Cost
from tests.bench.disk import MIB, Disk, disk
from tests.bench.order import Order
from tests.bench.ours import ours
from tests.bench.peers import rsync
from tests.bench.table import Result, Side, compare

OURS = "SBS"


@attrs.frozen(kw_only=True)
class Peer:
    """A way to call rsync, and what is asked of us beside it.

    Args:
        options: of rsync beside ``-a --delete``.
        goal: of our time to its.
        flushed: its time is taken with its data flushed.
    """

    options: tuple[str, ...] = ()
    goal: float
    flushed: bool

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(("rsync", *self.options))


def w1(order: Order) -> Result:
    """Many small files."""
    files = order.scaled(100_000)
    return _run(
        order,
        f"W1: first update of {files} files of 4 KiB",
        lambda at: trees.many(at, files, 4096),
        (Peer(goal=0.7, flushed=True), Peer(options=("--fsync",), goal=0.25, flushed=False)),
        size_bytes=4096 * files,
        files=files,
    )


def w2(order: Order) -> Result:
    """One large file."""
    size_bytes = order.scaled(4096 * MIB)
    return _run(
        order,
        f"W2: first update of one incompressible file of {size_bytes / MIB:g} MiB",
        lambda at: trees.large(at, size_bytes),
        (Peer(goal=0.7, flushed=True),),
        size_bytes=size_bytes,
        files=1,
    )


def w6(order: Order) -> Result:
    """Compressible files of a mebibyte."""
    files = order.scaled(1000)
    return _run(
        order,
        f"W6: first update of {files} compressible files of 1 MiB",
        lambda at: trees.compressible(at, files, MIB),
        (Peer(goal=0.8, flushed=False),),
        size_bytes=MIB * files,
        files=files,
    )


def _run(
    order: Order,
    title: str,
    make: Callable[[Path], object],
    peers: Sequence[Peer],
    *,
    size_bytes: int,
    files: int,
) -> Result:
    costs: dict[str, list[Cost]] = {name: [] for name in (OURS, *(peer.name for peer in peers))}
    with (
        disk(order.directory, size_bytes, files) as source,
        # A small file is in the journal before it is in its place.
        disk(order.directory, 2 * size_bytes, files) as target,
    ):
        tree = source.path / "tree"
        tree.mkdir()
        make(tree)
        _rsync(source, target, tree, ())  # not counted: whoever is first pays for fresh memory
        for _ in range(order.count):
            costs[OURS].append(_ours(source, target, tree))
            for peer in peers:
                costs[peer.name].append(_rsync(source, target, tree, peer.options))
        real = target.real
    sides = {name: Side(name=name, cost=Cost.median(each)) for name, each in costs.items()}
    return Result(
        title=title,
        runs=order.count,
        sides=tuple(sides.values()),
        checks=tuple(
            compare(sides[OURS], sides[peer.name], peer.goal, flushed=peer.flushed)
            for peer in peers
        ),
        notes=() if real else ("no root: not on a fresh file system of its own",),
    )


def _ours(source: Disk, target: Disk, tree: Path) -> Cost:
    target.remake()
    folder = source.path / "folder"
    folder.mkdir()
    with ours(target.path, folder) as pair:
        pair.start()
        source.flush()
        target.flush()
        cost = pair.update(lambda: trees.move(tree, folder)).cost
    trees.move(folder, tree)
    folder.rmdir()
    return cost


def _rsync(source: Disk, target: Disk, tree: Path, options: Sequence[str]) -> Cost:
    target.remake()
    with rsync(target.path, target.path / "target") as daemon:
        source.flush()
        target.flush()
        cost = daemon.push(tree, *options)
    assert trees.census(tree) == trees.census(target.path / "target")
    return cost
