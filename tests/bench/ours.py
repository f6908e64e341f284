"""SBS at work: a real pair of processes, updated through the control socket."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from sbs.runtime.operating import client
from tests.bench import trees
from tests.bench.cost import Cost, cpu_s, peak_bytes, reset_peak
from tests.support import wait_until
from tests.system.nodes import Node, Pair, pair_in

ASKED: Final[Mapping[str, object]] = {
    "strict_delete": True,
    "preserve_mtime": True,
    "watch": False,
    "period_s": 86_400.0,
}
"""Like ``rsync -a --delete``; and nothing begins by itself, but what is asked for."""

UPDATE_S: Final = 1800.0
"""For one update: many times what the largest takes."""


@attrs.frozen(kw_only=True)
class Done:
    """One update.

    Args:
        cost: of both nodes.
        sent_bytes: of contents.
    """

    cost: Cost
    sent_bytes: int


class Ours:
    """A pair: ``alpha`` is primary; see :func:`ours`."""

    def __init__(self, pair: Pair, folder: Path) -> None:
        self.pair = pair
        self.primary = pair.alpha
        self.secondary = pair.beta
        self.folder = folder
        """The primary's."""

    def start(self) -> None:
        """Start both; return when the secondary holds what the primary has."""
        self.primary.start()
        self.primary.wait_role("primary")
        self.secondary.start()
        self.pair.wait_settled(self.primary, self.secondary, UPDATE_S)

    def restart(self, sync: Mapping[str, object]) -> None:
        """Stop both in order and start them with other settings of ``[sync]``."""
        for node in (self.secondary, self.primary):
            node.stop_at_once()
        self.pair.configure({"sync": sync})
        self.start()

    def update(self, change: Callable[[], object] | None = None, *, quick: bool = False) -> Done:
        """One update, from the moment at which it can begin.

        Args:
            change: made before the clock starts; the primary is frozen meanwhile, so that its
                watcher cannot begin early.
            quick: look only where the watcher has seen something.
        """
        pids = [node.pid for node in self.pair.nodes]
        before = [_last_update(node) for node in self.pair.nodes]
        for pid in pids:
            reset_peak(pid)
        used_s = sum(map(cpu_s, pids))
        self.primary.signal(signal.SIGSTOP)
        try:
            if change is not None:
                change()
            began_at = time.time()
        finally:
            self.primary.signal(signal.SIGCONT)
        client.ask(str(self.primary.state_dir), "sync", timeout_s=UPDATE_S, quick=quick)
        answered_at = time.time()
        said_at, flushed_at, sent_bytes = answered_at, answered_at, 0
        if (sent := _last_update(self.primary)) != before[0]:
            wait_until(lambda: _last_update(self.secondary) != before[1], "it is applied", UPDATE_S)
            said_at, flushed_at = sent["at"], _last_update(self.secondary)["at"]
            sent_bytes = sent["bytes"]
        cost = Cost(
            said_s=said_at - began_at,
            flushed_s=flushed_at - began_at,
            cpu_s=sum(map(cpu_s, pids)) - used_s,
            peak_bytes=sum(map(peak_bytes, pids)),
        )
        self._check()
        return Done(cost=cost, sent_bytes=sent_bytes)

    def _check(self) -> None:
        """No figure counts for an update that did not do its work."""
        assert trees.census(self.folder) == trees.census(self.secondary.folder)
        for node in self.pair.nodes:
            assert not node.alarms, node.alarms


@contextmanager
def ours(directory: Path, folder: Path, sync: Mapping[str, object] = ASKED) -> Iterator[Ours]:
    """A pair that is not started yet; its processes end with the block.

    Args:
        directory: for state, logs and the secondary's folder.
        folder: the primary's, which exists.
        sync: settings of ``[sync]``.
    """
    with pair_in(directory, {"sync": sync, "services": None}) as pair:
        pair.alpha.folder = folder
        pair.alpha.configure({"folders": [{"name": "data", "path": str(folder)}]})
        yield Ours(pair, folder)


def _last_update(node: Node) -> dict[str, Any]:
    return node.status()["last_update"] or {}
