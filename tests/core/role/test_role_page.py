"""docs/roles.md says what the table says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from sbs.core.alarm import Alarm
from sbs.core.claim import Mode, Role
from sbs.core.role import IGNORED, TABLE, State
from sbs.core.role.describe import diagram, document, table

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "roles.md").read_text("utf-8")


def test_the_page_ends_with_what_the_code_says() -> None:
    marker = "<!-- begin: python -m sbs.core.role -->\n"
    assert PAGE.endswith(f"{marker}{document()}<!-- end -->\n")


def test_the_module_prints_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_module("sbs.core.role", run_name="__main__")
    assert capsys.readouterr().out == document()


def test_every_rule_has_a_row_in_a_sentence() -> None:
    rows = table().splitlines()[2:]
    handled = [rule for rules in TABLE.values() for rule in rules.values() if rule is not IGNORED]
    assert len(rows) == len(handled)
    for row in rows:
        assert re.fullmatch(r"\| [A-Z]+ \| \w+ \| [A-Z][^|]*[.] \| [A-Z, ]*\|", row), row


def test_the_diagram_has_every_state_and_every_change() -> None:
    arrows = set(re.findall(r"^    ([A-Z]+) --> ([A-Z]+): ", diagram(), re.MULTILINE))
    assert arrows == {
        (state.name, after.name)
        for state, rules in TABLE.items()
        for rule in rules.values()
        for after in rule.leads_to - {state}
    }
    assert {name for arrow in arrows for name in arrow} == {state.name for state in State}


def test_the_page_explains_every_role_and_mode() -> None:
    for word in (*Role, *Mode):
        assert f"`{word.value}`" in PAGE
    roles = [alarm.value for alarm in Alarm if alarm.value in PAGE]
    assert {"no-primary", "no-generation", "dual-primary", "mode-alone"} <= set(roles)
