"""docs/errors.md tells of every alarm there is, and of no other."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from sbs.core.alarm import ALARMS, Alarm
from tests.errors.page import MARKER, PAGE, ROOT, document

SENTENCES = re.compile(r"[A-Z`].*[.]", re.DOTALL)


def test_the_page_ends_with_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8").partition(MARKER)[2] == document()


def test_the_module_prints_the_tables() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.errors"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode() == document()
    assert done.stderr == b""


@pytest.mark.parametrize("alarm", Alarm)
def test_every_alarm_has_a_cause_and_a_remedy(alarm: Alarm) -> None:
    explained = ALARMS[alarm]
    assert SENTENCES.fullmatch(explained.cause)
    assert SENTENCES.fullmatch(explained.remedy)
    for page in re.findall(r"docs/[a-z]+\.md", explained.cause + explained.remedy):
        assert (ROOT / page).is_file(), page


def test_no_other_alarm_is_explained() -> None:
    assert {*ALARMS} == {*Alarm}
