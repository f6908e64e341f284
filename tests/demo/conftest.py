from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _hang_up_is_heeded() -> Iterator[None]:
    """Where the tests run without a terminal (nohup), SIGHUP is ignored, and that is inherited.

    A signal that is caught here is at its default again in a program that is executed.
    """
    before = signal.signal(signal.SIGHUP, lambda _number, _frame: None)
    yield
    signal.signal(signal.SIGHUP, before)
