"""What SBS lays beside units, and who may change it; what systemd makes of it: tests/systemd."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbs.adapters.services.systemd import binding


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Stand in for ``/run``; whoever started SBS forbids his files nothing, or everything."""
    monkeypatch.setattr(binding, "PERMIT_DIR", tmp_path / "sbs" / "permits")
    monkeypatch.setattr(binding, "UNIT_DIR", tmp_path / "system")
    (tmp_path / "system").mkdir()
    before = os.umask(0)
    yield tmp_path
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_permit_is_for_root_alone(places: Path) -> None:
    """B62: it is what lets a unit start, and is its environment."""
    for epoch in ("4", "6"):
        binding.permit("a.service", {"SBS_EPOCH": epoch})
    permits = places / "sbs" / "permits"
    assert (permits / "a.service").read_text() == 'SBS_EPOCH="6"\n'
    assert [each.name for each in permits.iterdir()] == ["a.service"]
    assert mode(permits / "a.service") == 0o600
    assert mode(permits) == mode(permits.parent) == 0o755


@pytest.mark.parametrize("umask", [0, 0o077])
def test_everybody_may_read_a_drop_in_and_root_alone_write_it(places: Path, umask: int) -> None:
    """B62"""
    os.umask(umask)
    binding.bind("a.service", "sbs-1-1.scope")
    (drop_in,) = (places / "system" / "a.service.d").iterdir()
    assert mode(drop_in) == 0o644
    assert mode(drop_in.parent) & 0o022 == 0
    assert binding.bound_to("a.service") == "sbs-1-1.scope"
