"""How far the secondary is behind (B61)."""

from __future__ import annotations

import itertools
import random

import pytest

from sbs.runtime.updating.lag import Lag


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lag(clock: Clock) -> Lag:
    return Lag(clock)


def test_before_the_first_update_it_is_since_the_beginning(clock: Clock, lag: Lag) -> None:
    clock.at = 105.0
    assert lag.since == 100.0
    lag.begin()
    clock.at = 106.0
    assert lag.since == 100.0  # the update may yet fail


def test_without_a_watcher_it_is_since_the_last_update_began(clock: Clock, lag: Lag) -> None:
    """What was written while it looked may have come too late for it."""
    clock.at = 105.0
    lag.begin()
    clock.at = 106.0
    lag.catch_up(watched=False, exported=True)
    assert lag.since == 105.0


def test_with_a_watcher_that_sees_nothing_there_is_none(clock: Clock, lag: Lag) -> None:
    lag.begin()
    lag.catch_up(watched=True, exported=True)
    assert lag.since is None
    clock.at = 200.0
    lag.change()
    clock.at = 201.0
    lag.change()
    assert lag.since == 200.0
    lag.begin()
    assert lag.since == 200.0
    lag.catch_up(watched=True, exported=True)
    assert lag.since is None


def test_what_is_seen_during_an_update_may_have_come_too_late_for_it(
    clock: Clock, lag: Lag
) -> None:
    clock.at = 105.0
    lag.begin()
    clock.at = 106.0
    lag.change()
    lag.catch_up(watched=True, exported=True)
    assert lag.since == 105.0


def test_a_quiet_time_ends_with_the_session(clock: Clock, lag: Lag) -> None:
    lag.begin()
    lag.catch_up(watched=True, exported=True)
    clock.at = 300.0
    lag.doubt()
    clock.at = 400.0
    lag.doubt()
    assert lag.since == 300.0


def test_a_failed_update_after_a_quiet_time_counts_from_its_begin(clock: Clock, lag: Lag) -> None:
    lag.begin()
    lag.catch_up(watched=True, exported=True)
    clock.at = 300.0
    lag.begin()  # and fails
    clock.at = 301.0
    lag.begin()  # this one, too
    assert lag.since == 300.0


@pytest.mark.parametrize("seed", range(200))
def test_nothing_that_was_written_is_ever_newer_than_it_says(seed: int) -> None:
    """A model that knows each write: the oldest one that the secondary lacks is not before."""
    chance, clock = random.Random(seed), Clock()
    lag = Lag(clock)
    missing: list[float] = []  # writes that the secondary lacks
    taken = 0  # of these, how many the present update will have sent
    for _ in range(200):
        clock.at += chance.random()
        match chance.choice(("write", "begin", "done", "lost")):
            case "write":
                missing.append(clock.at)
                lag.change()
            case "begin":
                taken = len(missing)
                lag.begin()
            case "done" if taken >= 0:
                del missing[:taken]
                lag.catch_up(watched=chance.random() < 0.9, exported=chance.random() < 0.5)
                taken = -1
            case _:
                lag.doubt()
                taken = -1
        if missing:
            since = lag.since
            assert since is not None
            assert since <= missing[0]


def test_what_scripts_export_is_as_old_as_their_last_run(clock: Clock) -> None:
    """R25: no watcher sees that a database has changed, of which an update script makes a dump."""
    lag = Lag(clock, exports=True)
    clock.at = 105.0
    lag.begin()
    lag.catch_up(watched=True, exported=True)
    assert lag.since == 105.0
    clock.at = 110.0
    lag.change()
    lag.begin()
    lag.catch_up(watched=True, exported=False)
    assert lag.since == 105.0
    clock.at = 120.0
    lag.begin()  # and fails
    lag.begin()
    lag.catch_up(watched=True, exported=True)
    lag.doubt()
    assert lag.since == 120.0


def test_a_node_that_led_before_counts_anew(clock: Clock, lag: Lag) -> None:
    for watched, at in itertools.product((True, False), (150.0, 160.0)):
        lag.begin()
        lag.catch_up(watched=watched, exported=True)
        clock.at = at
        lag.restart()
        clock.at += 1
        assert lag.since == at
