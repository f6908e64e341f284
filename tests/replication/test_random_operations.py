"""Random operations against a model: the secondary holds what it must, and nothing is lost."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from sbs.replication import index
from sbs.replication.reading import _CLOCK_REALTIME_COARSE
from tests.replication.machine import Replication, made

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


def test_random_operations(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """B4, B20 to B24, R21 to R23: see :mod:`tests.replication.machine`.

    ``SBS_OPERATIONS`` makes it longer; ``SBS_OPERATIONS_SEED`` is the first seed, the one that is
    printed last is the one to run again.
    """
    caplog.set_level(logging.ERROR)
    # What the index knows has to count within a test: after one tick of this kernel, not ten.
    monkeypatch.setattr(index, "SETTLING_NS", TICK_NS)
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
