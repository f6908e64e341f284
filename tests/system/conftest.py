"""Fixtures of the system tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nodes import Pair, pair_in


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two nodes with default settings, not started; they end with the test."""
    with pair_in(tmp_path) as pair:
        yield pair
