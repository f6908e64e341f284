"""The adapter ``systemd`` beside real systemd (R30, R32, B30, B31): each check of ``inside.py``."""

from __future__ import annotations

import os
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.systemd.box import Box, booted

INSIDE = Path(__file__).with_name("inside.py")
CHECKS = re.findall(r"^async def (test_\w+)", INSIDE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """One machine for all checks."""
    with booted(tmp_path_factory.mktemp("systemd")) as box:
        yield box


@pytest.fixture(scope="module")
def failures(box: Box) -> Mapping[str, list[str]]:
    """What each check had to say; nothing if it held."""
    report = box.shared / "report.xml"
    done = box.service(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *(f"--junitxml={report}", os.fspath(INSIDE)),
        timeout_s=120,
    )
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    tree = ET.parse(report)  # noqa: S314 - pytest wrote it
    for case in tree.getroot().iter("testcase"):
        name = case.attrib["name"].partition("[")[0]
        texts = [f"{case.attrib['name']}: {result.text}" for result in case]
        found.setdefault(name, []).extend(texts)
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_beside_real_systemd(check: str, failures: Mapping[str, list[str]]) -> None:
    assert check in failures, "it did not run"
    assert not failures[check], "\n".join(failures[check])
