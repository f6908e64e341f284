"""Each class of errors can come."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

import pytest
import trio.testing

from sbs.errors import SbsError
from tests.errors.messages import said
from tests.errors.raising import RAISED, WAITED
from tests.errors.tree import classes


@pytest.mark.parametrize("error", RAISED, ids=lambda error: error.__name__)
async def test_an_error_comes(error: type[SbsError], tmp_path: Path) -> None:
    """Of a class that is only a parent one of its children does."""
    await check(error, RAISED[error](tmp_path))


@pytest.mark.parametrize("error", WAITED, ids=lambda error: error.__name__)
async def test_an_error_comes_when_its_time_is_over(
    error: type[SbsError], tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    await check(error, WAITED[error](tmp_path))


async def check(error: type[SbsError], case: Awaitable[object]) -> None:
    with pytest.raises(error) as caught:
        await case
    if said()[error.__name__]:
        assert type(caught.value) is error
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_class_has_its_case() -> None:
    assert {*RAISED} | {*WAITED} == {*classes()}
    assert not {*RAISED} & {*WAITED}
