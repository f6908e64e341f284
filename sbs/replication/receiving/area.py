"""The staging directory of a folder: what an update leaves there, and what stays."""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import Final

from sbs.core.manifest import STAGING_NAME
from sbs.core.permissions import ROOT
from sbs.errors import ReplicationError
from sbs.replication.files.places import Places

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
"""A new file, and nothing else that bears its name."""

QUARANTINE_NAME: Final = "quarantine"
"""What in a staging directory outlives every update (:mod:`sbs.replication.former.quarantine`)."""

VERSIONS_NAME: Final = "versions"
"""Likewise, for a set time (:mod:`sbs.replication.former.versions`)."""


def stream_name(number: int) -> str:
    """The temporary file of a stream."""
    return f"stream-{number}"


def create(name: str, directory: int) -> int:
    """A new temporary file; what a crash left under its name is replaced."""
    try:
        return os.open(name, CREATE, 0o600, dir_fd=directory)
    except FileExistsError:
        os.unlink(name, dir_fd=directory)
        return os.open(name, CREATE, 0o600, dir_fd=directory)


def open_staging(places: Places, folder: int) -> int:
    """A descriptor of the folder's staging directory, which is made if need be.

    Raises:
        ReplicationError: somebody has made it who could exchange there what is put in the places of
            others' files. He may in a folder in which everybody may make files.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(STAGING_NAME, 0o700, dir_fd=places.directory(folder))
    staging = places.directory(folder, STAGING_NAME)
    owner = os.fstat(staging).st_uid
    if owner not in (os.geteuid(), ROOT) and owner != os.fstat(places.directory(folder)).st_uid:
        raise ReplicationError(
            f"{places.roots[folder]}/{STAGING_NAME} belongs to the account {owner}, and neither to "
            "SBS nor to whom the folder belongs: look who made it, and remove it"
        )
    return places.directory(folder, STAGING_NAME)


def remove_staging(places: Places, folder: int, keep: str = "") -> None:
    """Empty the folder's staging directory, and remove it unless something is kept in it.

    Args:
        places: of the folders.
        folder: which one.
        keep: the name of a file that stays, beside quarantine and versions.

    Raises:
        OSError: it cannot be removed.
    """
    root = places.directory(folder)
    try:
        os.unlink(STAGING_NAME, dir_fd=root)  # whatever else bears its name
    except FileNotFoundError:
        return
    except IsADirectoryError:
        kept = _empty(places.directory(folder, STAGING_NAME), keep)
        places.forget(folder, STAGING_NAME)
        if not kept:
            os.rmdir(STAGING_NAME, dir_fd=places.directory(folder))


def _remove_tree(name: str, staging: int) -> None:
    """Remove a directory with all that is in it, however deep: no call for each level."""
    pending = [name]
    while pending:
        name = pending.pop()
        directory = os.open(name, _DIRECTORY, dir_fd=staging)
        try:
            for entry in os.listdir(directory):
                try:
                    os.unlink(entry, dir_fd=directory)
                except IsADirectoryError:
                    pending.append(f"removed-{secrets.token_hex(16)}")
                    os.rename(entry, pending[-1], src_dir_fd=directory, dst_dir_fd=staging)
        finally:
            os.close(directory)
        os.rmdir(name, dir_fd=staging)


def _empty(staging: int, keep: str) -> bool:
    """Remove everything that an update left; whether anything is there that stays."""
    kept = False
    for name in os.listdir(staging):
        if name == keep:
            kept = True
            continue
        try:
            os.unlink(name, dir_fd=staging)
        except IsADirectoryError:
            if name in (QUARANTINE_NAME, VERSIONS_NAME):
                kept = True
            else:
                _remove_tree(name, staging)
    return kept
