"""A directory in memory, for decoders that read files; gone when the process ends."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path


@cache
def directory() -> Path:
    """The directory of this process."""
    memory = "/dev/shm"
    place = Path(
        tempfile.mkdtemp(prefix="sbs-fuzz-", dir=memory if os.path.isdir(memory) else None)
    )
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def scratch(name: str, data: bytes) -> str:
    """A file of this name with these bytes, for its owner alone; returns its path."""
    path = directory() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)
    return os.fspath(path)
