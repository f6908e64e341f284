"""B62: an identity that expires is told of in time, and an open port again and again."""

from __future__ import annotations

import datetime as dt
import logging
import os
from pathlib import Path

import pytest
import trio
import trio.testing

from sbs.config import parse
from sbs.core.alarm import Alarm
from sbs.runtime.alarms import Alarms
from sbs.runtime.linking.identity_watch import LOOK_PERIOD_S, IdentityWatch
from tests.adapters.tls_rig import Identities


def watch(text: str, alarms: Alarms, peer: str = "127.0.0.1:1") -> IdentityWatch:
    return IdentityWatch(parse(f'[node]\npeer = "{peer}"\n{text}', "/etc/sbs.toml"), alarms)


def protected(made: Identities, alarms: Alarms) -> IdentityWatch:
    paths = f'identity = "{made.path("a")}"\npeer_certificate = "{made.pins("b")}"'
    return watch(f"[tls]\n{paths}", alarms)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("days", [31, 29, -1])
def test_the_alarm_comes_before_an_identity_expires(tmp_path: Path, name: str, days: int) -> None:
    made, alarms = Identities(tmp_path), Alarms()
    made.path(name, days)
    now = dt.datetime.now(dt.UTC)
    protected(made, alarms).look(now)
    text = alarms.text(Alarm.IDENTITY_EXPIRES)
    if days > 30:
        assert not text
        return
    whose, where = ("this node's", "here") if name == "a" else ("the peer's", "there")
    assert text.startswith(f"{whose} certificate {'expires' if days > 0 else 'has expired'} on ")
    assert text.endswith(f"; run sbs pair --renew {where}")


def test_a_renewed_identity_ends_the_alarm(tmp_path: Path) -> None:
    made, alarms = Identities(tmp_path), Alarms()
    made.path("a", 3)
    watching, now = protected(made, alarms), dt.datetime.now(dt.UTC)
    watching.look(now)
    assert alarms.standing
    os.replace(made.path("new"), made.path("a"))
    watching.look(now)
    assert alarms.standing == ()


def test_the_newest_of_two_pins_counts(tmp_path: Path) -> None:
    """While the peer renews its identity the old one is still pinned."""
    made, alarms = Identities(tmp_path), Alarms()
    made.path("b", 3)
    os.replace(made.pins("b", "new"), made.pins("b"))
    paths = f'identity = "{made.path("a")}"\npeer_certificate = "{tmp_path / "b.pins"}"'
    watch(f"[tls]\n{paths}", alarms).look(dt.datetime.now(dt.UTC))
    assert alarms.standing == ()


def test_files_that_cannot_be_read_are_told_of(tmp_path: Path) -> None:
    made, alarms = Identities(tmp_path), Alarms()
    watching, now = protected(made, alarms), dt.datetime.now(dt.UTC)
    os.chmod(made.path("a"), 0o644)
    watching.look(now)
    assert "everybody can read it" in alarms.text(Alarm.IDENTITY_UNREADABLE)
    os.chmod(made.path("a"), 0o600)
    watching.look(now)
    assert alarms.standing == ()


@pytest.mark.parametrize(
    ("peer", "text"),
    [
        ("127.0.0.1:1", 'listen = "0.0.0.0"\n[tls]\ninsecure = true'),
        ("beta.example.net", ""),
    ],
)
async def test_a_connection_beyond_loopback_is_told_of_again_and_again(
    peer: str,
    text: str,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B62: one that others may open, and one that this node opens to whoever answers there."""
    alarms = Alarms()
    with trio.move_on_after(2.5 * LOOK_PERIOD_S), caplog.at_level(logging.WARNING):
        await watch(text, alarms, peer).run_forever()
    assert [alarm.code for alarm in alarms.standing] == ["insecure"]
    told = [record for record in caplog.records if record.name.endswith("identity_watch")]
    assert len(told) == 3


async def test_loopback_needs_no_reminder(autojump_clock: trio.testing.MockClock) -> None:
    alarms = Alarms()
    with trio.move_on_after(2 * LOOK_PERIOD_S):
        await watch("", alarms).run_forever()
    assert alarms.standing == ()
