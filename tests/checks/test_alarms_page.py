"""docs/alarms.md tells of every alarm there is, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

from sbs.core.effects import Alarm
from sbs.core.notice import QUARANTINE

ROOT = Path(__file__).parents[2]


def test_page_lists_every_alarm() -> None:
    source = "".join(path.read_text("utf-8") for path in ROOT.glob("sbs/runtime/**/*.py"))
    raised = set(re.findall(r'"([a-z]+(?:-[a-z]+)*-(?:failed|refused|down|stopped|held))"', source))
    raised |= set(re.findall(r'^(?:[A-Z]+_)?ALARM: Final = "([a-z-]+)"$', source, re.MULTILINE))
    raised.add(QUARANTINE)  # the role machine's side knows its name, for a mail
    page = (ROOT / "docs" / "alarms.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert listed == sorted(raised | {alarm.value for alarm in Alarm})
