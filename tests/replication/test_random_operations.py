"""Random operations against a model: the secondary holds what it must, and nothing is lost."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from sbs.core.manifest import Action
from sbs.errors import ReplicationError
from sbs.replication.files import index
from sbs.replication.files.reading import _CLOCK_REALTIME_COARSE
from sbs.replication.receiving import staging
from tests.replication.machine import Replication, made
from tests.support import require

run = cast("Callable[..., None]", run_state_machine_as_test)
"""It has types in some releases only."""

OPERATIONS = int(os.environ.get("SBS_OPERATIONS", "20000"))
SEED = int(os.environ.get("SBS_OPERATIONS_SEED", "1"))

SLICE = settings(
    max_examples=50,
    stateful_step_count=60,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
"""Runs of one seed: some 2000 operations."""

TICK_NS = int(time.clock_getres(_CLOCK_REALTIME_COARSE) * 1e9)


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What the index knows counts after a tick of this kernel, not after ten: within a test.

    And the smallest of large files is changed in its place, on any file system.
    """
    monkeypatch.setattr(index, "SETTLING_NS", TICK_NS)
    monkeypatch.setattr(staging, "IN_PLACE_ABOVE", 0)
    monkeypatch.setattr(staging, "_share", lambda *_: False)
    caplog.set_level(logging.ERROR)


def test_random_operations() -> None:
    """B4, B20 to B24, R21 to R23: see :mod:`tests.replication.machine`.

    ``SBS_OPERATIONS`` makes it longer; ``SBS_OPERATIONS_SEED`` is the first seed, the one that is
    printed last is the one to run again.
    """
    number, before = SEED, Counter(made)
    while (made - before)["operations"] < OPERATIONS:
        sys.stdout.write(f"SBS_OPERATIONS_SEED={number}\n")
        machine = seed(number)(type("Replication", (Replication,), {}))
        run(machine, settings=SLICE)
        number += 1
    done = made - before
    sys.stdout.write(f"{dict(done.most_common())}\n")
    assert done["operations"] >= OPERATIONS
    for what in ("generations", "rolled forward after a crash", "roles swapped"):
        assert 100 * done[what] > done["operations"] / 10, what


def _nothing(*_args: object, **_options: object) -> None:
    """A step that is left out."""


def _by_size_and_date(self: Any, name: str, _path: str, status: os.stat_result) -> bytes | None:
    """A digest as rsync would trust it."""
    row = self.rows.pop(name, None)
    known = row is not None and row.stat[:2] == (status.st_size, status.st_mtime_ns)
    return row.digest if known else None


def _whatever_stands(_operations: object) -> dict[tuple[int, str], Action]:
    """Nothing is known of what takes the place of what is deleted."""
    return {}


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        ("sbs.replication.former.quarantine.Quarantine.keep", _nothing),
        ("sbs.replication.former.versions.Keeper.keep", _nothing),
        ("sbs.replication.following.apply.RollForward._touch", _nothing),
        ("sbs.replication.leading.watch.Watcher._add_below", _nothing),
        ("sbs.replication.files.visit.Visit._digest", _by_size_and_date),
        ("sbs.replication.following.apply._successors", _whatever_stands),
        ("sbs.replication.receiving.dressing.Dresser._label", _nothing),
    ],
)
def test_a_broken_replication_is_noticed(
    monkeypatch: pytest.MonkeyPatch, place: str, instead: Callable[..., object]
) -> None:
    """The machine is no rubber stamp."""
    require(root="dressing" in place)
    monkeypatch.setattr(place, instead)
    machine = seed(1)(type("Replication", (Replication,), {}))
    quick = settings(SLICE, max_examples=500, phases=[Phase.generate])
    with pytest.raises((AssertionError, ReplicationError, ExceptionGroup)):
        run(machine, settings=quick)
