"""Sends what waits in the outbox, for as long as it takes (B50)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Container, Iterable
from contextlib import suppress
from typing import Final

import attrs
import trio

from sbs.core.alarm import Alarm
from sbs.core.notice import Notice
from sbs.errors import NotifyError, SbsError, StateError
from sbs.log import ERROR, INFO, WARNING, Log
from sbs.ports import Notifier, NotifierFactory, NotifierOptions
from sbs.runtime.alarms import Alarms
from sbs.runtime.mailing.outbox import Entry, Outbox

MAX_UNWRITTEN: Final = 64
"""Notices not yet on the disk: a disk that hangs for so many events takes no more."""

_BROKEN: Final = "the adapter failed in a way it must not"

_log = Log(__name__)
_STUCK = _log.event(
    "mail-disk-slow",
    ERROR,
    "mail: the disk takes no more; {notice} is given up",
    "This message will not be sent: `state_dir` lies on a disk that does not answer. Look at it.",
)
_LATE = _log.event(
    "mail-too-late",
    WARNING,
    "mail: after the end: {notice}",
    "The node was ending already; this message will not be sent. Nothing to do.",
)
_WAITING = _log.event(
    "mail-waits",
    INFO,
    "mail: {messages} messages wait from before",
    "They could not be sent before the last end of SBS, and are tried again now. Nothing to do.",
)
_ADAPTER_BROKEN = _log.event(
    "mail-adapter-broken",
    ERROR,
    "mail: the adapter is broken",
    "A bug of the notifier; the messages wait, and the alarm `mail-failed` stands. Report "
    "it, with the traceback, to whoever made the notifier.",
)
_NOTICE_BROKEN = _log.event(
    "mail-message-broken",
    ERROR,
    "mail: the adapter is broken: {notice}",
    "As for `mail-adapter-broken`, for this one message.",
)
_SENT = _log.event(
    "mail-sent",
    INFO,
    "mail: {notice} was sent to {receivers}",
    "The server has taken it. Nothing to do.",
)


@attrs.frozen(kw_only=True)
class Pace:
    """How patient the postman is; all in seconds, above 0.

    Args:
        first_s: from a failure to the next attempt; each further one doubles it.
        longest_s: that it grows to: a server that is back is noticed within that time.
        refused_s: where the same again fails the same: a wrong password tried more often locks
            accounts, and a person has to act anyhow.
        end_s: for what still waits when the node ends; the next start sends the rest.
    """

    first_s: float = 5.0
    longest_s: float = 300.0
    refused_s: float = 900.0
    end_s: float = 5.0


@attrs.define
class _Turn:
    """When it is something's turn: ever later, while it fails."""

    failures: int = 0
    at: float = -math.inf
    fresh: bool = True
    """No round has begun since it could be sent."""

    def later(self, pace: Pace, *, permanent: bool) -> None:
        wait_s = min(pace.first_s * 2**self.failures, pace.longest_s)
        self.at = trio.current_time() + (pace.refused_s if permanent else wait_s)
        self.failures = min(self.failures + 1, 32)


@attrs.frozen(kw_only=True)
class _Letter:
    """What :meth:`Postman.post` and :meth:`Postman.amend` were given."""

    notice: Notice
    hold_s: float = 0.0
    amends: bool = False
    primacy: int = 0
    since: int = 0
    wanted: bool = True


class Postman:
    """The queue of one node and who empties it.

    Args:
        receivers: of every notice.
        outbox: what waits, on the disk.
        alarms: told while mail is not delivered.
        open_notifier: the adapter.
        options: for it; asked before each round, since a password may be renewed. Raises
            :class:`~sbs.errors.NotifyError` if it cannot be read; bounded, and may be cancelled.
        pace: how often it is tried.
    """

    def __init__(
        self,
        receivers: Iterable[str],
        outbox: Outbox,
        alarms: Alarms,
        *,
        open_notifier: NotifierFactory,
        options: Callable[[], Awaitable[NotifierOptions]],
        pace: Pace | None = None,
    ) -> None:
        self._receivers = tuple(receivers)
        self._outbox = outbox
        self._alarms = alarms
        self._open = open_notifier
        self._options = options
        self._pace = pace or Pace()
        self._send, self._unwritten = trio.open_memory_channel[_Letter](MAX_UNWRITTEN)
        self._round = _Turn()
        self._turns: dict[str, _Turn] = {}
        self._news = trio.Event()
        self._ending = False

    def post(
        self,
        notice: Notice,
        hold_s: float = 0.0,
        *,
        primacy: int = 0,
        since: int = 0,
        wanted: bool = True,
    ) -> None:
        """Have a notice written to the disk now and sent soon; never waits.

        Args:
            notice: what is told.
            hold_s: how long it may still be amended before it is sent.
            primacy: number of the one that it tells of, to be remembered; 0: of none.
            since: above 0, it is dropped if that primacy or a newer one has been told of.
            wanted: send it; else only the primacy is remembered.
        """
        self._take(
            _Letter(notice=notice, hold_s=hold_s, primacy=primacy, since=since, wanted=wanted)
        )

    def amend(self, notice: Notice) -> None:
        """Send this instead of what was posted under its id, unless that was sent already."""
        self._take(_Letter(notice=notice, amends=True))

    def _take(self, letter: _Letter) -> None:
        try:
            self._send.send_nowait(letter)
        except trio.WouldBlock:
            _STUCK(notice=letter.notice.id)
        except trio.ClosedResourceError:
            _LATE(notice=letter.notice.id)

    def end(self) -> None:
        """No notice comes any more; :meth:`run` returns when those that came are on the disk."""
        self._send.close()

    async def run(self) -> None:
        """Write and send; what fails is tried again."""
        await self._recall()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver_forever)
            await self._write_all()
            self._ending = True
            self._news.set()
            nursery.cancel_scope.deadline = trio.current_time() + self._pace.end_s

    async def _recall(self) -> None:
        """Read what waits from before the start."""
        try:
            await self._outbox.load()
            lost = self._outbox.set_aside
        except StateError as error:
            lost = (str(error),)
        if self._outbox.entries:
            _WAITING(messages=len(self._outbox.entries))
        if lost:
            text = f"messages that cannot be sent: {'; '.join(lost)}"
            self._alarms.raise_(Alarm.MAIL_DAMAGED, text)

    async def _write_all(self) -> None:
        """Write what is posted; if the node is cancelled, what was posted before, all the same."""
        try:
            async for letter in self._unwritten:
                with trio.CancelScope(shield=True):
                    await self._write(letter)
        finally:
            with trio.CancelScope(shield=True), suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    await self._write(self._unwritten.receive_nowait())

    async def _write(self, letter: _Letter) -> None:
        notice = letter.notice
        before = self._outbox.get(notice.id)
        if letter.amends and (before is None or before.notice.kind is not notice.kind):
            return  # it has been sent as it was; or it was dropped, and an earlier process's waits
        late = letter.since and (before is not None or self._outbox.told >= letter.since)
        durable = True
        if letter.wanted and not late:
            turn = self._turns.setdefault(notice.id, _Turn())
            turn.at = trio.current_time() + letter.hold_s
            done = () if before is None else before.done
            durable = await self._put(Entry(notice=notice, done=done))
            self._news.set()
        if durable:
            await self._outbox.tell(letter.primacy)

    async def _put(self, entry: Entry) -> bool:
        """Add to the outbox; whether it is on the disk."""
        try:
            await self._outbox.put(entry)
        except StateError as error:
            self._alarms.raise_(Alarm.MAIL_FAILED, f"{error}; it waits in memory")
            return False
        return True

    # Delivery.

    async def _deliver_forever(self) -> None:
        """Send what is due; at the end of the node once more, and no more."""
        while True:
            entries, now = self._outbox.entries, trio.current_time()
            self._turns = {entry.notice.id: self._turn(entry) for entry in entries}
            due = [entry for entry in entries if self._round_at(entry) <= now]
            if due:
                for entry in due:
                    self._turn(entry).fresh = False
                await self._deliver()
            elif self._ending:
                return
            else:
                await self._wait_due()

    def _round_at(self, entry: Entry) -> float:
        """When a round may begin for it; new and pressing, it waits for no failure before it."""
        at = self._due_at(entry)
        pressing = entry.notice.kind.pressing and self._turn(entry).fresh
        return at if pressing else max(at, self._round.at)

    def _due_at(self, entry: Entry) -> float:
        """When it may be sent; at the end of the node only what has failed before waits."""
        turn = self._turn(entry)
        return -math.inf if self._ending and not turn.failures else turn.at

    def _next(self, tried: Container[str]) -> Entry | None:
        """What is to be sent now, the most important first."""
        now = trio.current_time()
        due = (entry for entry in self._outbox.entries if self._due_at(entry) <= now)
        return next((entry for entry in due if entry.notice.id not in tried), None)

    def _turn(self, entry: Entry) -> _Turn:
        return self._turns.setdefault(entry.notice.id, _Turn())

    async def _wait_due(self) -> None:
        self._news = trio.Event()
        with trio.move_on_at(min(map(self._round_at, self._outbox.entries), default=math.inf)):
            await self._news.wait()

    async def _deliver(self) -> None:
        """One round: all that is due, over one notifier, once each; what comes meanwhile, too."""
        tried: set[str] = set()
        try:
            options = await self._options()
            async with self._open(options) as notifier:
                while (entry := self._next(tried)) is not None:
                    tried.add(entry.notice.id)
                    await self._deliver_one(notifier, entry)
        except NotifyError as error:
            self._fail(str(error), self._round, permanent=error.permanent)
        except SbsError as error:
            self._fail(str(error), self._round, permanent=True)
        except Exception as bug:  # it must not end a node that has just taken over
            _ADAPTER_BROKEN(exc_info=bug)
            self._fail(_BROKEN, self._round, permanent=True)
        else:
            self._round = _Turn()
            if not any(self._turn(entry).failures for entry in self._outbox.entries):
                self._alarms.clear(Alarm.MAIL_FAILED)

    async def _deliver_one(self, notifier: Notifier, entry: Entry) -> None:
        notice = entry.notice
        receivers = tuple(name for name in self._receivers if name not in entry.done)
        try:
            if receivers:
                await notifier.send(notice, receivers)
        except NotifyError as error:
            if not error.refused:
                raise
            taken = tuple(name for name in receivers if name not in error.refused)
            waiting = self._outbox.get(notice.id)  # it may have been amended meanwhile
            if taken and waiting is not None:
                await self._put(attrs.evolve(waiting, done=(*entry.done, *taken)))
            self._fail(str(error), self._turn(entry), permanent=error.permanent)
        except Exception as bug:  # an adapter's, with one notice, must not hold up the others
            _NOTICE_BROKEN(exc_info=bug, notice=notice.id)
            self._fail(_BROKEN, self._turn(entry), permanent=True)
        else:
            _SENT(notice=notice.id, receivers=", ".join(receivers) or "nobody else")
            self._turns.pop(notice.id, None)
            await self._outbox.remove(notice.id)

    def _fail(self, text: str, turn: _Turn, *, permanent: bool) -> None:
        turn.later(self._pace, permanent=permanent)
        waiting, dropped = len(self._outbox.entries), self._outbox.dropped
        given_up = f", given up for want of room: {dropped}" if dropped else ""
        self._alarms.raise_(Alarm.MAIL_FAILED, f"{text}; messages that wait: {waiting}{given_up}")
