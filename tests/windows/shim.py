"""Lets trio run under Wine 8, which does not know SIO_BSP_HANDLE_SELECT: a plug-in of pytest.

trio asks for it to find programs that stand between it and the network. There is none here.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any


def let_trio_run() -> None:
    """Have each such question answered as if it were SIO_BASE_HANDLE."""
    windows: Any = importlib.import_module("trio._core._io_windows")
    ask = windows._get_underlying_socket
    windows._get_underlying_socket = functools.wraps(ask)(lambda sock, which=None: ask(sock))


def pytest_configure() -> None:
    """Before anything uses trio."""
    let_trio_run()
