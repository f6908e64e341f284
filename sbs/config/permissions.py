"""Looks whether others could change what a node trusts: its configuration, its state."""

from __future__ import annotations

import os
import sys

from sbs.core import permissions


def distrust(path: str, found: os.stat_result, account: int | None = None) -> str:
    """Why an account must not trust a file or directory: others could change or replace it.

    It itself is looked at, and the directory in which it lies: also the one of a link, and that
    of its target.

    Args:
        path: of it.
        found: what ``stat`` says of it, of the open one where there is one.
        account: that would trust it; this process's own if left out.

    Returns:
        the reason, with the path; empty if there is none, or the system has no such modes.

    Raises:
        OSError: its directory cannot be looked at.
    """
    if sys.platform == "win32":
        return ""
    account = os.geteuid() if account is None else account
    why = permissions.changeable(found.st_mode, found.st_uid, account)
    if why:
        return f"{path}: {why}"
    names = os.path.abspath(path), os.path.realpath(path)
    for directory in sorted({os.path.dirname(name) for name in names}):
        around = os.stat(directory)
        why = permissions.replaceable(around.st_mode, around.st_uid, account)
        if why:
            return f"{directory}, where {os.path.basename(path)} lies: {why}"
    return ""
