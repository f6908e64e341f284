"""docs/web.md tells of every path, metric and limit there is, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

from sbs.runtime.showing import conversation, door, news, pages, snapshots
from sbs.runtime.showing.health import PATHS, Question
from sbs.runtime.showing.metrics import METRICS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "web.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\|(.*)\|$", section, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines[2:]]


def test_every_metric_is_described() -> None:
    """B61: documented names and units."""
    expected = [
        [
            f"`{family.name}`",
            ", ".join(f"`{label}`" for label in family.labels),
            "counter" if family.counts else "gauge",
            family.help,
        ]
        for family in METRICS
    ]
    assert rows("Metrics") == expected


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
