"""Fixtures of the command line's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two nodes with one service, not started; they end with the test."""
    with Pair(tmp_path, units={"web": ["sleep", "1000"]}) as pair:
        yield pair
