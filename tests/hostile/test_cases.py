"""A hostile peer before a real node: each case of each table (B62)."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from tests.hostile.arena import run
from tests.hostile.case import Case, Wire
from tests.hostile.cases import TOPICS

SAMPLE = 9
"""One case in so many is played over TLS as well: what is below makes no difference to the rest."""

CASES = [case for cases in TOPICS.values() for case in cases]
PLAIN = [case for case in CASES if case.wire is Wire.PLAIN]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_hostile_peer_changes_nothing_outside_and_no_role(
    case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B62: files, role, memory, texts, and the next peer of good will."""
    caplog.set_level("INFO", "sbs")
    await run(case, tmp_path, caplog.records)


@pytest.mark.parametrize("case", PLAIN[::SAMPLE], ids=lambda case: case.name)
async def test_an_authenticated_peer_can_do_no_more(
    case: Case, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """B62: the same over TLS, from whoever has the pinned identity."""
    caplog.set_level("INFO", "sbs")
    await run(attrs.evolve(case, wire=Wire.TLS), tmp_path, caplog.records)
