"""The power fails at any call of an update: one whole generation stands all the same (B20).

The update is taken once, and every call written down; :mod:`tests.disk.powercut` says what a disk
may then hold. Of disks that are equal one is tried.
"""

from __future__ import annotations

import os

from tests.disk.calls import Inode, Recording
from tests.disk.powercut import Disk, cuts
from tests.disk.receiver import LOG, Receiver
from tests.disk.scene import Scene, adopt, check_index

SEED = 20

MIXTURES = int(os.environ.get("SBS_POWER_CUTS", "1"))
"""Of what is kept and what is lost, after each call."""


def record(stage: Scene, receiver: Receiver, work: str) -> Recording:
    """Run something in ``work``, and write down what it does."""
    base = f"{stage.home}/work"
    recording = Recording(base)
    receiver.run(work, "work", log=True)
    recording.read(base + LOG)
    return recording


def start(stage: Scene, disk: Disk) -> None:
    """What stands there after the power came back, as SBS finds it."""
    base = f"{stage.home}/work"
    files: dict[str, Inode] = disk.put(base)

    def is_of(path: str, key: tuple[int, ...]) -> bool:
        return path in files and files[path].key == key

    check_index(base, is_of)
    adopt(f"{base}/state/index.db", base, is_of)


def test_power_lost_at_every_call_of_an_update(stage: Scene, receiver: Receiver) -> None:
    """B20, B21: as after a kill; the index claims nothing that the disk does not hold."""
    stage.restore("work")
    recording = record(stage, receiver, "take")
    seen: set[bytes] = set()
    outcomes: set[tuple[bool, bool]] = set()
    for cut in cuts(recording, SEED, MIXTURES):
        disk = Disk(recording, cut)
        if disk.fingerprint in seen:
            continue
        seen.add(disk.fingerprint)
        start(stage, disk)
        outcome = stage.recover("work", told=disk.told, streams=True)
        stage.finish("work", rows=False)
        outcomes.add((outcome.is_next, outcome.recovered))
    assert len(seen) > 300, "there are many ways to lose power"
    assert outcomes == {(False, False), (True, True), (True, False)}
