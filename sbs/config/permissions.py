"""Looks whether others could change what a node trusts: its configuration, its state."""

from __future__ import annotations

import os
import sys

from sbs.core import permissions


def distrust(path: str, found: os.stat_result, account: int | None = None) -> str:
    """Why an account must not trust a file or directory: others could change or replace it.

    It itself is looked at, and where it lies, see :func:`displaced`.

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
    return f"{path}: {why}" if why else displaced(path, account)


def displaced(path: str, account: int | None = None) -> str:
    """Why an account must not trust what lies at a path, or write there: others choose what it is.

    The directory in which it lies is looked at; of a link also whose it is, and where its target
    lies. There may be nothing yet.

    Args:
        path: of it.
        account: see :func:`distrust`.

    Returns:
        likewise.

    Raises:
        OSError: its directory cannot be looked at.
    """
    if sys.platform == "win32":
        return ""
    account = os.geteuid() if account is None else account
    names = os.path.abspath(path), os.path.realpath(path)
    for directory in sorted({os.path.dirname(name) for name in names}):
        around = os.stat(directory)
        why = permissions.replaceable(around.st_mode, around.st_uid, account)
        if why:
            return f"{directory}, where {os.path.basename(path)} lies: {why}"
    if os.path.islink(path):  # in a sticky directory it may be anybody's
        why = permissions.changeable(0, os.lstat(path).st_uid, account)
        return f"{path}, a link: {why}" if why else ""
    return ""
