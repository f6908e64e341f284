"""One simultaneous start of a pair: what both nodes said until they had settled, and after."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import attrs

from tests.support import WAIT_S
from tests.system.nodes import Node, Pair, pair_in

MAX_SKEW_S = 0.05
"""Greatest time between the two starts."""

WATCH_S = 1.0
"""How long a settled pair is watched."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What one simultaneous start came to.

    Args:
        seed: chooses order and skew.
        ended: nodes that ended by themselves, for one because its port was taken meanwhile.
        settle_s: from the second start until one node was primary and the other its secondary;
            ``None``: they never settled.
        dual: samples in which both nodes said ``primary``.
        moved: samples, after they had settled, in which the roles were others.
        epochs: ``SBS_EPOCH`` of each start of a service on either node.
        serving: nodes whose service answered at the end.
        logs: the end of both logs.
    """

    seed: int
    ended: tuple[str, ...]
    settle_s: float | None
    dual: int
    moved: int
    epochs: tuple[int, ...]
    serving: tuple[str, ...]
    logs: str

    @property
    def fault(self) -> str:
        """What was wrong; empty if nothing."""
        if self.ended:
            return f"ended by themselves: {self.ended}"
        if self.settle_s is None:
            return "the nodes did not settle"
        if self.dual:
            return f"both were primary in {self.dual} samples"
        if self.moved:
            return f"after they had settled the roles changed, in {self.moved} samples"
        if len(set(self.epochs)) != len(self.epochs) or not self.epochs:
            return f"the services were started with epochs {self.epochs}"
        if len(self.serving) != 1:
            return f"services answer on {self.serving or 'no node'}"
        return ""


def start_together(directory: Path, seed: int) -> Outcome:
    """Start a pair with a random skew, in random order, and watch it."""
    choice = random.Random(seed)
    with pair_in(directory) as pair:
        for node in pair.nodes:
            node.record_starts()
        first, second = choice.sample(pair.nodes, 2)
        first.start()
        time.sleep(choice.uniform(0, MAX_SKEW_S))
        second.start()
        return _watch(pair, seed)


def _watch(pair: Pair, seed: int) -> Outcome:
    started_at = time.monotonic()
    settled_at: float | None = None
    dual = moved = 0
    settled: list[str] = []
    while time.monotonic() < (settled_at + WATCH_S if settled_at else started_at + WAIT_S):
        if _ended(pair):
            break
        statuses = [node.status() for node in pair.nodes]
        roles = [str(status["role"]) for status in statuses]
        dual += roles.count("primary") == 2
        if settled_at is not None:
            moved += roles != settled
        elif sorted(roles) == ["primary", "secondary"] and all(map(_calm, statuses)):
            settled, settled_at = roles, time.monotonic()
        time.sleep(0.02)
    return Outcome(
        seed=seed,
        ended=_ended(pair),
        settle_s=None if settled_at is None else settled_at - started_at,
        dual=dual,
        moved=moved,
        epochs=tuple(epoch for node in pair.nodes for epoch in _epochs(node)),
        serving=tuple(node.name for node in pair.nodes if node.serves),
        logs=pair.log_tails(),
    )


def _ended(pair: Pair) -> tuple[str, ...]:
    return tuple(
        node.name for node in pair.nodes if node.process and node.process.poll() is not None
    )


def _calm(status: dict[str, Any]) -> bool:
    peer = status["peer"]
    return bool(status["state"] in ("primary", "secondary") and peer and peer["connected"])


def _epochs(node: Node) -> list[int]:
    return [int(json.loads(line)["epoch"]) for line in node.starts.read_text().splitlines()]
