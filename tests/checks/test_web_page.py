"""docs/web.md tells of every path, metric and limit there is, and of no other."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from sbs.core.notice import URGENT
from sbs.runtime.showing import conversation, door, news, pages, snapshots
from sbs.runtime.showing.health import PATHS, Question
from sbs.runtime.showing.metrics import METRICS, table

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "monitoring"
PAGE = (ROOT / "docs" / "web.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    return _cells(re.split(r"\n##+ ", PAGE.partition(f"\n## {heading}\n")[2])[0])


def _cells(section: str) -> list[list[str]]:
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_every_metric_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """B61: documented names and units; the table is made from the code."""
    marker = "<!-- begin: python -m sbs.runtime.showing -->\n"
    assert f"\n{marker}{table()}<!-- end -->\n" in PAGE
    runpy.run_module("sbs.runtime.showing", run_name="__main__")
    assert capsys.readouterr().out == table()


def test_every_path_is_described() -> None:
    named = {
        path: row[0]
        for row in rows("Paths")
        for path in re.findall(r"`(/\S*)`", f"{row[0]} {row[1]}")
    }
    for question in Question:
        own, *others = (path for path, means in PATHS.items() if means is question)
        assert named.pop(own) == f"`{own}`"
        for other in others:
            assert named.pop(other) == f"`{own}`"
    assert set(named) == {"/", "/status.json", "/events", "/metrics"}


def test_every_limit_is_described() -> None:
    limits = {row[0]: row[1] for row in rows("What it cannot do to the node")}
    assert limits["connections"].startswith(f"{door.MAX_CONNECTIONS};")
    head_kib = conversation.MAX_HEAD_BYTES // 1024
    assert limits["request"] == f"{head_kib} KiB, within {conversation.REQUEST_S:g} s; no body"
    assert limits["answer"] == f"read within {conversation.SEND_S:g} s"
    assert limits["requests"] == f"{1 / pages.PAUSE_S:g} a second, in turn"
    assert limits["status"] == f"taken once in {snapshots.FRESH_S:g} s, for all who ask"
    assert limits["listeners"] == str(news.MAX_LISTENERS)


def test_the_examples_ask_for_metrics_that_there_are() -> None:
    """B61: the dashboard and the rules."""
    known = {family.name for family in METRICS} | {"process_resident_memory_bytes"}
    for name in ("grafana.json", "alerts.yml"):
        found = set(
            re.findall(r"\b(?:sbs|process)_[a-z_]+\b", (EXAMPLES / name).read_text("utf-8"))
        )
        assert found
        assert found <= known, name


def test_the_dashboard_is_one() -> None:
    board = json.loads((EXAMPLES / "grafana.json").read_text("utf-8"))
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers)) == 12
    for panel in board["panels"]:
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])


def test_the_rules_know_the_alarms_that_wait_for_a_person() -> None:
    text = (EXAMPLES / "alerts.yml").read_text("utf-8")
    lists = re.findall(r'code[=!]~"([a-z|-]+)"', text)
    assert len(lists) == 2
    for codes in lists:
        assert set(codes.split("|")) == URGENT


def test_every_rule_is_described() -> None:
    text = (EXAMPLES / "alerts.yml").read_text("utf-8")
    expected = []
    for rule in text.split("- alert: ")[1:]:
        severity = re.findall(r"severity: (\w+)", rule)[0]
        after = re.findall(r"^        for: (\w+)$", rule, re.MULTILINE)
        expected.append([f"`{rule.split()[0]}`", severity, after[0] if after else "at once"])
    section = PAGE.partition("\n### Prometheus and Grafana\n")[2].partition("\n## ")[0]
    assert _cells(section) == expected


def test_the_page_shows_the_configuration_of_haproxy() -> None:
    shown = PAGE.partition("\n### HAProxy\n")[2].partition("```cfg\n")[2].partition("```")[0]
    assert (EXAMPLES / "haproxy.cfg").read_text("utf-8").endswith(shown)
