"""When the next cycle of a leader begins (B23)."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from sbs.runtime.updating.pace import MAX_LOOK_SHARE, SETTLE_S, Pace

LOOK_S = 3.0


async def waited_s(pace: Pace, *, full: bool) -> float:
    """How long after a cycle that looked for a while the next one begins, if a file changes."""
    pace.begin()
    assert pace.is_full(asked=full) is full
    with pace.looking():
        await trio.sleep(LOOK_S)
    pace.nudge()
    began_at = trio.current_time()
    await pace.wait()
    return trio.current_time() - began_at


async def test_looking_where_files_change_is_a_small_share_of_the_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pace = Pace(period_s=1000.0, rescan_s=1000.0)
    pace.begin()
    assert pace.is_due(asked=True)
    assert await waited_s(pace, full=True) == pytest.approx(SETTLE_S)
    rest_s = await waited_s(pace, full=False)
    assert LOOK_S / (LOOK_S + rest_s) == pytest.approx(MAX_LOOK_SHARE)


async def test_a_full_scan_delays_no_change_after_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """B23: found by W7: the first save after a first update of 25,000 files waited for 5 s."""
    pace = Pace(period_s=1000.0, rescan_s=1000.0)
    pace.begin()
    assert pace.is_due(asked=True)
    for _ in range(3):
        assert await waited_s(pace, full=True) == pytest.approx(SETTLE_S)
