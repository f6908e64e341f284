"""Contents on their way: what is compressed, by what the kernel says of the link."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from typing import cast

import pytest
import trio
import trio.testing

from sbs.adapters.transports.account import Account
from sbs.config.settings import SyncSettings
from sbs.core.compression import DRAINED_BYTES
from sbs.core.epoch import Epoch
from sbs.core.messages import Begin, Chunk, Content, Message
from sbs.errors import ReplicationError
from sbs.replication.leading.source import Update
from sbs.runtime.linking.link import Link
from sbs.runtime.updating.reading_ahead import BATCH_BYTES, READ_AHEAD, read_ahead
from sbs.runtime.updating.sender import Sender
from sbs.runtime.updating.tracker import Tracker
from tests.runtime.test_link import session

MIB = 1024 * 1024
TEXT = (b"nothing new in this line of a log, nor in the next one\n" * 20_000)[:MIB]
BEGIN = Begin(Epoch(1, 0), 1)


class FakeLink:
    """Carries so much in a second, and holds some of it like a kernel.

    Args:
        bytes_s: that arrive.
        is_local: as in :class:`Link`.
    """

    def __init__(self, bytes_s: float, *, is_local: bool = False) -> None:
        self.is_local = is_local
        self.sent: list[Message] = []
        self._bytes_s = bytes_s
        self._free_at = 0.0
        self._written = 0

    async def send(self, message: Message) -> int:
        self.sent.append(message)
        size = len(message.body) if isinstance(message, Chunk) else 0
        self._written += size
        self._free_at = max(self._free_at, trio.current_time()) + size / self._bytes_s
        await trio.sleep(max(0, self._free_at - trio.current_time() - MIB / self._bytes_s))
        return size

    @property
    def account(self) -> Account:
        unsent = round(max(0.0, self._free_at - trio.current_time()) * self._bytes_s)
        return Account(acked_bytes=self._written - unsent, unsent_bytes=unsent)

    @property
    def compressed(self) -> list[bool]:
        """Of each content that was sent."""
        return [each.raw_bytes > 0 for each in self.sent if isinstance(each, Chunk)]


class FakeUpdate:
    def __init__(self, messages: Sequence[Content | Exception]) -> None:
        self._messages = messages

    def messages(self, check: Callable[[], object]) -> Generator[Content, None, None]:
        for message in self._messages:
            if isinstance(message, Exception):
                raise message
            yield message


def never() -> bool:
    return False


async def unhindered() -> None:
    await trio.lowlevel.checkpoint()


async def send(
    link: FakeLink, *messages: Content | Exception, compression: str = "auto"
) -> tuple[Sender, int | None]:
    sender = Sender(cast("Link", link), SyncSettings(compression=compression), Tracker(), never)
    update = cast("Update", FakeUpdate(messages))
    return sender, await sender.send(update, BEGIN, unhindered)


async def test_a_slow_link_gets_compressed_content(autojump_clock: trio.testing.MockClock) -> None:
    link = FakeLink(1e6)
    _, size_bytes = await send(link, *[Chunk(0, TEXT)] * 20)
    assert link.sent[0] == BEGIN
    assert all(link.compressed)
    assert size_bytes == 20 * MIB


async def test_a_fast_link_gets_it_as_it_is(autojump_clock: trio.testing.MockClock) -> None:
    """Until that is known, it is taken for a usual one."""
    link = FakeLink(1e10)
    noise = [Chunk(0, random.Random(3).randbytes(MIB))] * (DRAINED_BYTES // MIB + 1)
    await send(link, Chunk(0, TEXT), *noise, *[Chunk(0, TEXT)] * (READ_AHEAD + 3))
    assert link.compressed[0]
    assert not any(link.compressed[1 : len(noise)])
    assert not any(link.compressed[-2:])  # those before them were read ahead


@pytest.mark.parametrize(
    ("compression", "is_local"), [("off", False), ("auto", True), ("off", True)]
)
async def test_nothing_is_compressed_if_not_wanted_nor_on_one_machine(
    compression: str, is_local: bool, autojump_clock: trio.testing.MockClock
) -> None:
    link = FakeLink(1e6, is_local=is_local)
    await send(link, *[Chunk(0, TEXT)] * 3, compression=compression)
    assert not any(link.compressed)


async def test_nothing_to_say_is_no_beginning() -> None:
    link = FakeLink(1e6)
    sender, size_bytes = await send(link)
    assert (link.sent, sender.begun, size_bytes) == ([], False, None)


async def test_a_failure_says_whether_the_follower_knows_of_the_update() -> None:
    link = FakeLink(1e9)
    sender = Sender(cast("Link", link), SyncSettings(), Tracker(), never)
    for messages, begun in (
        ((Chunk(0, bytes(BATCH_BYTES)), ReplicationError("bad sector")), True),
        ((Chunk(0, b"x"), ReplicationError("bad sector")), False),
        ((ReplicationError("bad sector"),), False),
    ):
        with pytest.raises(ReplicationError, match="bad sector"):
            await sender.send(cast("Update", FakeUpdate(messages)), BEGIN, unhindered)
        assert sender.begun is begun


async def test_what_was_read_ahead_for_a_lost_connection_is_dropped() -> None:
    """Whoever sends it says what was lost; a second error beside that one would end the node."""
    update = cast("Update", FakeUpdate([Chunk(0, bytes(BATCH_BYTES))] * (READ_AHEAD + 2)))
    send, receive = trio.open_memory_channel[list[Content]](READ_AHEAD)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_ahead, update, BATCH_BYTES, None, send)
        while not send.statistics().tasks_waiting_send:  # noqa: ASYNC110 - a thread tells nobody
            await trio.sleep(0.001)
        receive.close()


NOISE = random.Random(4).randbytes(MIB)
LIMIT = 256 * 1024


def limited(link: object, hurried: Callable[[], bool] = never) -> Sender:
    return Sender(cast("Link", link), SyncSettings(max_bytes_s=LIMIT), Tracker(), hurried)


async def test_a_limit_holds_for_what_is_sent(autojump_clock: trio.testing.MockClock) -> None:
    """Of compressed content that is what is left of it."""
    for body in (NOISE, TEXT):
        link = FakeLink(1e9, is_local=True)
        began_at = trio.current_time()
        update = cast("Update", FakeUpdate([Chunk(0, body)] * 10))
        assert await limited(link).send(update, BEGIN, unhindered) == 10 * MIB
        sizes = [len(each.body) for each in link.sent if isinstance(each, Chunk)]
        assert max(sizes) <= 256 * 1024
        took_s = trio.current_time() - began_at
        assert took_s == pytest.approx((sum(sizes) - sizes[-1]) / LIMIT, abs=0.2)


async def test_a_handover_is_not_held_back(autojump_clock: trio.testing.MockClock) -> None:
    """R8: no service runs until it is done."""
    link = FakeLink(1e9)
    async with trio.open_nursery() as nursery:
        waits = trio.Event()
        sender = limited(link, waits.is_set)
        update = cast("Update", FakeUpdate([Chunk(0, NOISE)] * 100))
        nursery.start_soon(sender.send, update, BEGIN, unhindered)
        await trio.sleep(10)
        assert len(link.sent) < 20
        waits.set()
        asked_at = trio.current_time()
    assert trio.current_time() - asked_at < 1
    assert len(link.sent) == 401


async def test_heartbeats_do_not_wait_for_the_limit(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """R7, R20: a second for each message, and a heartbeat every tenth."""
    follower, leader = await session()
    heard: list[float] = []
    taken: list[Message] = []

    async def note(message: Message) -> None:
        await trio.lowlevel.checkpoint()
        taken.append(message)

    async def listen() -> None:
        while True:
            await trio.sleep(0.05)
            heard.append(float(follower._echo))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run, note)
        nursery.start_soon(leader.run, note)
        nursery.start_soon(leader.beat, 0.1)
        nursery.start_soon(listen)
        update = cast("Update", FakeUpdate([Chunk(0, NOISE)] * 5))
        began_at = trio.current_time()
        await limited(leader).send(update, BEGIN, unhindered)
        assert trio.current_time() - began_at > 15
        nursery.cancel_scope.cancel()
    assert len([each for each in taken if isinstance(each, Chunk)]) >= 19
    silent = max(sum(1 for each in heard if each == beat) for beat in set(heard[4:-4]))
    assert silent <= 4  # looks, of 0.05 s each
