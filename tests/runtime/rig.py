"""A pair in memory whose service starts are written down, over both nodes and in order."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from sbs.core.claim import Claim, Mode, Role
from sbs.core.epoch import NO_EPOCH
from sbs.core.history import History
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.core.progress import Phase
from sbs.ports import Unit
from sbs.runtime.updating.tracker import Tracker
from sbs.testing.nodes import MemoryNode, MemoryPair, memory_pair
from sbs.testing.services import FakeController


class Recorder:
    """Makes fake controllers, and remembers with which ``SBS_EPOCH`` they started what."""

    def __init__(self) -> None:
        self.starts: list[tuple[str, int]] = []

    @asynccontextmanager
    async def open(
        self, units: Sequence[Unit], held_fds: Sequence[int]
    ) -> AsyncGenerator[FakeController, None]:
        await trio.lowlevel.checkpoint()
        yield RecordingController(units, self)

    @property
    def epochs(self) -> list[int]:
        """Each epoch once, in the order of the first start under it."""
        return list(dict.fromkeys(epoch for _, epoch in self.starts))

    def check(self) -> None:
        """B2: later starts have greater epochs, on whichever node."""
        numbers = [epoch for _, epoch in self.starts]
        assert numbers == sorted(numbers)


class RecordingController(FakeController):
    def __init__(self, units: Sequence[Unit], recorder: Recorder) -> None:
        super().__init__(units)
        self._recorder = recorder

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        await super().start(name, environment)
        self._recorder.starts.append((name, int(environment["SBS_EPOCH"])))


@asynccontextmanager
async def recorded_pair(directory: object) -> AsyncGenerator[tuple[MemoryPair, Recorder], None]:
    recorder = Recorder()
    before = threading.active_count()
    async with memory_pair(str(directory), services=recorder.open) as pair:
        yield pair, recorder
    recorder.check()
    assert threading.active_count() <= max(before, 40)


def fake(node: MemoryNode) -> FakeController:
    """The node's controller."""
    assert isinstance(node.controller, FakeController)
    return node.controller


def running(node: MemoryNode) -> list[str]:
    """Names of the services that run on a node."""
    states = fake(node)._states
    return [name for name, state in states.items() if state.running and node.running]


def hello(name: str) -> Hello:
    """What a node of this name, which never ran, says first."""
    claim = Claim(
        node_id=name.encode().hex().ljust(32, "0"),
        name=name,
        mode=Mode.SYMMETRIC,
        priority=100,
        slot=0,
        role=Role.PROBING,
        epoch=NO_EPOCH,
        history=History(),
    )
    return Hello(versions=(1, PROTOCOL_VERSION), software="test", claim=claim)


class Phases(Tracker):
    """Remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[Phase, int | None, int | None]] = []
        self.done: dict[Phase, tuple[int, int]] = {}

    def begin(
        self, phase: Phase, *, files_total: int | None = None, bytes_total: int | None = None
    ) -> None:
        super().begin(phase, files_total=files_total, bytes_total=bytes_total)
        self.begun.append((phase, files_total, bytes_total))
        self.done[phase] = (0, 0)

    def advance(self, files: int, size_bytes: int) -> None:
        super().advance(files, size_bytes)
        phase, _, _ = self.begun[-1]
        before = self.done[phase]
        self.done[phase] = (before[0] + files, before[1] + size_bytes)
