"""How many files a node's process may have open: enough for its worst hour."""

from __future__ import annotations

import sys
from typing import Final

from sbs.errors import ConfigError

NEEDED: Final = 512
"""128 strangers and 96 who come or go, 32 connections of peers, 64 of the control socket, 128
directories of an update, and some 30 of the node itself; the rest is spare."""


def claim_descriptors() -> None:
    """Raise this process's limit on open files to :data:`NEEDED`, where it is lower.

    To be called by whoever runs a node, before it starts. A higher limit stays as it is: services
    inherit it, and some of them cannot count beyond the customary 1024.

    Raises:
        ConfigError: the system does not allow so many.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < NEEDED:
        raise ConfigError(
            f"a node may need {NEEDED} open files, and this process is allowed {hard}: raise "
            "LimitNOFILE= of its unit, or ulimit -n"
        )
    if 0 <= soft < NEEDED:
        resource.setrlimit(resource.RLIMIT_NOFILE, (NEEDED, hard))
