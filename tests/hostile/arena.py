"""A real node, a hostile peer before it, and what must be the same afterwards."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias, cast

import attrs
import trio

from sbs.cli.logs import LineFormatter
from sbs.config import FailoverSettings
from sbs.core.address import DEFAULT_PORT
from sbs.core.claim import Claim, Role
from sbs.core.epoch import NO_EPOCH
from sbs.core.manifest import Entry, Kind
from sbs.core.messages import Begin, Commit, Committed, Hello, Listing, Message, Refused
from sbs.core.role import State
from sbs.ports import ServiceController, Unit
from sbs.testing.memory import MemoryTransport
from sbs.testing.nodes import MemoryNode, memory_pair, wait_until
from sbs.testing.services import FakeController
from tests.hostile import sentinel
from tests.hostile.peer import CLAIM, EVERYTHING, Peer, leading, put

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

QUIET: Final = None
"""As an answer: the node says nothing, and goes on."""


class Closed:
    """As an answer: the node closes without a word."""


CLOSED: Final = Closed


class Leaves:
    """Instead of an answer: the peer closes without waiting for one."""


LEAVES: Final = Leaves

Answer: TypeAlias = type[Message] | type[Closed] | type[Leaves] | None

Sends: TypeAlias = Callable[[Peer], Sequence[Message | bytes]]
"""Makes what a peer sends, when it is there."""

Makes: TypeAlias = Callable[[Peer], Message | bytes]
"""The same for one message."""


def said(*what: Message | bytes) -> Sends:
    """What does not depend on the session."""
    return lambda _: what


def one(make: Makes) -> Sends:
    """A single message."""
    return lambda peer: [make(peer)]


@attrs.frozen
class Stage:
    """Up to where a conversation goes in good order.

    Args:
        name: for people.
        reach: goes there.
        leads: the peer is a primary, and the node its secondary; else the other way round.
        in_session: the node sends heartbeats there.
        intrudes: a primary of good will has the session, and the peer is somebody else that calls.
    """

    name: str
    reach: Callable[[Peer], Awaitable[object]]
    leads: bool
    in_session: bool = True
    intrudes: bool = False


async def _nothing(_peer: Peer) -> None:
    await trio.lowlevel.checkpoint()


async def _greeted(peer: Peer) -> None:
    await peer.greet()


async def _followed(peer: Peer) -> None:
    await peer.greet()
    await peer.follow()


async def _listing(peer: Peer) -> None:
    await _followed(peer)
    await peer.send(Listing(folder=0, entries=(Entry(path="d", kind=Kind.DIRECTORY),)))


async def _updated(peer: Peer) -> None:
    await _followed(peer)
    await peer.list_nothing()
    await peer.until(Begin)


async def _proposed(peer: Peer) -> None:
    await _followed(peer)
    await peer.list_nothing()
    peer.proposed = cast("Commit", await peer.until(Commit)).generation


async def _listed(peer: Peer) -> None:
    await _followed(peer)
    await peer.list_nothing()
    await peer.take_update()


async def _welcomed(peer: Peer) -> None:
    await peer.greet()
    await peer.welcome()


async def _current(peer: Peer) -> None:
    await _welcomed(peer)
    await peer.tell_folders()


async def _dressed(peer: Peer) -> None:
    await _welcomed(peer)
    await peer.tell_folders(EVERYTHING)


async def _begun(peer: Peer) -> None:
    await _current(peer)
    await peer.send(peer.begin())


SILENT: Final = Stage("a stranger calls a primary", _nothing, leads=False, in_session=False)
CALLED: Final = Stage("a stranger is called by a node", _nothing, leads=True, in_session=False)
GREETED: Final = Stage("hello said to a primary", _greeted, leads=False, in_session=False)
ASKED: Final = Stage("hello said by a primary", _greeted, leads=True, in_session=False)
FOLLOWING: Final = Stage("a secondary, to list its folders", _followed, leads=False)
INTRUDING: Final = Stage(
    "a stranger calls a secondary", _nothing, leads=True, in_session=False, intrudes=True
)
INTRUDED: Final = Stage(
    "hello said to a secondary", _greeted, leads=True, in_session=False, intrudes=True
)
LISTING: Final = Stage("a secondary in its listing", _listing, leads=False)
UPDATED: Final = Stage("a secondary to which an update comes", _updated, leads=False)
PROPOSED: Final = Stage("a secondary that owes a verdict", _proposed, leads=False)
IN_STEP: Final = Stage("a secondary that has taken an update", _listed, leads=False)
WELCOMED: Final = Stage("a primary that has said welcome", _welcomed, leads=True)
CURRENT: Final = Stage("a primary between two updates", _current, leads=True)
DRESSED: Final = Stage("a primary that sets owners and attributes, too", _dressed, leads=True)
BEGUN: Final = Stage("a primary in an update", _begun, leads=True)


@attrs.frozen(kw_only=True)
class Case:
    """Something hostile, and what must come of it.

    Args:
        name: says what.
        seen: a number of ADVERSARIAL.md as "A4", a CVE, a requirement; or where in the protocol.
        at: where in the conversation.
        sends: messages and bytes, made when the conversation is there.
        plays: instead, where the next depends on what the node says.
        answer: of the node, or :data:`QUIET`, or :data:`CLOSED`.
        text: a part of the answer's, as a regular expression.
        then: what else must be so.
        prepare: arranges the node's folder before it starts.
        accept_under: the node takes folders that its configuration does not name.
    """

    name: str
    seen: str
    at: Stage
    sends: Sends = lambda _peer: ()
    plays: Callable[[Peer], Awaitable[object]] | None = None
    answer: Answer = Refused
    text: str = ""
    then: Callable[[Arena], object] = lambda _arena: None
    prepare: Callable[[Path, Path], object] = lambda _folder, _outside: None
    accept_under: bool = False


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

    def __init__(self, base: Path, node: MemoryNode, wire: MemoryTransport) -> None:
        self.base = base
        self.node = node
        self.outside = base / "outside"
        self.accepted = base / "accepted"
        self.folder = Path(node.folder)
        self._wire = wire
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
        return Peer(stream, claim, self.base)

    async def meet(self, stage: Stage) -> Peer:
        """A connection in this stage."""
        if stage.intrudes:
            self.good = await self.calls.receive()
            await _current(self.good)
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
        await _current(peer)
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
        it = Arena(base, node, pair.network.transport("beta"))
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
