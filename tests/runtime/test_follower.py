"""The follower: what it refuses, and what a lost connection may not break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from sbs.core.epoch import Epoch
from sbs.core.folding import Folding
from sbs.core.history import DIGEST_BYTES, Generation, History
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.messages import (
    MAX_BODY_BYTES,
    MAX_FINDINGS,
    Abandon,
    Audit,
    Audited,
    Begin,
    Chunk,
    Commit,
    Committed,
    Content,
    Failed,
    Finding,
    Findings,
    Folders,
    Listing,
    Message,
    Pack,
)
from sbs.core.progress import Phase
from sbs.errors import RemoteProtocolError, ReplicationError, StateError
from sbs.replication.files.problems import Problem
from sbs.replication.following.target import Applied, CommitRecord, Target
from sbs.replication.former.kept import Kept
from sbs.runtime.linking.link import Link
from sbs.runtime.updating.follower import Follower
from sbs.runtime.updating.follower_session import FollowerSession
from sbs.runtime.updating.last_update import LastUpdate
from sbs.testing.nodes import wait_until
from tests.replication.rig import Pair
from tests.replication.test_bodies import bomb
from tests.runtime.rig import Phases

EPOCH = Epoch(3, 1)
COMMIT = Commit(generation=Generation(EPOCH, 1, bytes(32)), operations=0)
NOTHING_FOUND = Findings(findings=(), total=0)


class FakeQuarantine:
    def __init__(self) -> None:
        self.standing: tuple[Kept, ...] = ()

    def watch(self, places: dict[str, str]) -> None:
        assert places == {"data": "/here"}


class FakeTarget:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: list[ReplicationError | StateError] = []
        self.problems: tuple[Problem, ...] = ()
        self.quarantine = FakeQuarantine()
        self.operations: tuple[Operation, ...] = ()
        self.applied = Applied()
        self.done: Callable[[int, int], object] = lambda _files, _size_bytes: None

    def open(self, folders: object, places: list[str]) -> None:
        self.calls.append(f"open {places}")

    def listing(self, check: Callable[[], object]) -> Iterator[Listing]:
        yield Listing(folder=0, last=True)

    def begin(self, begin: Begin) -> None:
        self.calls.append("begin")
        if self.failures:
            raise self.failures.pop()

    def commit(self, commit: Commit, history: History, check: object) -> CommitRecord:
        self.calls.append("commit")
        return CommitRecord(
            history=history.append(commit.generation),
            active=(),
            folders=(FolderSpec(name="data", path="/there"),),
            places=("/here",),
            foldings=(Folding.NONE,),
            operations=self.operations,
            contents_at=0,
        )

    def apply(self, record: CommitRecord, check: object) -> Applied:
        self.calls.append("apply")
        if self.failures:
            raise self.failures.pop()
        for operation in record.operations:
            self.done(1, operation.size_bytes)
        return self.applied

    def take(self, message: Content, check: object) -> None:
        self.calls.append("take")

    def abandon(self) -> None:
        self.calls.append("abandon")

    def suspend(self) -> None:
        self.calls.append("suspend")

    def audit(self, audit: Audit, check: object) -> Audited:
        self.calls.append("audit")
        if self.failures:
            raise self.failures.pop()
        return Audited((b"d" * 32,))


class Context:
    def __init__(self) -> None:
        self.closing = False
        self.tracker = Phases()
        self.known = trio.Event()
        self.failures: list[str] = []
        self.hooks: list[int] = []
        self.problems: tuple[Problem, ...] = ()

    async def held(self, record: CommitRecord) -> trio.Event:
        await trio.lowlevel.checkpoint()
        return self.known

    def updated(self, update: LastUpdate | None, problems: tuple[Problem, ...]) -> None:
        self.failures.append("")
        self.problems = problems

    def update_failed(self, text: str) -> None:
        self.failures.append(text)

    def applied(self, generation: Generation) -> None:
        self.hooks.append(generation.number)


class FakeLink:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    def post(self, message: Message) -> None:
        self.sent.append(message)

    async def send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)


class Play:
    def __init__(
        self,
        *,
        own: dict[str, str] | None = None,
        under: tuple[str, ...] = (),
        target: Target | None = None,
    ) -> None:
        self.target, self.context, self.link = FakeTarget(), Context(), FakeLink()
        target = target or cast("Target", self.target)
        self.follower = Follower(target, own or {}, under, "/state", self.context)
        link = cast("Link", self.link)
        self.session: FollowerSession = FollowerSession(self.follower, link, EPOCH, History())


def place(path: str, **arguments: object) -> str:
    play = Play(**arguments)  # type: ignore[arg-type]
    return play.follower.place(FolderSpec(name="data", path=path))


def test_own_folder_has_its_own_place() -> None:
    """R24."""
    assert place("/elsewhere", own={"data": "/here"}) == "/here"


def test_learned_folder_lies_below_an_allowed_directory() -> None:
    """R24."""
    assert place("/app/data", under=("/srv", "/app")) == "/app/data"
    assert place("/app", under=("/app",)) == "/app"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/application", "sync.accept_under"),
        ("/app/../etc", "sync.accept_under"),
        ("app/data", "no absolute path"),
        ("/app/own/below", "overlaps /app/own"),
        ("/app", "overlaps /app/own"),
        ("/app" + "/d" * 64, "65 components; allowed are 64"),
    ],
)
def test_learned_folder_is_refused_elsewhere(path: str, says: str) -> None:
    """R24, adversarial 6 and 20."""
    with pytest.raises(ReplicationError, match=says):
        place(path, own={"other": "/app/own"}, under=("/app",))


def test_state_directory_is_no_place_for_a_folder() -> None:
    """Adversarial 20."""
    for path in ("/", "/state", "/state/below"):
        with pytest.raises(ReplicationError, match="overlaps /state"):
            place(path, under=("/",))


async def run(play: Play, *messages: Message) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.session.run)
        for message in messages:
            await play.session.take(message)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()


async def test_listing_answers_the_folders() -> None:
    play = Play(own={"data": "/here"})
    await run(play, Folders(EPOCH, (FolderSpec(name="data", path="/there"),)))
    assert play.target.calls == ["open ['/here']", "suspend"]
    assert play.link.sent == [Listing(folder=0, last=True)]


OLDER = Epoch(2, 0)


@pytest.mark.parametrize(
    "message",
    [
        Folders(OLDER, ()),
        Begin(OLDER, 1),
        Commit(generation=Generation(OLDER, 1, b"o" * DIGEST_BYTES), operations=0),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_older_epoch_is_refused(message: Message) -> None:
    """B2: each message of an update that names its epoch; the rest are within one that does."""
    play = Play()
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match=r"epoch 2\.0")):
        await run(play, message)
    assert play.target.calls == ["suspend"]


async def test_message_of_the_other_side_is_refused() -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(RemoteProtocolError, match="not for a secondary")):
        await run(Play(), Committed(COMMIT.generation))


async def test_failed_update_has_one_verdict_and_the_next_begins_anew() -> None:
    play = Play()
    play.target.failures.append(ReplicationError("disk full"))
    play.context.known.set()
    await run(play, Begin(EPOCH, 1), COMMIT, Begin(EPOCH, 1), COMMIT)
    assert play.link.sent == [
        Failed("disk full"),
        Committed(COMMIT.generation),
        NOTHING_FOUND,
    ]
    assert play.target.calls == ["begin", "abandon", "begin", "commit", "apply", "suspend"]
    assert play.context.failures == ["disk full", ""]
    assert play.context.hooks == [1]


async def test_abandoned_update_is_answered() -> None:
    play = Play()
    await run(play, Begin(EPOCH, 1), Abandon("read error"))
    assert play.link.sent == [Failed("the primary gave the update up: read error")]


def committed(number: int) -> Commit:
    return Commit(generation=Generation(EPOCH, number, bytes(32)), operations=0)


async def test_the_leader_is_told_what_was_found() -> None:
    """B4: after each generation, all that is so then: problems, notes, then what is kept."""
    play = Play(own={"data": "/here"})
    play.context.known.set()
    target = play.target
    target.problems = (Problem.of("data", "pipe", "is a pipe"), Problem.of("data", "a\n", "denied"))
    target.operations = (Operation(folder=0, action=Action.MKDIR, path="a\n"),)
    note = Problem.of("data", "", "owners cannot be set", note=True)
    target.applied = Applied(problems=(note, Problem.of("data", "b", "something is in the way")))
    kept = Kept(folder="data", place="/here", path="c", kept="q/1.0-7/c", generation=7)
    target.quarantine.standing = (kept,)
    folders = Folders(EPOCH, (FolderSpec(name="data", path="/there"),))
    await run(play, folders, Begin(EPOCH, 1), committed(1), Begin(EPOCH, 2), committed(2))
    pipe = Finding(folder="data", path="pipe", text="is a pipe")
    way = Finding(folder="data", path="b", text="something is in the way")
    owners = Finding(folder="data", path="", text="owners cannot be set", note=True)
    told = Finding(folder="data", path="c", text="replaced by generation 7", kept="q/1.0-7/c")
    findings = Findings(findings=(pipe, way, owners, told), total=4)
    assert [word for word in play.link.sent if isinstance(word, Findings)] == [findings] * 2
    assert [problem.path for problem in play.context.problems] == ["data/pipe", "data", "data/b"]
    target.operations = (Operation(folder=0, action=Action.DELETE, path="b"),)
    target.applied = Applied()
    target.quarantine.standing = (kept,) * MAX_FINDINGS
    await run(play, Begin(EPOCH, 3), committed(3))
    many = play.link.sent[-1]
    assert isinstance(many, Findings)
    assert many.findings == (pipe, owners, *[told] * (MAX_FINDINGS - 2))
    assert many.total == MAX_FINDINGS + 2


async def test_nothing_is_told_of_what_is_not_applied() -> None:
    """B4: the leader takes findings for the word that a generation stands in the folders."""
    play = Play()
    play.context.known.set()
    play.context.closing = True
    await run(play, Begin(EPOCH, 1), COMMIT)
    assert play.link.sent == [Committed(COMMIT.generation)]


async def test_acknowledged_before_but_applied_after_the_state_knows() -> None:
    """B20."""
    play = Play()
    await run_cut(play)
    assert play.target.calls == ["commit"]
    assert play.link.sent == [Committed(COMMIT.generation)]


async def run_cut(play: Play) -> None:
    """A commit whose connection is lost while it waits for the state; then the state knows."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.session.run)
        await play.session.take(COMMIT)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert play.target.calls == ["commit"]
            play.context.closing = True
            play.context.known.set()


async def test_lost_connection_does_not_stop_a_commit_half_way() -> None:
    """B20: journaled is applied, whatever becomes of the leader."""
    play = Play()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.session.run)
        await play.session.take(COMMIT)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
        play.context.known.set()
    assert play.target.calls == ["commit", "apply", "suspend"]


async def test_commit_that_comes_after_the_claim_is_not_begun() -> None:
    """B20: no state would count it any more, and the services would wait for it for ever."""
    play = Play()
    with trio.CancelScope() as connection:
        async with trio.open_nursery() as nursery:
            await play.follower.journaling.acquire()
            nursery.start_soon(play.session.run)
            await play.session.take(COMMIT)
            await trio.testing.wait_all_tasks_blocked(0.01)
            connection.cancel()
            play.follower.journaling.release()
    assert play.target.calls == ["suspend"]
    with trio.fail_after(5):
        await play.follower.settle()


async def test_roll_forward_is_tried_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbs.runtime.updating.follower.RETRY_S", 0.01)
    play = Play()
    play.context.known.set()
    play.target.failures = [ReplicationError("full")] * 3
    await play.follower.commit(COMMIT, History(), lambda: None)
    await play.follower.settle()
    assert play.target.calls == ["commit", *["apply"] * 4]
    assert [bool(text) for text in play.context.failures] == [True, True, True, False]
    assert "no service starts here" in play.context.failures[0]


async def test_node_that_ends_leaves_the_roll_forward_to_its_next_start() -> None:
    play = Play()
    play.context.known.set()
    play.context.closing = True
    await play.follower.commit(COMMIT, History(), lambda: None)
    assert play.target.calls == ["commit"]
    play.follower.abandon()
    assert play.target.calls == ["commit"], "what is committed is not dropped"


async def test_an_audit_is_answered_also_after_a_refused_update() -> None:
    """B26: whoever compares must not wait for ever; a failure is no verdict on an update."""
    play = Play(own={"data": "/here"})
    refused, broken = ReplicationError("no space"), StateError("a damaged index")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play.session.run)
        play.target.failures = [refused]
        await play.session.take(Begin(EPOCH, 1))
        await play.session.take(Audit(0, ("f",)))
        await wait_until(lambda: play.link.sent[-1:] == [Audited((b"d" * 32,))], "the answer")
        play.target.failures = [broken]
        await play.session.take(Audit(0, ("f",)))
        await wait_until(lambda: play.link.sent[-1:] == [Audited(())], "the refusal")
        assert [type(each) for each in play.link.sent] == [Failed, Audited, Audited]
        nursery.cancel_scope.cancel()


async def test_how_far_an_update_is_can_be_seen() -> None:
    """B61: staged, made durable and put in place, by what the leader and the record say."""
    play = Play(own={"data": "/here"})
    play.context.known.set()
    play.target.operations = (
        Operation(folder=0, action=Action.PUT, path="f", size_bytes=3, digest=bytes(DIGEST_BYTES)),
        Operation(folder=0, action=Action.DELETE, path="g"),
    )
    tracker = play.context.tracker
    await run(
        play,
        Folders(EPOCH, (FolderSpec(name="data", path="/there"),)),
        Begin(EPOCH, 1, 2, 3),
        Pack(play.target.operations, b"xxx"),
        Chunk(0, b"yy", raw_bytes=1000),
        COMMIT,
    )
    assert tracker.begun == [
        (Phase.LISTING, None, None),
        (Phase.RECEIVING, 2, 3),
        (Phase.COMMITTING, None, None),
        (Phase.APPLYING, 2, 3),
    ]
    assert tracker.done[Phase.RECEIVING] == (2, 1003)
    assert tracker.done[Phase.APPLYING] == (2, 3)
    assert tracker.progress is None


async def test_a_bomb_ends_its_update_and_not_the_session(tmp_path: Path) -> None:
    """Adversarial: much more in a message than a body may hold, which is what it says it has."""
    with Pair(str(tmp_path)) as pair:
        play = Play(own={"data": pair.b}, target=pair.target)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.session.run)
            for message in (
                Folders(EPOCH, tuple(pair.specs)),
                Begin(EPOCH, 1),
                Chunk(0, bomb(), raw_bytes=MAX_BODY_BYTES),
                Chunk(0, b"the rest of it"),
                Begin(EPOCH, 1),
                Chunk(0, b"the next one"),
                Audit(0, ()),
            ):
                await play.session.take(message)
            await wait_until(lambda: Audited(()) in play.link.sent, "all of it was taken")
            nursery.cancel_scope.cancel()
    listing, failed, _ = play.link.sent
    assert isinstance(listing, Listing)
    assert isinstance(failed, Failed)
    assert "not one frame of 1048576 bytes" in failed.text
    assert len(play.context.failures) == 1
