from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.restarts import APART_S, MAX_DELAY_S, Handovers, RestartLimits, Restarts

LIMITS = RestartLimits(count=3, period_s=100.0, delay_s=1.0)


def test_delay_doubles_until_the_limit_is_passed() -> None:
    """B32."""
    record, now, delays = Restarts(), 1000.0, []
    for _ in range(LIMITS.count):
        record = record.ended(now, LIMITS)
        assert record.due_at is not None
        delays.append(record.due_at - now)
        now = record.due_at
        record = record.started()
        assert record.due_at is None
    assert delays == [1.0, 2.0, 4.0]
    record = record.ended(now, LIMITS)
    assert record.given_up
    assert record.due_at is None


def test_ends_of_long_ago_do_not_count() -> None:
    """B32: the limit is for a period, and the delay is short again after it."""
    record = Restarts()
    for now in (0.0, 100.0, 200.0, 300.0, 400.0):
        record = record.ended(now, LIMITS)
        assert record.due_at == now + 1.0
        record = record.started()
    assert record.ended_at == (400.0,)


def test_no_restart_where_none_is_allowed() -> None:
    """B32: for services whose manager restarts them itself."""
    none = RestartLimits(count=0, period_s=100.0, delay_s=1.0)
    assert Restarts().ended(0.0, none).given_up


def test_what_was_given_up_begins_anew_when_it_runs() -> None:
    """B32: an operator has started it."""
    record = Restarts()
    for now in range(LIMITS.count + 1):
        record = record.ended(now, LIMITS)
    assert record.given_up
    assert record.runs(LIMITS) == Restarts()
    kept = Restarts().ended(5.0, LIMITS).runs(LIMITS)
    assert kept == Restarts(ended_at=(5.0,))


def at(*moments: float, limits: RestartLimits = LIMITS) -> Restarts:
    """A service that ended at these, and ran in between."""
    record = Restarts()
    for now in moments:
        record = record.ended(now, limits).runs(limits)
    return record


@pytest.mark.parametrize(
    ("moments", "until"),
    [
        ((0.0,), 0.0),
        ((0.0, 1.0, 2.0), 0.0),  # a start that took three attempts
        ((0.0, APART_S), 160.0),
        ((0.0, 99.0), 199.0),
        ((0.0, 100.0), 0.0),  # the first is forgotten
        ((0.0, 90.0, 180.0, 270.0), 370.0),
        ((0.0, 60.0, 159.0, 161.0), 261.0),  # once seen, it is no other trouble
        ((0.0, 60.0, 161.0), 0.0),  # it has run for a period
    ],
)
def test_what_ends_now_and_then_is_unstable_until_it_has_run_for_a_period(
    moments: tuple[float, ...], until: float
) -> None:
    """B32: without ever coming to the limit."""
    record = at(*moments)
    assert not record.given_up
    for now in (moments[-1], moments[-1] + 50.0, moments[-1] + 99.9, moments[-1] + 100.0):
        assert record.unstable(now, LIMITS) is (now < until)


def test_what_is_given_up_has_an_alarm_of_its_own() -> None:
    """B32: but where its manager starts it again, that may go on for ever."""
    record = at(0.0, 80.0, 85.0)
    assert record.unstable(90.0, LIMITS)
    assert not record.ended(90.0, LIMITS).unstable(90.0, LIMITS)
    none = RestartLimits(count=0, period_s=100.0, delay_s=1.0)
    record = at(0.0, 90.0, limits=none)
    assert record.unstable(95.0, none)
    assert not record.ended(95.0, none).unstable(95.0, none)


@given(
    gaps=st.lists(st.floats(0.0, 1000.0), max_size=60),
    count=st.integers(0, 100),
    period_s=st.floats(0.1, 1000.0),
    delay_s=st.floats(0.0, 100.0),
)
def test_limit_and_delay_hold_whatever_happens(
    gaps: list[float], count: int, period_s: float, delay_s: float
) -> None:
    limits = RestartLimits(count=count, period_s=period_s, delay_s=delay_s)
    record, now = Restarts(), 0.0
    restarts: list[float] = []
    for gap in gaps:
        now += gap
        record = record.ended(now, limits)
        if record.given_up:
            break
        assert record.due_at is not None
        assert now <= record.due_at <= now + MAX_DELAY_S
        restarts.append(now)
        assert sum(now - at < period_s for at in restarts) <= count
        record = record.started()


@pytest.mark.parametrize(
    ("handovers", "says"),
    [
        (Handovers(pause_s=60.0), ""),
        (Handovers(pause_s=60.0, received_at=40.0), ""),
        (Handovers(pause_s=60.0, received_at=40.1), "the other node handed the role over"),
        (Handovers(pause_s=60.0, given_at=40.0), ""),
        (Handovers(pause_s=60.0, given_at=99.0), "this node gave the role away"),
        (Handovers(pause_s=0.0, received_at=100.0, given_at=100.0), ""),
    ],
)
def test_two_nodes_do_not_pass_the_role_to_and_fro(handovers: Handovers, says: str) -> None:
    """B32: never in a loop."""
    assert handovers.hindrance(100.0).startswith(says)
    assert bool(handovers.hindrance(100.0)) == bool(says)
