"""W3, W4, W5: an update of what is nearly all there already, beside rsync.

The pair is in step, and rsync's target holds the same. The clock runs from the command, `sync`
through the control socket here, ``rsync`` there; what changes is changed before it, while the
primary is frozen. W3 and W5 are taken both ways: with a watcher that has missed nothing and
`sync --quick`, and without one, so that the whole tree is scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs

from tests.bench import trees
from tests.bench.cost import Cost
from tests.bench.disk import MIB, disk
from tests.bench.order import Order
from tests.bench.ours import ASKED, Ours, ours
from tests.bench.peers import Rsync, rsync
from tests.bench.table import Check, Result, Side, compare

WATCHING: Final = "SBS, watching"
SCANNING: Final = "SBS, full scan"
RSYNC: Final = "rsync"
IN_PLACE: Final = "rsync --inplace"

WATCHED: Final = {**ASKED, "watch": True}

BLOCK_BYTES: Final = 4096
"""Of a file system: a file takes no less."""

MAX_SENT_BYTES: Final = 2 * 128 * 1024
"""Two blocks of a large file, for one byte that has changed."""


@attrs.frozen(kw_only=True)
class Held:
    """Both sides with the same files in them."""

    pair: Ours
    daemon: Rsync
    real: bool

    def take(self, side: str, change: Callable[[], object] | None = None) -> Cost:
        """One update of one side."""
        if side in (WATCHING, SCANNING):
            return self.pair.update(change, quick=side == WATCHING).cost
        return self.daemon.push(self.pair.folder, *side.split()[1:])


def w3(order: Order) -> Result:
    """Nothing changed: 100,000 files of 4 KiB, and 1,000,000 of 100 bytes."""
    sides: list[Side] = []
    checks: list[Check] = []
    notes: tuple[str, ...] = ()
    for files, size_bytes in ((100_000, 4096), (1_000_000, 100)):
        count = order.scaled(files)

        def make(folder: Path, files: int = count, size_bytes: int = size_bytes) -> list[Path]:
            return trees.many(folder, files, size_bytes)

        found, notes = _both_ways(order, make, count, size_bytes, 0)
        label = f" {count}"
        named = {name: attrs.evolve(side, name=side.name + label) for name, side in found.items()}
        sides += named.values()
        checks += [
            compare(named[WATCHING], named[RSYNC], 0.02, flushed=False),
            compare(named[SCANNING], named[RSYNC], 0.6, flushed=False),
        ]
    return Result(
        title="W3: nothing changed, by number of files",
        runs=order.count,
        sides=tuple(sides),
        checks=tuple(checks),
        notes=notes,
    )


def w5(order: Order) -> Result:
    """A few of many small files changed."""
    files, changed = order.scaled(100_000), order.scaled(100)
    sides, notes = _both_ways(
        order, lambda folder: trees.many(folder, files, 4096), files, 4096, changed
    )
    return Result(
        title=f"W5: {changed} of {files} files of 4 KiB changed",
        runs=order.count,
        sides=tuple(sides.values()),
        checks=(
            compare(sides[WATCHING], sides[RSYNC], 0.1, flushed=False),
            compare(sides[SCANNING], sides[RSYNC], 0.7, flushed=False),
        ),
        notes=notes,
    )


def w4(order: Order) -> Result:
    """One byte in the middle of a large file changed."""
    size_bytes = order.scaled(4096 * MIB)
    costs: dict[str, list[Cost]] = {name: [] for name in (WATCHING, RSYNC, IN_PLACE)}
    sent_bytes: list[int] = []
    with _held(order, lambda at: [trees.large(at, size_bytes)], 1, size_bytes) as (held, paths):
        (path,) = paths
        for number in range(order.count):
            done = held.pair.update(partial(trees.flip, path, 2 * number), quick=True)
            costs[WATCHING].append(done.cost)
            sent_bytes.append(done.sent_bytes)
            costs[RSYNC].append(held.take(RSYNC))
            trees.flip(path, 2 * number + 1)
            costs[IN_PLACE].append(held.take(IN_PLACE))
        notes = _notes(held)
    sides = {name: Side(name=name, cost=Cost.median(each)) for name, each in costs.items()}
    return Result(
        title=f"W4: one byte changed in a file of {size_bytes / MIB:g} MiB",
        runs=order.count,
        sides=tuple(sides.values()),
        checks=(
            compare(sides[WATCHING], sides[RSYNC], 0.2, flushed=False),
            compare(sides[WATCHING], sides[IN_PLACE], 0.3, flushed=False),
            Check(what="content sent", value=max(sent_bytes), goal=MAX_SENT_BYTES, unit="bytes"),
        ),
        notes=notes,
    )


def _both_ways(
    order: Order, make: Callable[[Path], list[Path]], files: int, size_bytes: int, changed: int
) -> tuple[dict[str, Side], tuple[str, ...]]:
    """Each of our two ways in turn with rsync, ``changed`` files rewritten before each."""
    costs: dict[str, list[Cost]] = {name: [] for name in (WATCHING, SCANNING, RSYNC)}
    with _held(order, make, files, files * max(size_bytes, BLOCK_BYTES)) as (held, paths):
        seed = 0
        for way in (WATCHING, SCANNING):
            if way == SCANNING:
                held.pair.restart(ASKED)
            held.pair.update()  # what a start leaves to be done is done
            for _ in range(order.count):
                seed += 1
                change = partial(trees.rewrite, paths, changed, seed) if changed else None
                costs[way].append(held.take(way, change))
                costs[RSYNC].append(held.take(RSYNC))
        notes = _notes(held)
    sides = {name: Side(name=name, cost=Cost.median(each)) for name, each in costs.items()}
    return sides, notes


@contextmanager
def _held(
    order: Order, make: Callable[[Path], list[Path]], files: int, size_bytes: int
) -> Iterator[tuple[Held, list[Path]]]:
    """Both sides in step with a tree that ``make`` makes; also its files."""
    # Two targets, a large file twice while it is replaced, and what SBS keeps of each update.
    copies = 5 + order.count
    with (
        disk(order.directory, size_bytes, files) as source,
        disk(order.directory, copies * size_bytes, copies * files) as target,
        rsync(target.path, target.path / "target") as daemon,
    ):
        folder = source.path / "folder"
        folder.mkdir()
        paths = make(folder)
        with ours(target.path, folder, WATCHED) as pair:
            pair.start()
            held = Held(pair=pair, daemon=daemon, real=target.real)
            held.take(RSYNC)
            source.flush()
            target.flush()
            yield held, paths


def _notes(held: Held) -> tuple[str, ...]:
    return () if held.real else ("no root: not on a fresh file system of its own",)
