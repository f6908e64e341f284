"""Who may read or change what a node rests on: modes and owners of files as reasons to refuse.

What ``stat`` says goes in, so that every layer can ask; numbers of accounts are those of POSIX.
A reason stands after the name of what it speaks of, and says what to run.
"""

from __future__ import annotations

import stat
from typing import Final

ROOT: Final = 0
"""The account that may change everything anyway."""


def exposed(mode: int, *, to_group: bool = False) -> str:
    """Why a file that holds a secret must not be used.

    Args:
        mode: of the file.
        to_group: its group may read it: a file that root writes, and the node's account reads.

    Returns:
        the reason; empty if it may be used.
    """
    mend = "run chmod o= on it" if to_group else "run chmod go= on it"
    if mode & stat.S_IRWXO:
        return f"everybody can read it; {mend}"
    if mode & stat.S_IRWXG and not to_group:
        return f"its group can read it; {mend}"
    return ""


def changeable(mode: int, owner: int, account: int) -> str:
    """Why a file or directory must not be trusted: somebody else can change it.

    Args:
        mode: of it.
        owner: the account whose it is.
        account: the one that this process runs as.

    Returns:
        the reason; empty if only that account, root and, maybe, the group can change it.
    """
    if owner not in (ROOT, account):
        return (
            f"belongs to the account {owner}, and this one is {account}; only this one and root "
            f"may own it: run SBS as {owner}, or run chown {account} on it"
        )
    if mode & stat.S_IWOTH:
        return "everybody can write to it; run chmod o-w on it"
    return ""


def replaceable(mode: int, owner: int, account: int) -> str:
    """Why nothing in a directory can be trusted: somebody else can put another in its place.

    In a sticky directory, such as ``/tmp``, everybody may make names, and replace only their own.

    Args:
        mode: of the directory.
        owner: see :func:`changeable`.
        account: likewise.

    Returns:
        the reason; empty if there is none.
    """
    sticky = bool(mode & stat.S_ISVTX)
    return changeable(mode & ~stat.S_IWOTH if sticky else mode, owner, account)


def shared(mode: int) -> str:
    """What to say of a file or directory that its group can change; empty if it cannot.

    No reason to refuse it: many systems give each account a group of its own, and a ``umask``
    that lets it write.
    """
    return "its group can write to it; run chmod g-w on it" if mode & stat.S_IWGRP else ""
