"""A real node, a hostile peer before it, and what must be the same afterwards."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from sbs.adapters.transports.tls_stream import TlsStream
from sbs.cli.lines import LineFormatter
from sbs.config import FailoverSettings
from sbs.core.address import DEFAULT_PORT
from sbs.core.claim import Claim, Role
from sbs.core.epoch import NO_EPOCH
from sbs.core.messages import Committed, Hello, Refused
from sbs.core.role import State
from sbs.ports import ServiceController, Transport, Unit
from sbs.testing.nodes import MemoryNode, memory_pair, wait_until
from sbs.testing.services import FakeController
from tests.hostile import identities, sentinel
from tests.hostile.case import LEAVES, QUIET, Case, Closed, Leaves, Wire
from tests.hostile.peer import CLAIM, Peer, leading, put
from tests.hostile.stages import CURRENT, Stage

MAX_GROWTH_BYTES: Final = 128 * 1024 * 1024
"""Memory that a case may take at its peak, the peer's own included: eight messages of two
megabytes that wait, as many on their way to the disk, and what one of them is decoded to."""

MAX_LOG_BYTES: Final = 1024 * 1024
"""What a case may write to the log: a hundred findings, each as long as it may be."""

MAX_TEXT_CHARS: Final = 8192
"""Longest alarm: a few paths of full length."""

BOUND_S: Final = 30.0
"""How long a case may take on a busy machine; it takes a fraction of a second."""

FAILOVER: Final = FailoverSettings(
    heartbeat_interval_s=0.02, down_interval_s=20.0, probe_timeout_s=20.0
)
"""A peer counts as lost when it says so, not because a machine is busy."""


class Recorder(FakeController):
    """Counts how often services were started."""

    def __init__(self, units: Sequence[Unit]) -> None:
        super().__init__(units)
        self.starts = 0

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        self.starts += 1
        await super().start(name, environment)


@asynccontextmanager
async def _open_recorder(
    units: Sequence[Unit], _held_fds: Sequence[int]
) -> AsyncGenerator[ServiceController, None]:
    await trio.lowlevel.checkpoint()
    yield Recorder(units)


class Arena:
    """One node, named alpha, and a place from which beta speaks to it.

    Attributes:
        base: everything lies below it.
        outside: the sentinel tree.
        accepted: where folders may lie that only a primary names.
        node: that is attacked.
        good: where somebody intrudes, whoever has the session.
    """

    def __init__(self, base: Path, node: MemoryNode, wire: Transport, *, is_raw: bool) -> None:
        self.base = base
        self.node = node
        self.outside = base / "outside"
        self.accepted = base / "accepted"
        self.folder = Path(node.folder)
        self._wire = wire
        self._is_raw = is_raw
        """For the first connection; whoever comes later means well."""
        self._calls, self.calls = trio.open_memory_channel[Peer](100)
        self._before: dict[str, sentinel.Look] = {}
        self.good: Peer | None = None
        self._starts = 0
        self._epoch = NO_EPOCH

    # The node.

    async def start(self, *, leads: bool) -> None:
        """Start the node, as the secondary of a peer that leads, or as primary."""
        await self.node.start()
        if not leads:
            await wait_until(lambda: self.node.node.model.state is State.PRIMARY, "alpha leads")
            self._starts = self.controller.starts
            self._epoch = self.node.node.model.primacy

    @property
    def controller(self) -> Recorder:
        assert isinstance(self.node.controller, Recorder)
        return self.node.controller

    # The peer.

    async def listen(self, nursery: trio.Nursery) -> None:
        """Take the node's calls."""
        listener = await self._wire.listen(f"beta:{DEFAULT_PORT}")

        async def accept() -> None:
            while True:
                await self._calls.send(self._peer(await listener.accept(), leading()))

        nursery.start_soon(accept)

    async def dial(self) -> Peer:
        """Call the node."""
        return self._peer(await self._wire.dial(f"alpha:{DEFAULT_PORT}"), CLAIM)

    def _peer(self, stream: trio.abc.Stream, claim: Claim) -> Peer:
        if self._is_raw:
            assert isinstance(stream, TlsStream)
            stream = stream.transport_stream
        self._is_raw = False
        return Peer(stream, claim, self.base)

    async def meet(self, stage: Stage) -> Peer:
        """A connection in this stage."""
        if stage.intrudes:
            self.good = await self.calls.receive()
            await CURRENT.reach(self.good)
        calls = stage.leads and not stage.intrudes
        peer = await self.calls.receive() if calls else await self.dial()
        await stage.reach(peer)
        return peer

    # What must hold.

    def remember(self) -> None:
        """How everything outside looks now."""
        self._before = self._outside()

    def _outside(self) -> dict[str, sentinel.Look]:
        inside = (self.folder, Path(self.node.config.node.state_dir), self.accepted / "in")
        return sentinel.snapshot(self.base, inside)

    def check_outside(self) -> None:
        """Nothing beside the folders has changed."""
        assert sentinel.differences(self._before, self._outside()) == {}

    def check_role(self, *, leads: bool) -> None:
        """A primary serves on in its epoch; a secondary has started nothing."""
        model = self.node.node.model
        assert self.node.running
        if leads:
            assert self.node.role in (Role.SECONDARY, Role.PROBING, Role.WAITING)
            assert self.controller.starts == 0
            return
        assert (model.state, self.node.role) == (State.PRIMARY, Role.PRIMARY)
        assert model.primacy == self._epoch
        assert self.controller.starts == self._starts
        assert all(state.running for state in self.controller._states.values())

    async def check_texts(self, records: Sequence[logging.LogRecord]) -> None:
        """What administrators read is short, and no terminal obeys it."""
        lines = [LineFormatter().format(record) for record in records]
        assert all(line.isprintable() for line in lines), lines
        assert sum(map(len, lines)) < MAX_LOG_BYTES, (len(lines), lines[:5])
        status = await self.node.node.status()
        assert all(len(alarm.text) < MAX_TEXT_CHARS for alarm in status.alarms)
        assert all(text.isprintable() for text in (*status.problems, *status.notes))

    async def check_good_peer(self, *, leads: bool) -> None:
        """A peer of good will gets its session, and an update goes through."""
        if leads:
            await self._check_good_primary()
        else:
            await self._check_good_secondary()

    async def _check_good_primary(self) -> None:
        while True:
            peer = await self.calls.receive()
            hello = await peer.receive()
            if isinstance(hello, Hello) and hello.claim is not None:
                break
        claim = leading(hello.claim)
        peer.claim, peer.epoch, peer.history = claim, claim.epoch, claim.history
        peer._received.appendleft(hello)
        await CURRENT.reach(peer)
        await peer.send(*peer.generation(put("still", b"replicated")))
        await peer.until(Committed)
        await wait_until(lambda: self.node.read("still") == "replicated", "an update is applied")
        await wait_until(lambda: self.node.role is Role.SECONDARY, "alpha follows")

    async def _check_good_secondary(self) -> None:
        (self.folder / "still").write_text("replicated")
        peer = await self.dial()
        await peer.greet()
        await peer.follow()
        await peer.list_nothing()
        assert "still" in await peer.take_update()
        await wait_until(lambda: self.node.node.model.in_step, "the secondary is in step")


@asynccontextmanager
async def arena(base: Path, case: Case) -> AsyncGenerator[Arena, None]:
    """A node as a case needs it, started."""
    sentinel.build(base / "outside")
    (base / "accepted" / "in").mkdir(parents=True)
    (base / "accepted" / "beside").mkdir()
    async with memory_pair(base, services=_open_recorder) as pair, trio.open_nursery() as nursery:
        node = pair.alpha
        wire: Transport = pair.network.transport("beta")
        if case.wire is not Wire.PLAIN:
            node.transport = identities.transport("alpha", "beta", over=node.transport)
            wire = identities.transport("beta", "alpha", over=wire)
        it = Arena(base, node, wire, is_raw=case.wire is Wire.RAW)
        sync = node.config.sync
        if case.accept_under:
            sync = attrs.evolve(sync, accept_under=(str(it.accepted / "in"),))
        node.config = attrs.evolve(node.config, failover=FAILOVER, sync=sync)
        case.prepare(it.folder, it.outside)
        if case.at.leads:
            await it.listen(nursery)
        await it.start(leads=case.at.leads)
        it.remember()
        yield it
        nursery.cancel_scope.cancel()


async def run(case: Case, base: Path, records: Sequence[logging.LogRecord]) -> None:
    """Play a case, and look at everything that must hold."""
    with trio.fail_after(BOUND_S):
        async with arena(base, case) as it, trio.open_nursery() as nursery:
            leads = case.at.leads
            peer = await it.meet(case.at)
            base_bytes = _begin_peak()
            sends = case.sends(peer)
            if case.plays is not None:
                await case.plays(peer)
            elif case.answer is LEAVES:
                await peer.send(*sends)
            else:
                await nursery.start(lambda task_status: peer.send(*sends, task_status=task_status))
            await _check_answer(case, peer)
            grown = _peak_bytes() - base_bytes
            assert grown < MAX_GROWTH_BYTES, f"{grown} bytes of memory"
            it.check_role(leads=leads)
            await peer.close()
            if it.good is not None:
                await it.good.is_heard()
                await it.good.close()
            await it.check_good_peer(leads=leads)
            case.then(it)
            lines = [record.getMessage() for record in records]
            assert any(re.search(case.logged, line) for line in lines), lines
            it.check_role(leads=leads)
            it.check_outside()
            await it.check_texts(records)


async def _check_answer(case: Case, peer: Peer) -> None:
    if case.answer is QUIET:
        await peer.is_heard()
        return
    if issubclass(case.answer, Leaves):
        return
    if issubclass(case.answer, Closed):
        said = await peer.has_closed()
        assert not any(isinstance(each, Refused) for each in said), said
        return
    answer = await peer.until(case.answer)
    text = getattr(answer, "text", "")
    assert re.search(case.text, text), text
    assert len(text) <= MAX_TEXT_CHARS
    if isinstance(answer, Refused):
        await peer.has_closed()
    elif case.at.in_session:
        await peer.is_heard()


def _begin_peak() -> int:
    """Memory in use now, from which on the peak is counted."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _peak_bytes() -> int:
    return _memory("VmHWM")


def _memory(what: str) -> int:
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
