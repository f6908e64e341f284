"""The power fails at any call of an update: one whole generation stands all the same (B20).

The update is taken once, and every call written down; :mod:`tests.disk.powercut` says what a disk
may then hold. Of disks that are equal one is tried.
"""

from __future__ import annotations

import os

from sbs.replication.files.content import digest_of_content
from sbs.replication.files.index import Index
from tests.disk.calls import Inode, Recording
from tests.disk.powercut import Disk, cuts
from tests.disk.receiver import LOG, Receiver
from tests.disk.scene import Recognizes, Scene, adopt, check_index
from tests.disk.shim import What

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
    is_of = recognizing(disk.put(base))
    check_index(base, is_of)
    adopt(f"{base}/state/index.db", base, is_of)


def recognizing(files: dict[str, Inode]) -> Recognizes:
    """Whether a row is of the file that a disk holds, by the stat that it had there."""
    return lambda path, key: path in files and files[path].key == key


def is_new(disk: Disk, seen: set[bytes]) -> bool:
    """Whether it is the first of its kind."""
    before = len(seen)
    seen.add(disk.fingerprint)
    return len(seen) > before


def test_power_lost_at_every_call_of_an_update(stage: Scene, receiver: Receiver) -> None:
    """B20, B21: as after a kill; the index claims nothing that the disk does not hold."""
    stage.restore("work")
    recording = record(stage, receiver, "take")
    seen: set[bytes] = set()
    outcomes: set[tuple[bool, bool]] = set()
    for cut in cuts(recording, SEED, MIXTURES):
        if is_new(disk := Disk(recording, cut), seen):
            start(stage, disk)
            outcome = stage.recover("work", told=disk.told, streams=True)
            stage.finish("work", rows=False)
            outcomes.add((outcome.is_next, outcome.recovered))
    assert len(seen) > 300, "there are many ways to lose power"
    assert outcomes == {(False, False), (True, True), (True, False)}


def test_power_lost_at_every_call_of_the_recovery(stage: Scene, receiver: Receiver) -> None:
    """B20: what was committed is applied by the next start, or the one after that."""
    committed = receiver.run("commit", stage.restore("work")).count
    receiver.run("take", stage.restore("work"), What.KILL_BEFORE, at=committed + 1)
    recording = record(stage, receiver, "recover")
    seen: set[bytes] = set()
    for cut in cuts(recording, SEED, MIXTURES):
        if is_new(disk := Disk(recording, cut), seen):
            start(stage, disk)
            assert stage.recover("work", told=True, streams=True).is_next
            stage.finish("work", rows=False)
    assert len(seen) > 100, "there are many ways to lose power"


def test_power_lost_after_a_primary_read_what_was_not_synced(
    stage: Scene, receiver: Receiver
) -> None:
    """B25: services need not sync; the index does not trust what a power cut may have taken back.

    The row of a file is durable, and so are the file's size and times, but not what it holds.
    """
    stage.restore("work")
    recording = record(stage, receiver, "serve")
    seen: set[bytes] = set()
    doubted = 0
    for cut in cuts(recording, SEED, MIXTURES):
        if not is_new(disk := Disk(recording, cut), seen):
            continue
        base = f"{stage.home}/work"
        is_of = recognizing(files := disk.put(base))
        index = Index(f"{base}/state/index.db", boot="after the power cut")
        for path, inode in files.items():
            directory, _, name = path.removeprefix("data/").rpartition("/")
            row = index.row("data", directory, name)
            if row is not None and is_of(path, row.stat):
                true = row.digest == digest_of_content(bytes(inode.content))
                assert true or not row.settled, f"the index does not tell the truth about {path}"
                doubted += not true
        index.close()
    assert doubted > 0, "there was something that could have been believed"
