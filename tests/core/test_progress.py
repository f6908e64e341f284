"""How far work is, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.progress import FILE_BYTES, SMOOTH_S, STEP_S, Meter, Phase, Progress

MIB = 1024 * 1024


def sending(files_total: int | None = 10, bytes_total: int | None = 100 * MIB) -> Meter:
    return Meter(phase=Phase.SENDING, at=0.0, files_total=files_total, bytes_total=bytes_total)


def test_in_the_first_moments_nothing_is_known_of_the_speed() -> None:
    meter = sending().advanced(1, MIB, STEP_S / 2)
    assert meter.shown(1, MIB) == Progress(
        phase="sending", files=1, files_total=10, bytes=MIB, bytes_total=100 * MIB
    )


def test_the_speed_and_the_remaining_time_follow_from_what_was_done() -> None:
    meter = sending(files_total=0).advanced(0, 10 * MIB, 1.0)
    shown = meter.shown(0, 10 * MIB)
    assert shown.bytes_s == 10 * MIB
    assert shown.remaining_s == pytest.approx(9.0)


def test_small_files_take_time_as_well() -> None:
    """A thousand empty files are no work that is done at once."""
    meter = sending(files_total=1000, bytes_total=0).advanced(100, 0, 1.0)
    shown = meter.shown(100, 0)
    assert shown.bytes_s == 0
    assert shown.remaining_s == pytest.approx(9.0)
    mixed = sending(files_total=1, bytes_total=FILE_BYTES).advanced(0, FILE_BYTES, 1.0)
    assert mixed.shown(0, FILE_BYTES).remaining_s == pytest.approx(1.0)


def test_a_new_speed_is_taken_over_in_seconds_and_not_at_once() -> None:
    meter = sending().advanced(0, 100 * MIB, 10.0)
    size, now, speeds = 100 * MIB, 10.0, []
    for _ in range(40):
        size, now = size + MIB // 2, now + 0.5
        meter = meter.advanced(0, size, now)
        speeds.append(meter.bytes_s or 0)
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] > 9 * MIB
    assert speeds[int(SMOOTH_S / 0.5)] == pytest.approx(MIB * (1 + 9 * 0.33), rel=0.1)
    assert speeds[-1] == pytest.approx(MIB, rel=0.2)


def test_a_stall_is_seen() -> None:
    meter = sending().advanced(0, 10 * MIB, 1.0)
    stalled = meter.advanced(0, 10 * MIB, 31.0).shown(0, 10 * MIB)
    assert stalled.bytes_s is not None
    assert stalled.bytes_s < 0.01 * 10 * MIB
    assert stalled.remaining_s is not None
    assert stalled.remaining_s > 1000


@pytest.mark.parametrize(
    "meter",
    [
        sending(files_total=None),
        sending(bytes_total=None),
        Meter(phase=Phase.SCANNING, at=0.0),
    ],
)
def test_nothing_remains_of_what_nobody_knows_the_end_of(meter: Meter) -> None:
    assert meter.advanced(5, MIB, 1.0).shown(5, MIB).remaining_s is None


def test_what_does_not_move_has_no_end() -> None:
    assert sending().advanced(0, 0, 10.0).shown(0, 0).remaining_s is None


counts = st.integers(min_value=0, max_value=2**40)
times = st.floats(min_value=0, max_value=1e6)


@given(counts, counts, st.lists(st.tuples(counts, counts, times), max_size=8))
def test_any_course_of_things_can_be_shown(
    files_total: int, bytes_total: int, steps: list[tuple[int, int, float]]
) -> None:
    """More may be done than was planned: files grow."""
    meter = sending(files_total, bytes_total)
    files = size = 0
    now = 0.0
    for more_files, more_bytes, passed_s in steps:
        files, size, now = files + more_files, size + more_bytes, now + passed_s
        meter = meter.advanced(files, size, now)
        shown = meter.shown(files, size)
        assert shown.bytes_s is None or shown.bytes_s >= 0
        assert shown.remaining_s is None or shown.remaining_s >= 0
