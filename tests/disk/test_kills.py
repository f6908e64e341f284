"""The receiver killed at every call that changes its disk: one whole generation stands (B20).

Each try is a process that is forked for it, killed by ``shim.c`` just before a call, and then
found by a new start. The library sees what Python and SQLite do, so the journal, the index, the
node's state, the folders and the versions are all covered. Being killed after a call is being
killed before the next one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.disk.receiver import Receiver
from tests.disk.scene import Scene
from tests.disk.shim import Kind, What


def points(count: int) -> Iterator[int]:
    """All calls, and one more, which is not there: the last try is not killed."""
    return iter(range(1, count + 2))


def test_killed_at_every_call_of_an_update(stage: Scene, receiver: Receiver) -> None:
    """B20, B21: g or g+1, complete, nothing left over, what was replaced is kept; then g+1."""
    count = receiver.run("take", stage.restore("counted")).count
    seen: set[tuple[bool, bool]] = set()
    for at in points(count):
        stage.restore("work")
        ended = receiver.run("take", "work", What.KILL_BEFORE, at=at)
        assert ended.killed is (at <= count)
        outcome = stage.recover("work", told=receiver.was_told("work"))
        stage.finish("work")
        seen.add((outcome.is_next, outcome.recovered))
    assert count > 200, "all calls were counted"
    assert seen == {(False, False), (True, True), (True, False)}


def test_killed_in_the_middle_of_every_write(stage: Scene, receiver: Receiver) -> None:
    """B20: half of a write to the journal, the index, a stream or a file proves nothing."""
    count = receiver.run("take", stage.restore("counted"), kinds=Kind.DATA).count
    for at in points(count):
        stage.restore("work")
        receiver.run("take", "work", What.KILL_TORN, at=at, kinds=Kind.DATA)
        stage.recover("work", told=receiver.was_told("work"))
        stage.finish("work")
    assert count > 50, "all writes were counted"


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_killed_at_every_call_of_the_recovery(
    stage: Scene, receiver: Receiver, share: float
) -> None:
    """B20: a recovery that is killed is finished by the next.

    Args:
        share: of the roll-forward that was done before the first kill.
    """
    committed = receiver.run("commit", stage.restore("work")).count
    count = receiver.run("take", stage.restore("work")).count
    at = committed + 1 + int(share * (count - committed))
    receiver.run("take", stage.restore("work"), What.KILL_BEFORE, at=at)
    stage.restore("killed", "work")  # to come back to "work": its journal names its folders
    count = receiver.run("recover", "work").count
    for point in points(count):
        stage.restore("work", "killed")
        receiver.run("recover", "work", What.KILL_BEFORE, at=point)
        assert stage.recover("work", told=True).is_next
        stage.finish("work")
    assert count > 20, "all calls were counted"
