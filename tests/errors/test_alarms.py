"""Each alarm can come."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbs.core.alarm import Alarm
from sbs.testing.nodes import memory_pair
from sbs.testing.notifiers import MemoryNotifier
from tests.errors.nodes import NODES, Scene, open_stubborn
from tests.errors.roles import ROLES, STEP_S


@pytest.mark.parametrize("alarm", ROLES, ids=str)
def test_an_alarm_of_the_role_machine_comes(alarm: Alarm) -> None:
    pair = ROLES[alarm]()
    raised: set[Alarm] = set()
    until = pair.clock.now + 90.0
    while alarm not in raised and pair.clock.now < until:
        pair.run(STEP_S)
        raised.update(*(node.alarms for node in pair.nodes))
    assert alarm in raised


@pytest.mark.parametrize("alarm", NODES, ids=str)
async def test_an_alarm_of_a_node_comes(
    alarm: Alarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = MemoryNotifier()
    await away.leave()
    async with memory_pair(tmp_path, services=open_stubborn, notifier=away.open) as pair:
        node = await NODES[alarm](Scene(pair, tmp_path, monkeypatch))
        assert await node.wait_alarm(alarm)


def test_every_alarm_has_a_way_to_come() -> None:
    assert {*ROLES} | {*NODES} == {*Alarm}
    assert not {*ROLES} & {*NODES}
