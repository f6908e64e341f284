"""W7: a file saved among many, until it stands on the other node, beside lsyncd.

At default settings on our side. What a reader sees there is what is timed: with SBS it is durable
by then, with lsyncd it is not.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from tests.bench import trees
from tests.bench.disk import disk
from tests.bench.measure import Spread
from tests.bench.order import Order
from tests.bench.ours import ours
from tests.bench.peers import installed, lsyncd, rsync
from tests.bench.table import Check

MEDIAN_MS: Final = 40.0
P99_MS: Final = 150.0

PEER_SAVES: Final = 3
"""Of a peer that needs many seconds for each, at most."""

PAUSE_S: Final = (0.05, 0.2)
"""From one save, arrived, to the next: at random, so that no rhythm helps."""

POLL_S: Final = 0.0005

WAIT_S: Final = 120.0


@attrs.frozen(kw_only=True)
class Result:
    """W7.

    Args:
        files: in the folder.
        ours: from the save until it stands on the other node.
        lsyncd: likewise by settings; empty where it is not installed.
    """

    files: int
    ours: Spread
    lsyncd: dict[str, Spread]

    @property
    def checks(self) -> tuple[Check, ...]:
        """Ours against the goals."""
        return (
            Check(what="median", value=self.ours.median, goal=MEDIAN_MS, unit="ms"),
            Check(what="p99", value=self.ours.p99, goal=P99_MS, unit="ms"),
        )

    @property
    def met(self) -> bool:
        """Whether both goals were reached."""
        return all(check.met for check in self.checks)

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield f"W7: a file saved among {self.files}, until it stands on the other node"
        yield f"  {'SBS':<22}{self.ours}   {self.ours.count} saves"
        for settings, spread in self.lsyncd.items():
            yield f"  {f'lsyncd, {settings}':<22}{spread}   {spread.count} saves"
        if not self.lsyncd:
            yield "  lsyncd is not installed"
        yield from map(str, self.checks)


def run(order: Order) -> Result:
    """Save ``order.count`` times."""
    files = order.scaled(100_000)
    theirs: dict[str, Spread] = {}
    with (
        disk(order.directory, 4096 * files, files) as source,
        disk(order.directory, 3 * 4096 * files, 2 * files) as target,
    ):
        folder = source.path / "folder"
        folder.mkdir()
        paths = [path.relative_to(folder) for path in trees.many(folder, files, 4096)]
        with ours(target.path, folder, {}) as pair:
            pair.start()
            own = _save(paths, folder, pair.secondary.folder, order.count)
        if installed("lsyncd"):
            with rsync(target.path, target.path / "target") as daemon:
                for settings, lines in (("defaults", ""), ("delay 0", "delay = 0,")):
                    with lsyncd(target.path, folder, daemon.url, lines):
                        saves = min(order.count, PEER_SAVES)
                        theirs[settings] = _save(paths, folder, target.path / "target", saves)
    return Result(files=files, ours=own, lsyncd=theirs)


def _save(paths: Sequence[Path], here: Path, there: Path, count: int) -> Spread:
    """Save ``count`` times, after one save that is not counted: its arrival shows readiness."""
    chance = random.Random(7)
    times: list[float] = []
    for path in chance.choices(paths, k=count + 1):
        content = os.urandom(4096)
        began_at = time.perf_counter()
        trees.write(here / path, content)
        _wait(there / path, content)
        times.append(time.perf_counter() - began_at)
        time.sleep(chance.uniform(*PAUSE_S))
    return Spread.of(times[1:])


def _wait(path: Path, content: bytes) -> None:
    """Like :func:`tests.support.wait_until`, but to the half of a millisecond."""
    give_up_at = time.monotonic() + WAIT_S
    while not path.exists() or path.read_bytes() != content:
        assert time.monotonic() < give_up_at, f"not within {WAIT_S:g} s: {path}"
        time.sleep(POLL_S)
