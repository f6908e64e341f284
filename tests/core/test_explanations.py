"""What the core calls by one word is explained to people."""

from __future__ import annotations

from sbs.core.alarm import ALARMS, Alarm
from sbs.core.messages import Code
from sbs.core.refusal import REFUSALS


def test_every_alarm_is_explained_and_the_page_has_them_in_order() -> None:
    assert [*ALARMS] == sorted(Alarm)


def test_every_refusal_is_explained_in_the_order_of_the_codes() -> None:
    assert [*REFUSALS] == [*Code]
