"""The leader against followers and sources that misbehave as real ones rarely do."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import cast

import attrs
import pytest
import trio
import trio.testing

from sbs.config.settings import SyncSettings
from sbs.core.epoch import Epoch
from sbs.core.guard import Cause, Held, Reason
from sbs.core.history import Generation, History
from sbs.core.manifest import Action, Entry, FolderSpec, Kind, Operation
from sbs.core.messages import (
    Abandon,
    Audit,
    Audited,
    Begin,
    Chunk,
    Commit,
    Committed,
    Failed,
    Finding,
    Findings,
    Folders,
    Listing,
    Message,
    Pack,
)
from sbs.core.progress import Phase, Progress
from sbs.errors import RemoteProtocolError, ReplicationError, StateError, TransportError
from sbs.replication.audit import Reading
from sbs.replication.changes import EVERYTHING, NOTHING, Changes
from sbs.replication.files.problems import Problem
from sbs.replication.leading.hints import Hints
from sbs.replication.leading.preview import Preview
from sbs.replication.leading.source import PeerTree, Source, Update
from sbs.replication.leading.watch import Watcher
from sbs.runtime.linking.link import Link
from sbs.runtime.updating.lag import Lag
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.leader import Leader
from sbs.runtime.updating.placements import RETRY_REFUSED_S, Placements
from sbs.runtime.updating.reading_ahead import BATCH_BYTES
from sbs.runtime.updating.verdicts import LAST_ANSWER_S, next_answer
from sbs.runtime.updating.verifier import Verification
from sbs.testing.nodes import wait_until
from tests.runtime.rig import Phases

EPOCH = Epoch(1, 0)
FOLDERS = (FolderSpec(name="data", path="/nowhere"),)
NO_HISTORY = History()
NOTHING_FOUND = Findings(findings=(), total=0)


class FakeLink:
    """Keeps what is sent; :attr:`sent` is read message by message."""

    account = None
    is_local = False

    def __init__(self) -> None:
        self._sent, self.sent = trio.open_memory_channel[Message](math.inf)

    async def send(self, message: Message) -> int:
        await trio.lowlevel.checkpoint()
        self._sent.send_nowait(message)
        return 0


HELD = Held(id="1234abcd", deletes=1, reasons=(Reason("data", Cause.EMPTIED, "no file is left"),))
OTHER = attrs.evolve(HELD, id="0000ffff")


PREVIEW = Preview(added=1, changed=0, unsure=0, deleted=0, bytes=0, held=None, paths=())


class FakeUpdate:
    def __init__(
        self, messages: list[Chunk | Exception], held: Held | None = None, *, rebased: bool = False
    ) -> None:
        self._messages = messages if held is None else []
        self.held = held
        self.rebased = rebased
        self.operations_planned = len(messages)
        self.size_bytes = self.sent_bytes = 0
        self.operations: list[Operation] = []
        self.problems: tuple[Problem, ...] = ()

    def messages(self, check: Callable[[], object]) -> Generator[Chunk, None, None]:
        for message in self._messages:
            if isinstance(message, Exception):
                raise message
            yield message

    def seal(self, epoch: Epoch, history: History, active: tuple[str, ...]) -> Commit:
        generation = Generation(epoch, history.number + 1, bytes(32))
        return Commit(generation=generation, operations=0, active=active)


class FakeSource:
    def __init__(self) -> None:
        self.updates: list[FakeUpdate] = []
        self.held: Held | None = None
        self.accepted: list[str] = []
        self.rebased = False
        self.settled = 0
        self.confirmed: list[tuple[int, set[tuple[str, str]]]] = []
        self.failures: list[StateError] = []
        self.trees: list[set[str]] = []
        self.looked: list[Changes] = []
        self.whole = 0
        self.readings: dict[str, Reading] = {}

    def add(self, *messages: Chunk | Exception) -> None:
        self.updates.append(FakeUpdate(list(messages)))

    def prepare(
        self, peer: PeerTree, changes: Changes, check: Callable[[], object], accepted: str = ""
    ) -> Update:
        self.trees.append(paths(peer))
        self.looked.append(changes)
        self.accepted.append(accepted)
        if self.held is not None and self.held.id != accepted:
            return cast("Update", FakeUpdate([], self.held))
        self.held = None
        update = self.updates.pop(0) if self.updates else FakeUpdate([], rebased=self.rebased)
        return cast("Update", update)

    def send_whole(self) -> None:
        self.whole += 1

    def audit(
        self, folder: int, paths: Sequence[str], check: Callable[[], object]
    ) -> dict[str, Reading]:
        return self.readings

    def preview(self, peer: PeerTree, check: Callable[[], object]) -> Preview:
        assert peer.complete
        return PREVIEW

    def settle(self, update: Update) -> None:
        self.rebased = False
        self.settled += 1

    def confirm(
        self, update: Update, generation: Generation, refused: Collection[tuple[str, str]]
    ) -> None:
        if self.failures:
            raise self.failures.pop()
        self.confirmed.append((generation.number, set(refused)))


class Context:
    def __init__(self) -> None:
        self.history = History()
        self.active: tuple[str, ...] = ("printer",)
        self.failures: list[str] = []
        self.updates: list[LastUpdate | None] = []
        self.findings: list[Findings] = []
        self.held: list[Held | None] = []
        self.hooks = 0
        self.tracker = Phases()
        self.lag = Lag()
        self.printed = NOTHING

    async def run_update_hooks(self, *, due: bool) -> Changes:
        await trio.lowlevel.checkpoint()
        if not due:
            return NOTHING
        self.hooks += 1
        return self.printed

    async def proposed(self, generation: Generation) -> None:
        await trio.lowlevel.checkpoint()

    async def acknowledged(self, generation: Generation) -> None:
        await trio.lowlevel.checkpoint()
        self.history = self.history.append(generation)

    def updated(self, update: LastUpdate | None, problems: tuple[Problem, ...]) -> None:
        self.updates.append(update)

    def guarded(self, held: Held | None) -> None:
        self.held.append(held)

    def update_failed(self, text: str) -> None:
        self.failures.append(text)

    def found(self, findings: Findings) -> None:
        self.findings.append(findings)


def listed(*entries: Entry) -> PeerTree:
    tree = PeerTree(1)
    tree.add(Listing(folder=0, entries=entries, last=True))
    return tree


def paths(tree: PeerTree) -> set[str]:
    return {entry.path for entry in tree.below(0, "")}


class Play:
    """A leader whose follower is the test."""

    def __init__(
        self,
        period_s: float = 0.01,
        rescan_s: float = 3600.0,
        *,
        own: History = NO_HISTORY,
        theirs: History = NO_HISTORY,
        held: Held | None = None,
    ) -> None:
        self.hints = Hints(failed=lambda error: pytest.fail(str(error)))
        self.link = FakeLink()
        self.source = FakeSource()
        self.source.held = held
        self.context = Context()
        self.context.history = own
        self.leader = Leader(
            cast("Link", self.link),
            EPOCH,
            cast("Source", self.source),
            FOLDERS,
            theirs,
            self.hints,
            SyncSettings(period_s=period_s, rescan_s=rescan_s),
            self.context,
        )

    async def next(self) -> Message:
        with trio.fail_after(10):
            return await self.link.sent.receive()

    async def begin(self, *entries: Entry) -> None:
        assert isinstance(await self.next(), Folders)
        await self.leader.take(Listing(folder=0, entries=entries, last=True))

    async def acknowledge(self, findings: Findings | None = NOTHING_FOUND) -> None:
        """Take the next update to its end; tell what was found, or nothing yet."""
        while not isinstance(message := await self.next(), Commit):
            assert isinstance(message, Begin | Pack | Chunk)
        await self.leader.take(Committed(message.generation))
        if findings is not None:
            await self.leader.take(findings)

    def nothing_sent(self) -> bool:
        return self.link.sent.statistics().current_buffer_used == 0


async def lead(leader: Leader) -> None:
    """As a session does."""
    try:
        await leader.run()
    finally:
        leader.close()


@asynccontextmanager
async def playing(
    period_s: float = 0.01,
    rescan_s: float = 3600.0,
    *,
    own: History = NO_HISTORY,
    theirs: History = NO_HISTORY,
    held: Held | None = None,
) -> AsyncGenerator[Play, None]:
    play = Play(period_s, rescan_s, own=own, theirs=theirs, held=held)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lead, play.leader)
        yield play
        nursery.cancel_scope.cancel()


async def test_first_generation_is_sent_even_if_nothing_differs() -> None:
    """B20, R32: from then on the follower may take over, and knows what to start."""
    async with playing() as play:
        await play.begin()
        assert await play.next() == Begin(EPOCH, 1)
        commit = await play.next()
        assert isinstance(commit, Commit)
        assert commit.active == ("printer",)
        await play.leader.take(Committed(commit.generation))
        await play.leader.take(NOTHING_FOUND)
        await wait_until(lambda: None in play.context.updates, "later cycles find nothing")
        assert play.nothing_sent()


async def test_changed_services_are_a_generation_of_their_own() -> None:
    """R32."""
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge()
        play.context.active = ()
        assert play.leader.is_outdated
        play.leader.nudge()
        assert isinstance(await play.next(), Begin)
        commit = await play.next()
        assert isinstance(commit, Commit)
        assert commit.active == ()


async def test_early_failure_of_the_follower_abandons_and_tries_again() -> None:
    async with playing() as play:
        chunks = [Chunk(0, bytes(BATCH_BYTES)) for _ in range(20)]
        play.source.add(*chunks)
        await play.begin()
        assert isinstance(await play.next(), Begin)
        await play.leader.take(Failed("disk full"))
        while isinstance(message := await play.next(), Chunk):
            pass
        assert isinstance(message, Abandon)
        # No further verdict is due: the next update begins.
        await play.acknowledge()
        assert "could not take the update: disk full" in play.context.failures[0]


async def test_source_that_fails_half_way_abandons_and_waits_for_the_verdict() -> None:
    async with playing() as play:
        play.source.add(Chunk(0, bytes(BATCH_BYTES)), ReplicationError("bad sector"))
        await play.begin()
        assert isinstance(await play.next(), Begin)
        assert isinstance(await play.next(), Chunk)
        assert await play.next() == Abandon("bad sector")
        await play.leader.take(Failed("abandoned"))
        await play.acknowledge()
        assert play.context.failures == ["bad sector"]


async def test_source_that_fails_before_anything_was_sent_says_nothing() -> None:
    async with playing() as play:
        play.source.add(ReplicationError("no such folder"))
        await play.begin()
        await play.acknowledge()
        assert play.context.failures == ["no such folder"]


async def test_failed_verdict_is_reported_and_tried_again() -> None:
    async with playing() as play:
        await play.begin()
        assert isinstance(await play.next(), Begin)
        assert isinstance(await play.next(), Commit)
        await play.leader.take(Failed("no space"))
        await play.acknowledge()
        assert play.context.failures == ["the secondary could not take the update: no space"]
        assert play.source.whole == 1  # perhaps it had no file to patch (B24)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Committed(Generation(EPOCH, 7, bytes(32))), "acknowledged instead of"),
        (Listing(folder=0), "Listing is no verdict"),
    ],
)
async def test_wrong_verdict_ends_the_session(answer: Message, says: str) -> None:
    """Adversarial 24: what was never sent cannot be acknowledged."""
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match=says)):
        async with playing() as play:
            await play.begin()
            await play.next()
            await play.next()
            await play.leader.take(answer)
            await trio.sleep(10)
    assert play.context.history.number == 0


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Listing(folder=5, last=True), "listing refused"),
        (Committed(Generation(EPOCH, 1, bytes(32))), "instead of a listing"),
    ],
)
async def test_wrong_listing_ends_the_session(answer: Message, says: str) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match=says)):
        async with playing() as play:
            await play.next()
            await play.leader.take(answer)
            await trio.sleep(10)


async def test_declined_folders_are_an_error_for_all_who_ask() -> None:
    """R24: they are offered again to whoever asks; what was listed before counts no more."""
    async with playing(period_s=3600.0) as play:
        errors: list[str] = []

        async def ask() -> None:
            errors.append(await play.leader.update_now())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                assert isinstance(await play.next(), Folders)
                await play.leader.take(Listing(folder=0, entries=(F,)))
                await play.leader.take(Failed("not under accept_under"))
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert play.context.tracker.progress is None
                nursery.start_soon(ask)
            await play.begin()
            await play.acknowledge()
        assert len(errors) == 3
        assert all("cannot take these folders: not under" in error for error in errors[:2])
        assert errors[2] == ""
        assert play.source.trees == [set()]


async def test_declined_folders_are_offered_again_after_the_period() -> None:
    """B20: a disk that was mended takes them by itself."""
    async with playing() as play:
        assert isinstance(await play.next(), Folders)
        await play.leader.take(Failed("a broken disk"))
        play.source.add(Chunk(0, b"x"))
        await play.begin()
        await play.acknowledge()


async def test_update_now_returns_when_the_follower_has_it() -> None:
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge()
        errors: list[str] = []

        async def ask() -> None:
            errors.append(await play.leader.update_now())

        for verdict in ("", "no space"):
            play.source.add(Chunk(0, b"x"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                if verdict:
                    while not isinstance(await play.next(), Commit):
                        pass
                    assert len(errors) == 1
                    await play.leader.take(Failed(verdict))
                else:
                    await play.acknowledge()
        assert errors[0] == ""
        assert "no space" in errors[1]


async def test_update_now_fails_when_the_connection_ends() -> None:
    errors: list[str] = []
    async with trio.open_nursery() as asking, playing() as play:
        await play.begin()
        await play.next()

        async def ask() -> None:
            errors.append(await play.leader.update_now())

        asking.start_soon(ask)
        asking.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
    assert errors == ["the connection to the secondary was lost"] * 2


REFUSED = Finding(folder="data", path="f", text="something is in the way")
KEPT = Finding(folder="data", path="k", kept=".sbs.staging/quarantine/1.0-1/k")


def found(*findings: Finding, untold: int = 0) -> Findings:
    return Findings(findings=findings, total=len(findings) + untold)


async def test_an_update_is_over_when_it_stands_in_the_folders_of_the_follower() -> None:
    """B4: what both nodes have is recorded then, before the role may be released."""
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge(None)
        errors: list[str] = []

        async def ask() -> None:
            errors.append(await play.leader.update_now(last=True))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert play.source.confirmed == []
            play.source.add(Chunk(0, b"x"))
            await play.leader.take(found(REFUSED, KEPT))
            await play.acknowledge(None)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert errors == []
            await play.leader.take(found())
        assert errors == [""]
        assert play.source.confirmed == [(1, {("data", "f")}), (2, set())]
        assert play.context.findings == [found(REFUSED, KEPT), found()]


@pytest.mark.parametrize(
    ("findings", "confirmed"),
    [
        (found(REFUSED), True),
        (found(REFUSED, KEPT, untold=5), True),
        (found(KEPT, untold=5), True),
        (found(REFUSED, untold=1), False),
    ],
)
async def test_nothing_is_recorded_if_not_all_that_was_refused_is_told(
    findings: Findings, confirmed: bool
) -> None:
    """B4: the record may lag behind; it never runs ahead."""
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge(findings)
        await wait_until(lambda: play.context.findings, "the findings have come")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert bool(play.source.confirmed) is confirmed


async def test_a_follower_that_takes_its_time_does_not_hold_up_the_updates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B4: what it finds is taken when it comes: between two updates, or in the middle of one."""
    monkeypatch.setattr("sbs.runtime.updating.leader.FINDINGS_S", 0.01)
    async with playing() as play:
        await play.begin()
        await play.acknowledge(None)
        play.source.add(*[Chunk(0, b"x") for _ in range(20)])
        assert isinstance(await play.next(), Begin)
        await play.leader.take(found(REFUSED))
        await play.acknowledge(None)
        play.source.add(Chunk(0, b"x"))
        await play.next()
        await play.leader.take(found())
        await play.acknowledge(found())
        await wait_until(lambda: len(play.source.confirmed) == 3, "all are recorded")
        assert play.context.failures == []


async def test_what_was_refused_is_sent_again() -> None:
    """R22: whoever clears the way need not do more."""
    async with playing() as play:
        await play.begin(*(Entry(path=path, kind=Kind.DIRECTORY) for path in "fg"))
        await play.acknowledge(found(REFUSED))
        await wait_until(lambda: len(play.source.trees) == 2, "the next update")
        assert play.source.trees == [{"f", "g"}, {"g"}]


async def test_what_was_refused_is_sent_again_only_now_and_then() -> None:
    """R22: a large file may be among it."""
    entries = tuple(Entry(path=path, kind=Kind.DIRECTORY) for path in "fg")
    elsewhere = Finding(folder="elsewhere", path="g", text="unknown")
    placements = Placements(cast("Source", FakeSource()), FOLDERS)
    note = Finding(folder="", path="f", text="its owner cannot be set", note=True)
    await placements.take(found(REFUSED, elsewhere, note, KEPT))
    standing: list[set[str]] = []
    for now in (5.0, 5.0 + RETRY_REFUSED_S / 2, 5.0 + RETRY_REFUSED_S):
        tree = listed(*entries)
        placements.retry(tree, now)
        standing.append(paths(tree))
    assert standing == [{"g"}, {"f", "g"}, {"g"}]
    await placements.take(found())
    tree = listed(*entries)
    placements.retry(tree, math.inf)
    assert paths(tree) == {"f", "g"}


async def test_what_goes_on_being_refused_is_sent_ever_less_often() -> None:
    """R22: what is excluded keeps its directory for ever, and each attempt is a generation."""
    placements = Placements(cast("Source", FakeSource()), FOLDERS)
    await placements.take(found(REFUSED))
    tried = [at for at in range(0, 30_000, 20) if placements.retry(listed(), float(at))]
    pauses = [after - before for before, after in pairwise(tried)][:9]
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    await placements.take(found(REFUSED, Finding(folder="data", path="g", text="new")))
    at = tried[-1] + RETRY_REFUSED_S
    assert not placements.retry(listed(), at - 1)
    assert placements.retry(listed(), at)


async def test_what_could_not_be_deleted_is_deleted_again() -> None:
    """R22: the leader's account has it back, as it was."""
    placements = Placements(cast("Source", FakeSource()), FOLDERS)
    directory, file = Entry(path="f", kind=Kind.DIRECTORY), Entry(path="g", kind=Kind.FILE)
    tree = listed(directory, file)
    update = FakeUpdate([])
    update.operations = [Operation(folder=0, action=Action.DELETE, path=path) for path in "fg"]
    placements.expect(Generation(EPOCH, 1), cast("Update", update), tree)
    tree.commit(update.operations)
    assert paths(tree) == set()
    await placements.take(found(REFUSED))
    assert placements.retry(tree, 0.0) == Changes.of([(0, "")])
    assert tree.directory(0, "") == {"f": directory}
    await placements.take(found())
    assert not placements.retry(tree, math.inf)


async def test_a_record_that_cannot_be_written_is_an_alarm() -> None:
    """B4."""
    async with playing(period_s=3600) as play:
        play.source.failures.append(StateError("the index is damaged"))
        await play.begin()
        await play.acknowledge()
        await wait_until(lambda: play.context.failures, "the alarm")
        assert play.context.failures == ["the index is damaged"]


async def test_another_word_between_two_updates_ends_the_session() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match="Failed between two")):
        async with playing(period_s=3600) as play:
            await play.begin()
            await play.acknowledge(None)
            await play.leader.take(Failed("of what?"))
            await trio.sleep(10)


async def test_findings_of_no_generation_end_the_session() -> None:
    """B62, adversarial case 10: each of them would be a hundred lines of the log."""
    with pytest.RaisesGroup(RemoteProtocolError, flatten_subgroups=True):
        async with playing() as play:
            await play.begin()
            await play.acknowledge()
            await play.leader.take(found(REFUSED))
            play.source.add(Chunk(0, b"x"))
            await trio.sleep_forever()
    assert play.context.findings == [found()]


async def test_broken_connection_ends_the_leader() -> None:
    class Broken(FakeLink):
        async def send(self, message: Message) -> int:
            raise TransportError("broken")

    play = Play()
    play.leader._link = cast("Link", Broken())
    with pytest.raises(TransportError, match="broken"):
        await lead(play.leader)


async def test_a_handover_does_not_wait_for_ever_for_a_follower_that_says_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """R8, B62: no service runs meanwhile; its disk may hang, or it may mean to."""
    send, answers = trio.open_memory_channel[Message](1)
    hurried = False
    with trio.move_on_after(10 * LAST_ANSWER_S) as patience:
        await next_answer(answers, lambda: hurried)
    assert patience.cancelled_caught
    hurried = True
    began_at = trio.current_time()
    with pytest.raises(TransportError, match="said nothing of the last update for 300 s"):
        await next_answer(answers, lambda: hurried)
    assert trio.current_time() - began_at == LAST_ANSWER_S
    await send.send(Failed("no room"))
    assert await next_answer(answers, lambda: hurried) == Failed("no room")


async def test_after_the_last_update_no_other_begins() -> None:
    """R8, B6: a change after it must not be under way when the role is released."""
    async with playing() as play:
        await play.begin()
        await play.acknowledge()
        async with trio.open_nursery() as nursery:

            async def finish() -> None:
                assert await play.leader.update_now(last=True) == ""

            play.source.add(Chunk(0, b"last word"))
            nursery.start_soon(finish)
            await play.acknowledge()
        play.source.add(Chunk(0, b"too late"))
        play.leader.nudge()
        with trio.move_on_after(0.1):
            raise AssertionError(f"sent: {await play.link.sent.receive()}")


async def test_nothing_of_a_held_update_is_sent_and_it_is_tried_again() -> None:
    """B22: until the reason has gone by itself."""
    async with playing() as play:
        await play.begin()
        await play.acknowledge()
        play.source.held = HELD
        await wait_until(lambda: play.context.held.count(HELD) > 2, "it is tried again")
        assert play.nothing_sent()
        assert play.context.failures == []
        assert await play.leader.update_now() == HELD.text
        play.source.held = None
        play.source.add(Chunk(0, b"x"))
        await play.acknowledge()
        assert play.context.held[-1] is None


async def test_only_the_accepted_update_is_sent_and_only_the_next() -> None:
    """B22."""
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge()
        play.source.held = HELD
        assert OTHER.id not in await play.leader.update_now(accepted=OTHER.id)
        assert play.nothing_sent()
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                assert await play.leader.update_now(accepted=HELD.id) == ""

            play.source.add(Chunk(0, b"x"))
            nursery.start_soon(ask)
            await play.acknowledge()
        play.source.held = HELD
        assert await play.leader.update_now() == HELD.text
        assert play.source.accepted == ["", OTHER.id, HELD.id, ""]


async def test_a_held_update_does_not_hold_up_the_list_of_services() -> None:
    """R32."""
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge()
        play.source.held = HELD
        play.context.active = ()
        play.leader.nudge()
        assert isinstance(await play.next(), Begin)
        commit = await play.next()
        assert isinstance(commit, Commit)
        assert (commit.active, commit.operations) == ((), 0)


FIRST = Generation(Epoch(0, 0), 1, bytes(32))
SECOND = Generation(Epoch(0, 0), 2, bytes(32))
BEGUN = Generation(EPOCH, 2)


@pytest.mark.parametrize(
    ("own", "theirs", "sent"),
    [
        ((FIRST, SECOND), (FIRST, SECOND), True),
        ((FIRST, SECOND, BEGUN), (FIRST, SECOND), True),
        ((FIRST, SECOND), (FIRST,), False),
        ((FIRST, SECOND), (), False),
        ((FIRST, SECOND), (FIRST, Generation(Epoch(0, 1), 2, bytes(32))), False),
        ((), (), False),
    ],
)
async def test_while_all_is_held_a_list_of_services_goes_only_where_the_last_generation_is(
    own: tuple[Generation, ...], theirs: tuple[Generation, ...], sent: bool
) -> None:
    """B20: no generation says that another is there which is not; and none is sent for nothing."""
    before = History(own)
    async with playing(period_s=3600, own=before, theirs=History(theirs), held=HELD) as play:
        await play.begin()
        assert await play.leader.update_now() == HELD.text
        assert play.nothing_sent()
        play.context.active = ()
        if not sent:
            assert await play.leader.update_now() == HELD.text
            assert play.nothing_sent()
            return
        play.leader.nudge()
        await play.acknowledge()
        assert await play.leader.update_now() == HELD.text
        assert play.nothing_sent()


async def test_the_last_update_of_a_handover_may_be_held() -> None:
    async with playing(period_s=3600) as play:
        await play.begin()
        await play.acknowledge()
        play.source.held = HELD
        assert await play.leader.update_now(last=True) == HELD.text
        assert play.nothing_sent()


async def test_on_what_the_follower_holds_all_is_noted_once_where_nothing_is_sent() -> None:
    """B22."""
    async with playing() as play:
        await play.begin()
        await play.acknowledge()
        play.source.rebased = True
        await wait_until(lambda: len(play.source.trees) > 5, "some updates")
        assert play.source.settled == 1


async def test_a_preview_is_no_update() -> None:
    """B26."""
    async with playing(period_s=3600) as play:
        with pytest.raises(ReplicationError, match="has not said yet"):
            await play.leader.preview()
        await play.begin()
        await play.next()
        previews: list[Preview] = []

        async def look() -> None:
            previews.append(await play.leader.preview())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            assert previews == [], "it waits for the update under way"
            await play.acknowledge()
        assert previews == [PREVIEW]
        assert play.nothing_sent()


class FakeWatcher:
    """Has seen what the test says."""

    def __init__(self) -> None:
        self.seen: list[Changes | ReplicationError] = []

    def drain(self) -> Changes:
        if not self.seen:
            return NOTHING
        seen = self.seen.pop(0)
        if isinstance(seen, ReplicationError):
            raise seen
        return seen


IN_D = Changes.of([(0, "d")])
IN_E = Changes.of([(0, "e")])


async def test_a_cycle_looks_where_something_changed_and_nowhere_else() -> None:
    """B23: everything at the start; what scripts print counts as changed (R25)."""
    async with playing() as play:
        watcher = FakeWatcher()
        play.hints.trust(cast("Watcher", watcher))
        await play.begin()
        await play.acknowledge()
        await wait_until(lambda: len(play.source.looked) > 2, "cycles of the period")
        assert play.source.looked[0] == EVERYTHING
        assert set(play.source.looked[1:]) == {NOTHING}
        watcher.seen = [IN_D]
        play.context.printed = IN_E
        await wait_until(lambda: IN_D | IN_E in play.source.looked, "a cycle that looks there")
        assert EVERYTHING not in play.source.looked[1:]


async def test_without_a_watcher_every_cycle_looks_at_everything() -> None:
    """B23."""
    async with playing() as play:
        await play.begin()
        await play.acknowledge()
        await wait_until(lambda: len(play.source.looked) > 2, "cycles of the period")
        assert set(play.source.looked) == {EVERYTHING}


async def test_scripts_run_at_the_period_not_at_each_change() -> None:
    """R20: a script that writes into the folder must not call itself."""
    async with playing(period_s=3600) as play:
        watcher = FakeWatcher()
        play.hints.trust(cast("Watcher", watcher))
        await play.begin()
        await play.acknowledge()
        watcher.seen = [IN_D]
        play.leader.nudge()
        await wait_until(lambda: IN_D in play.source.looked, "a cycle that looks there")
        assert play.context.hooks == 1
        await play.leader.update_now()
        assert play.context.hooks == 2


async def test_whoever_asks_for_an_update_gets_a_full_scan() -> None:
    """R8, B23: of stores through a memory map the kernel tells no watcher."""
    async with playing(period_s=3600) as play:
        play.hints.trust(cast("Watcher", FakeWatcher()))
        await play.begin()
        await play.acknowledge()
        assert await play.leader.update_now() == ""
        assert play.source.looked == [EVERYTHING, EVERYTHING]


async def test_full_scans_come_every_rescan_s_whatever_the_watcher_says() -> None:
    """B23."""
    async with playing(rescan_s=0.02) as play:
        play.hints.trust(cast("Watcher", FakeWatcher()))
        await play.begin()
        await play.acknowledge()
        await wait_until(lambda: play.source.looked.count(EVERYTHING) > 2, "full scans")


async def test_who_asks_for_an_update_chooses_where_it_looks() -> None:
    """B23: everywhere, to be sure, if one of several wants that; else where something was seen."""
    async with playing(period_s=3600) as play:
        play.hints.trust(cast("Watcher", FakeWatcher()))
        await play.begin()
        await play.acknowledge()
        await play.leader.update_now(quick=True)
        await play.leader.update_now()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(play.leader.update_now, quick=True))
            nursery.start_soon(play.leader.update_now)
        assert play.source.looked[:3] == [EVERYTHING, NOTHING, EVERYTHING]
        assert set(play.source.looked[3:]) <= {EVERYTHING, NOTHING}
        assert EVERYTHING in play.source.looked[3:]


async def test_after_a_failed_update_everything_is_looked_at() -> None:
    """B20: what was looked at has not reached the follower."""
    async with playing() as play:
        play.hints.trust(cast("Watcher", FakeWatcher()))
        await play.begin()
        await play.acknowledge()
        await wait_until(lambda: NOTHING in play.source.looked, "a cycle that has nothing to do")
        looked = len(play.source.looked)
        play.source.add(ReplicationError("no such folder"))
        await wait_until(lambda: play.context.failures, "the failure")
        await wait_until(lambda: EVERYTHING in play.source.looked[looked:], "a full scan")


async def test_a_watcher_that_fails_is_not_trusted_any_more() -> None:
    """B23: without it, changes wait for the period, and no change is missed."""
    failures: list[ReplicationError] = []
    hints, watcher = Hints(failures.append), FakeWatcher()
    hints.trust(cast("Watcher", watcher))
    assert (hints.take(), hints.take()) == (EVERYTHING, NOTHING)
    watcher.seen = [IN_D, ReplicationError("too many directories")]
    assert (hints.collect(), hints.watching) == (True, True)
    assert (hints.collect(), hints.watching) == (True, False)
    assert not hints.collect()
    assert [str(error) for error in failures] == ["too many directories"]
    assert (hints.take(), hints.take()) == (EVERYTHING, EVERYTHING)


F = Entry(path="f", kind=Kind.FILE, mode=0o644, size_bytes=1, digest=b"f" * 32)


async def test_files_that_differ_are_taken_for_lost_by_the_follower() -> None:
    """B26."""
    async with playing() as play:
        play.source.readings = {"f": Reading(F.digest or b"", F.digest or b"")}
        await play.begin(F)
        await play.acknowledge()
        async with trio.open_nursery() as nursery:
            found: list[Verification] = []

            async def run() -> None:
                found.append(await play.leader.verifier.run(0))

            nursery.start_soon(run)
            assert await play.next() == Audit(0, ("f",))
            await play.leader.take(Audited((b"g" * 32,)))
        assert (found[0].files, found[0].repaired) == (1, 1)
        await wait_until(lambda: play.source.trees[-1] == set(), "it is sent again")


@pytest.mark.parametrize(
    ("own", "theirs", "counts"),
    [
        (Reading(b"f" * 32, b"f" * 32), b"f" * 32, (0, 0, 0)),
        (Reading(b"f" * 32, b"f" * 32), b"", (0, 1, 0)),
        (Reading(b"x" * 32, b"f" * 32), b"f" * 32, (1, 0, 0)),
        (Reading(b"x" * 32, b"f" * 32), b"x" * 32, (1, 0, 0)),
        (Reading(b"", b""), b"x" * 32, (0, 0, 1)),
        (Reading(b"f" * 32, b""), b"f" * 32, (0, 0, 0)),
        (Reading(b"f" * 32, b""), b"x" * 32, (0, 1, 0)),
        (Reading(b"x" * 32, b"x" * 32), b"f" * 32, (0, 0, 1)),
    ],
)
async def test_the_primary_is_never_repaired_nor_its_damage_sent(
    own: Reading, theirs: bytes, counts: tuple[int, int, int]
) -> None:
    """B26: damaged, repaired, skipped."""
    async with playing() as play:
        play.source.readings = {"f": own}
        await play.begin(F)
        await play.acknowledge()
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                found = await play.leader.verifier.run(0)
                assert (found.damaged, found.repaired, found.skipped) == counts

            nursery.start_soon(run)
            assert await play.next() == Audit(0, ("f",))
            await play.leader.take(Audited((theirs,)))


async def test_an_answer_that_nobody_asked_for_ends_the_session() -> None:
    """Adversarial case 24."""
    async with playing() as play:
        await play.begin(F)
        await play.acknowledge()
        await play.leader.take(Audited(()))  # one is kept, for whoever asks right now
        with pytest.raises(RemoteProtocolError, match="nobody asked"):
            await play.leader.take(Audited(()))
        with pytest.raises(ReplicationError, match="cannot compare"):
            await play.leader.verifier.run(0)


async def test_a_lost_connection_ends_a_comparison() -> None:
    """B26."""
    async with playing() as play:
        await play.begin(F)
        await play.acknowledge()
        play.leader.verifier.close()
        with pytest.raises(ReplicationError, match="was lost"):
            await play.leader.verifier.run(0)


async def test_how_far_an_update_is_can_be_seen() -> None:
    """B61: each phase in turn, with the counts that the follower was told."""
    async with playing(period_s=3600) as play:
        play.source.add(*[Chunk(0, b"xyz")] * 5)
        await play.begin(F)
        await play.acknowledge()
        tracker = play.context.tracker
        await wait_until(lambda: tracker.progress is None, "nothing is under way")
        assert tracker.begun == [
            (Phase.LISTING, None, None),
            (Phase.SCANNING, None, None),
            (Phase.SENDING, 5, 0),
            (Phase.CONFIRMING, None, None),
        ]
        assert tracker.done[Phase.LISTING] == (1, 0)
        assert tracker.done[Phase.SENDING] == (0, 15)


async def test_an_update_that_failed_is_not_under_way() -> None:
    """B61."""
    async with playing(period_s=3600) as play:
        play.source.add(Chunk(0, bytes(BATCH_BYTES)), ReplicationError("bad sector"))
        await play.begin()
        while not isinstance(await play.next(), Abandon):
            assert play.context.tracker.progress is not None
        await play.leader.take(Failed("abandoned"))
        await wait_until(lambda: play.context.tracker.progress is None, "it is over")


async def test_how_far_a_comparison_is_can_be_seen() -> None:
    """B26, B61."""
    async with playing(period_s=3600) as play:
        play.source.readings = {"f": Reading(F.digest or b"", F.digest or b"")}
        await play.begin(F)
        await play.acknowledge()
        verifier = play.leader.verifier
        async with trio.open_nursery() as nursery:
            nursery.start_soon(verifier.run, 0.1)
            assert isinstance(await play.next(), Audit)
            assert verifier.tracker.progress == Progress(phase="verifying")
            await play.leader.take(Audited((F.digest or b"",)))
            await wait_until(
                lambda: verifier.tracker.progress == Progress(phase="verifying", files=1, bytes=1),
                "one file is compared",
            )
            nursery.cancel_scope.cancel()
        assert verifier.tracker.progress is None
