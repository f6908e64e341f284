"""What tests of crashes and broken disks share."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.receiver import Receiver
from tests.disk.removing import remove
from tests.disk.scene import Scene, scene
from tests.disk.shim import build
from tests.support import require


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled ``shim.c``."""
    require("cc")
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[str]:
    """A directory in memory, where there is one: a killed process loses nothing of what it wrote,
    and nobody waits for a disk."""
    where = "/dev/shm" if Path("/dev/shm").is_dir() else tmp_path
    directory = tempfile.mkdtemp(prefix="sbs-test-", dir=where)
    try:
        yield directory
    finally:
        remove(directory)


@pytest.fixture
def stage(memory: str) -> Iterator[Scene]:
    """A secondary at g, and the update to g+1."""
    with scene(memory) as made:
        yield made


@pytest.fixture
def receiver(library: Path, stage: Scene) -> Iterator[Receiver]:
    """A process that takes the update, and can be killed at any call."""
    with Receiver(library, stage.home, stage.update) as process:
        yield process
