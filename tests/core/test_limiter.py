"""The token bucket, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.limiter import BURST_S, MIN_BYTES_S, PIECE_S, Limiter, piece_bytes

KIB = 1024


def test_the_first_message_goes_at_once_and_the_next_waits_for_it() -> None:
    bucket = Limiter(1000.0)
    assert bucket.free_at < 0
    bucket = bucket.after(500, 100.0)
    assert bucket.free_at == pytest.approx(100.5 - BURST_S)
    assert bucket.after(500, bucket.free_at).free_at == pytest.approx(101.0 - BURST_S)


def test_a_pause_gives_no_more_than_a_short_burst() -> None:
    bucket = Limiter(1000.0).after(500, 0.0)
    assert bucket.after(1, 1e6).free_at == pytest.approx(1e6 - BURST_S + 0.001)


sizes = st.integers(min_value=1, max_value=1_000_000)
pauses = st.floats(min_value=0, max_value=2)


@given(st.integers(MIN_BYTES_S, 10**9), st.lists(st.tuples(sizes, pauses), min_size=2))
def test_no_stretch_of_time_carries_more_than_the_limit(
    bytes_s: int, messages: list[tuple[int, float]]
) -> None:
    """But for what is allowed at once: a short burst, and the message that overdraws."""
    bucket, now = Limiter(bytes_s), 0.0
    sent: list[tuple[float, int]] = []
    for size, pause in messages:
        now = max(now + pause, bucket.free_at)
        bucket = bucket.after(size, now)
        sent.append((now, size))
    for first in range(len(sent)):
        total = 0
        for at, size in sent[first:]:
            assert total <= bytes_s * (at - sent[first][0] + BURST_S) * (1 + 1e-9)
            total += size


def test_timers_that_are_late_cost_nothing() -> None:
    bucket, now = Limiter(1_000_000.0), 0.0
    for _ in range(1000):
        now = max(now, bucket.free_at) + 0.001
        bucket = bucket.after(10_000, now)
    assert now == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize(
    ("bytes_s", "size"),
    [
        (MIN_BYTES_S, 256 * KIB),
        (1024 * KIB, 256 * KIB),
        (2000 * KIB, 384 * KIB),
        (4096 * KIB, 1024 * KIB),
        (10**12, 1024 * KIB),
    ],
)
def test_messages_are_small_under_a_low_limit(bytes_s: int, size: int) -> None:
    most = 1024 * KIB
    assert piece_bytes(bytes_s, unit=128 * KIB, least=256 * KIB, most=most) == size
    assert size <= max(256 * KIB, bytes_s * PIECE_S)
