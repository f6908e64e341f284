"""Work that tells how far it is."""

from __future__ import annotations

from sbs.core.progress import Phase, Progress
from sbs.runtime.updating.tracker import Tracker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_between_two_pieces_of_work_there_is_nothing_to_see() -> None:
    tracker = Tracker(Clock())
    tracker.advance(1, 1)
    assert tracker.progress is None
    tracker.begin(Phase.SCANNING)
    assert tracker.progress == Progress(phase="scanning")
    tracker.end()
    assert tracker.progress is None
    tracker.advance(1, 1)
    assert tracker.progress is None


def test_each_phase_counts_anew() -> None:
    clock = Clock()
    tracker = Tracker(clock)
    tracker.begin(Phase.RECEIVING, files_total=10, bytes_total=1000)
    for _ in range(5):
        clock.now += 0.125
        tracker.advance(1, 100)
    found = tracker.progress
    assert found is not None
    assert (found.files, found.bytes) == (5, 500)
    assert found.bytes_s == 800
    assert found.remaining_s == 0.6
    tracker.begin(Phase.APPLYING, files_total=10, bytes_total=1000)
    assert tracker.progress == Progress(phase="applying", files_total=10, bytes_total=1000)


def test_a_look_sees_a_stall_and_changes_nothing() -> None:
    """The worker's thread is in the middle of its counting whenever somebody looks."""
    clock = Clock()
    tracker = Tracker(clock)
    tracker.begin(Phase.SENDING, files_total=1, bytes_total=1000)
    clock.now += 1
    tracker.advance(0, 500)
    clock.now += 20
    stalled = tracker.progress
    assert stalled is not None
    assert stalled.bytes_s is not None
    assert stalled.bytes_s < 20
    for _ in range(3):
        assert tracker.progress == stalled
