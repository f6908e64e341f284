"""The role changes hands in order."""

from __future__ import annotations

import signal

from tests.system.nodes import Pair


def test_stop_of_the_primary_swaps_the_roles(pair: Pair) -> None:
    """R8 (Must show 5): what was written a millisecond before the stop is on the new primary."""
    pair.configure({"sync": {"period_s": 3600, "watch": False}})
    primary, secondary = pair.start()
    for turn in range(4):
        primary.wait_service()
        name, content = f"turn-{turn}", f"the last words of {primary.name}".encode() * 1000
        (primary.folder / name).write_bytes(content)
        primary.stop_at_once()
        secondary.wait_role("primary")
        assert (secondary.folder / name).read_bytes() == content
        assert secondary.wait_service()["node"] == secondary.name
        assert not primary.serves
        primary.start()
        pair.wait_settled(secondary, primary)
        primary, secondary = secondary, primary


def test_signals_stop_in_order(pair: Pair) -> None:
    """R8: SIGTERM and SIGINT are a user's stop."""
    primary, secondary = pair.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        (primary.folder / number.name).write_bytes(b"last")
        primary.signal(number)
        assert primary.wait() == 0, primary.log_tail()
        secondary.wait_role("primary")
        assert (secondary.folder / number.name).read_bytes() == b"last"
        primary.start()
        pair.wait_settled(secondary, primary)
        primary, secondary = secondary, primary


def test_stop_of_the_secondary_changes_nothing(pair: Pair) -> None:
    """R7: the primary serves on, with an alarm; the secondary comes back into step."""
    alpha, beta = pair.start()
    epoch = alpha.status()["epoch"]
    beta.stop()
    alpha.wait_alarm("no-secondary")
    (alpha.folder / "alone").write_bytes(b"alone")
    beta.start()
    pair.wait_settled(alpha, beta)
    beta.wait_file("alone", b"alone")
    assert alpha.status()["epoch"] == epoch
    assert not alpha.alarms


def test_switchover_exchanges_the_roles(pair: Pair) -> None:
    """B6, R32: with the newest file; the services run once, under a new epoch."""
    primary, secondary = pair.start()
    for turn in range(4):
        before = primary.wait_service()["epoch"]
        (primary.folder / "turn").write_text(str(turn))
        done = primary.sbs("switchover")
        assert done.returncode == 0, done.stderr
        pair.wait_settled(secondary, primary)
        assert (secondary.folder / "turn").read_text() == str(turn)
        assert secondary.wait_service()["epoch"] > before
        assert not primary.serves
        primary, secondary = secondary, primary


def test_switchover_without_a_secondary_is_refused(pair: Pair) -> None:
    """B6: nothing is stopped, and the exit code says so."""
    pair.alpha.start()
    pair.alpha.wait_role("primary")
    pid = pair.alpha.wait_service()["pid"]
    done = pair.alpha.sbs("switchover")
    assert done.returncode == 4
    assert "no secondary" in done.stderr
    assert pair.alpha.wait_service()["pid"] == pid
