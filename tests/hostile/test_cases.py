"""A hostile peer before a real node: each case of each table (B62)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.arena import Case, run
from tests.hostile.cases import TOPICS

CASES = [case for cases in TOPICS.values() for case in cases]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_hostile_peer_changes_nothing_outside_and_no_role(
    case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B62: files, role, memory, texts, and the next peer of good will."""
    caplog.set_level("INFO", "sbs")
    await run(case, tmp_path, caplog.records)
