"""Each class of errors can come."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing

from sbs.errors import SbsError
from tests.errors.messages import said
from tests.errors.raising import RAISED
from tests.errors.tree import classes


@pytest.mark.parametrize("error", classes(), ids=lambda error: error.__name__)
async def test_an_error_comes(
    error: type[SbsError], tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Of a class that is only a parent one of its children does."""
    with pytest.raises(error) as caught:
        await RAISED[error](tmp_path)
    if said()[error.__name__]:
        assert type(caught.value) is error
    assert str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_case_is_of_a_class_that_is_gone() -> None:
    assert {*RAISED} == {*classes()}
