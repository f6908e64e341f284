"""The other end of a connection to a node: honest as far as it is told to be, no further."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar, cast

import attrs
import trio

from sbs.core.claim import Claim, Mode, Role
from sbs.core.codec import decode, encode
from sbs.core.epoch import NO_EPOCH, Epoch
from sbs.core.frames import PREAMBLE, SESSION_LIMITS, FrameDecoder
from sbs.core.history import Generation, History
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.messages import (
    Begin,
    Commit,
    Committed,
    Findings,
    Folders,
    Follow,
    Heartbeat,
    Hello,
    Listing,
    Message,
    Pack,
    Welcome,
)
from sbs.replication.files.content import digest_of_content
from sbs.replication.seal import Seal

T = TypeVar("T", bound=Message)

FOLDER: Final = FolderSpec(name="settings", path="/srv/settings", strict_delete=True)
"""That the node's configuration has, too; as a hostile primary tells of it."""

EVERYTHING: Final = attrs.evolve(FOLDER, owner=True, xattr=True, preserve_mtime=True)
"""The same, as of a primary that has owners and attributes set as well."""

PROBE: Final = 4711
"""Sequence of a heartbeat that nothing but :meth:`Peer.is_heard` sends."""

CLAIM: Final = Claim(
    node_id="b" * 32,
    name="beta",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=1,
    role=Role.PROBING,
    epoch=NO_EPOCH,
    history=History(),
)
"""Of a secondary that never ran."""


def leading(claim: Claim | None = None) -> Claim:
    """The claim of a primary whose data is newer than that of whoever makes ``claim``."""
    epoch = Epoch(1, 1) if claim is None else claim.epoch.next(1)
    history = History() if claim is None else claim.history
    history = history.append(Generation(epoch, history.number))
    return attrs.evolve(CLAIM, role=Role.PRIMARY, epoch=epoch, history=history)


def put(path: str, content: bytes = b"new", **more: object) -> tuple[Operation, bytes]:
    """A small file, and what is in it."""
    operation = Operation(
        folder=0,
        action=Action.PUT,
        path=path,
        mode=0o644,
        size_bytes=len(content),
        digest=digest_of_content(content),
    )
    return attrs.evolve(operation, **more), content  # type: ignore[arg-type]


def act(action: Action, path: str, **more: object) -> tuple[Operation, bytes]:
    """Any operation without a content."""
    operation = Operation(folder=0, action=action, path=path, mode=0o755)
    return attrs.evolve(operation, **more), b""  # type: ignore[arg-type]


class Peer:
    """One connection to a node.

    Args:
        stream: of it.
        claim: what the peer says of itself.
        base: everything lies below it.

    Attributes:
        hello: what the node said of itself.
        epoch: of the session.
        history: of its leader.
        proposed: the generation that the node has sent, for a peer that owes a verdict.
    """

    def __init__(self, stream: trio.abc.Stream, claim: Claim, base: Path) -> None:
        self.claim = claim
        self.base = base
        self.hello: Hello
        self.epoch = claim.epoch
        self.history = claim.history
        self.proposed: Generation
        self.stream = stream
        self._decoder = FrameDecoder(SESSION_LIMITS)
        self._received: deque[Message] = deque()
        self._turn = trio.StrictFIFOLock()

    # Bytes.

    async def send(
        self,
        *what: Message | bytes,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Send messages, or bytes that look like some; a node that has closed gets nothing.

        ``started()`` is called when nothing that is sent later comes before.
        """
        async with self._turn:
            task_status.started()
            for each in what:
                data = each if isinstance(each, bytes) else encode(each)
                try:
                    await self.stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return

    async def receive(self) -> Message | None:
        """The next message, heartbeats among them; ``None`` at the end."""
        while not self._received:
            try:
                data = await self.stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not data:
                return None
            self._received.extend(map(decode, self._decoder.feed(data)))
        return self._received.popleft()

    async def until(self, *kinds: type[Message]) -> Message:
        """The next message of one of these kinds; what comes before it is skipped."""
        skipped: list[Message] = []
        while (message := await self.receive()) is not None:
            if isinstance(message, kinds):
                return message
            skipped.append(message)
        raise AssertionError(f"the node closed instead of sending {kinds}; before: {skipped[-3:]}")

    async def has_closed(self) -> list[Message]:
        """Wait until the node closes; what it said until then, but for heartbeats."""
        said: list[Message] = []
        while (message := await self.receive()) is not None:
            if not isinstance(message, Heartbeat):
                said.append(message)
        return said

    async def is_heard(self) -> None:
        """Return when the node has read all that was sent."""
        await self.send(Heartbeat(PROBE))
        while cast("Heartbeat", await self.until(Heartbeat)).echo != PROBE:
            pass

    async def close(self) -> None:
        await trio.aclose_forcefully(self.stream)

    # Stages of a conversation, each from the one before.

    async def greet(self) -> None:
        """Exchange hellos."""
        await self.send(PREAMBLE + encode(Hello(versions=(1, 1), software="sbs", claim=self.claim)))
        self.hello = cast("Hello", await self.until(Hello))

    async def follow(self) -> Folders:
        """Become the secondary; the node waits for a listing."""
        await self.send(Follow(self.claim.epoch))
        welcome = cast("Welcome", await self.until(Welcome))
        self.epoch, self.history = welcome.epoch, welcome.history
        return cast("Folders", await self.until(Folders))

    async def list_nothing(self) -> None:
        """Say that nothing stands here: the node begins an update."""
        await self.send(Listing(folder=0, last=True))

    async def welcome(self) -> None:
        """Become the primary of a node that asks for it."""
        await self.until(Follow)
        await self.send(Welcome(self.epoch, self.history))

    async def tell_folders(self, *folders: FolderSpec) -> None:
        """Have the node list its folders."""
        await self.send(Folders(self.epoch, folders or (FOLDER,)))
        while not cast("Listing", await self.until(Listing)).last:
            pass

    def begin(self, **more: int) -> Begin:
        """That of the next generation."""
        return Begin(self.epoch, self.history.number + 1, **more)

    def commit(self, operations: Sequence[Operation], *active: str) -> Commit:
        """That of a generation of these operations."""
        seal = Seal()
        seal.add(operations)
        sealed = seal.generation(self.epoch, self.history, active)
        return Commit(generation=sealed, operations=seal.count, active=active)

    def generation(self, *changes: tuple[Operation, bytes]) -> tuple[Message, ...]:
        """A whole generation of small changes, as an honest primary would send it."""
        operations = tuple(operation for operation, _ in changes)
        pack = Pack(operations, b"".join(content for _, content in changes))
        return self.begin(), pack, self.commit(operations)

    async def take_update(self) -> set[str]:
        """As a good secondary: take what comes up to a commit, and answer it.

        Returns:
            the paths of it.
        """
        paths: set[str] = set()
        while True:
            match await self.until(Pack, Commit):
                case Pack(operations):
                    paths |= {operation.path for operation in operations}
                case Commit(generation=generation):
                    await self.send(Committed(generation), Findings(findings=(), total=0))
                    return paths
