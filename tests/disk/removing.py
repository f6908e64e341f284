"""Removing trees with directories that their owner may not write to."""

from __future__ import annotations

import os
import shutil


def remove(path: str) -> None:
    """Remove a tree, if it is there."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    shutil.rmtree(path, ignore_errors=True)
