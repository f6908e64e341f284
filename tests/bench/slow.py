"""First updates over slow links, compressed and not."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.bench import trees
from tests.bench.measure import Spread
from tests.bench.order import Order
from tests.support import wait_until
from tests.system.labpair import LabPair
from tests.system.netns import Lab, lab

LINKS_MB_S = (1, 10)
"""A poor link, and Fast Ethernet."""

SECONDS = 10
"""What the content would take to send as it is."""

GOAL = 0.6
"""Of the time without compression; the content becomes 0.3 of its size."""


@attrs.frozen(kw_only=True)
class Link:
    """One link.

    Args:
        mb_s: megabytes in a second.
        mib: of content, in files of a mebibyte.
        auto: the time of the update.
        off: likewise, without compression.
    """

    mb_s: int
    mib: int
    auto: Spread
    off: Spread

    @property
    def met(self) -> bool:
        """Whether it was worth it."""
        return self.auto.median <= GOAL * self.off.median


@attrs.frozen(kw_only=True)
class Result:
    """All links."""

    links: tuple[Link, ...]

    @property
    def met(self) -> bool:
        """Whether it was worth it everywhere."""
        return all(link.met for link in self.links)

    def lines(self) -> Iterator[str]:
        """The result for people."""
        yield "slow: first update of compressible files of 1 MiB over a slow link, until it stands"
        for link in self.links:
            yield f"  {link.mb_s} MB/s, {link.mib} MiB"
            yield f"    compression auto      {link.auto}"
            yield f"    compression off       {link.off}"
            verdict = "met" if link.met else "MISSED"
            ratio = link.auto.median / link.off.median
            yield f"    ratio {ratio:.3f}   goal <= {GOAL:g}: {verdict}"


def run(order: Order) -> Result:
    """Measure each link; needs root."""
    with lab() as hosts:
        return Result(links=tuple(_link(order, hosts, mb_s) for mb_s in LINKS_MB_S))


def _link(order: Order, hosts: Lab, mb_s: int) -> Link:
    for sender, receiver in ("ab", "ba"):  # either may become primary
        hosts.slow(sender, receiver, mb_s * 1_000_000)
    mib = order.scaled(mb_s * SECONDS)
    times: dict[str, list[float]] = {"auto": [], "off": []}
    for _ in range(order.count):
        for compression, each in times.items():
            each.append(_update_s(order.directory, hosts, compression, mib))
    auto, off = (Spread.of(times[name]) for name in ("auto", "off"))
    return Link(mb_s=mb_s, mib=mib, auto=auto, off=off)


def _update_s(directory: Path, hosts: Lab, compression: str, mib: int) -> float:
    with tempfile.TemporaryDirectory(prefix="sbs-slow-", dir=directory) as base:
        sync = {"compression": compression, "watch": False, "period_s": 86_400.0}
        pair = LabPair(Path(base), hosts, {"sync": sync})
        try:
            primary, secondary = pair.start()
            before = secondary.status()["last_update"]
            trees.compressible(primary.folder, mib, 1024 * 1024)
            began_at = time.time()
            primary.ask("sync")
            wait_until(lambda: secondary.status()["last_update"] != before, "it is applied")
            return float(secondary.status()["last_update"]["at"]) - began_at
        finally:
            pair.end()
