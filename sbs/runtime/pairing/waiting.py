"""The node that waits: it shows a code, and anybody may knock."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
import trio

from sbs.adapters.transports.account import caller_of
from sbs.adapters.transports.pairing import Side
from sbs.core.printable import plain
from sbs.errors import PairingError, SbsError, TransportError, WrongCodeError
from sbs.ports import Listener
from sbs.runtime.linking.strangers import first_to_go
from sbs.runtime.pairing.meeting import Meeting, Paired, Party
from sbs.runtime.pairing.speaking import hear, say

LIFETIME_S: Final = 600.0
"""How long a code counts: time to walk to the other machine, and to type it there twice."""

MAX_WRONG: Final = 3
"""Wrong codes before a new one is needed: of 10**9 codes that is one chance in 3 * 10**8."""

MAX_GUESSES: Final = 100
"""Exchanges begun before a new one is needed. One that is not finished is no guess, but each takes
a moment of computing whose length hangs together with the code."""

MAX_CALLERS: Final = 32
"""Callers at a time. For one more the oldest of the busiest address gives way: the other node needs
a fraction of a second, and who says nothing keeps nobody out."""

FAREWELL_S: Final = 1.0
"""How long a caller is told why it was refused."""

_ANEW: Final = "somebody may be guessing; run sbs pair again for a new code"


async def wait_for_peer(
    listener: Listener,
    code: str,
    party: Party,
    now: dt.datetime,
    report: Callable[[str], None] = lambda _line: None,
) -> Paired:
    """Pair with the first caller that knows the code.

    Args:
        listener: where they call.
        code: its digits.
        party: this node.
        now: the time, with its zone.
        report: told each wrong code, in one line.

    Raises:
        PairingError: too many wrong codes, nobody came in time, or it failed after the code was
            proven; the text says what is true now.
    """
    with trio.move_on_after(LIFETIME_S) as lifetime:
        async with trio.open_nursery() as nursery:
            room = _Room(
                code=code, party=party, now=now, report=report, lifetime=lifetime, nursery=nursery
            )
            nursery.start_soon(room.admit, listener)
        return room.outcome()
    minutes = LIFETIME_S / 60
    raise PairingError(f"nobody came with the code in {minutes:g} minutes; run sbs pair again")


@attrs.define(kw_only=True)
class _Room:
    """Those who have called, until one of them is the other node."""

    code: str
    party: Party
    now: dt.datetime
    report: Callable[[str], None]
    lifetime: trio.CancelScope
    nursery: trio.Nursery
    _callers: dict[trio.CancelScope, str] = attrs.field(
        factory=dict[trio.CancelScope, str], init=False
    )
    _admission: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _guesses: int = attrs.field(default=0, init=False)
    _wrong: int = attrs.field(default=0, init=False)
    _outcome: Paired | SbsError | None = attrs.field(default=None, init=False)

    def outcome(self) -> Paired:
        """How it ended, once all have left."""
        match self._outcome:
            case Paired():
                return self._outcome
            case SbsError():
                raise self._outcome
            case None:
                raise PairingError("nobody is waited for any more; run sbs pair again")

    async def admit(self, listener: Listener) -> None:
        """Take every caller, until one is chosen."""
        with self._admission:
            while True:
                try:
                    stream = await listener.accept()
                except TransportError as error:
                    self._end(error)
                    return
                if len(self._callers) == MAX_CALLERS:
                    self._dismiss(first_to_go(self._callers))
                scope = trio.CancelScope()
                self._callers[scope] = caller_of(stream)
                self.nursery.start_soon(self._receive, stream, scope)

    async def _receive(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        meeting = Meeting(Side.WAITER, self.code, self.party, self.now)
        with scope:
            async with stream:
                try:
                    await self._converse(stream, meeting, scope)
                    self._end(meeting.result())
                except SbsError as error:
                    self._failed(meeting, error)
                    with suppress(PairingError), trio.move_on_after(FAREWELL_S, shield=True):
                        await say(stream, meeting)
        self._callers.pop(scope, None)

    async def _converse(
        self, stream: trio.abc.Stream, meeting: Meeting, scope: trio.CancelScope
    ) -> None:
        pairing = meeting.pairing
        await say(stream, meeting)
        while not pairing.has_ended:
            data = await hear(stream)
            # These bytes may have come in the moment in which somebody else ended everything.
            await trio.lowlevel.checkpoint_if_cancelled()
            knew_guess = pairing.has_guess
            try:
                meeting.receive(data)
            except WrongCodeError:
                self._count_wrong(self._callers[scope])
                raise
            finally:
                self._guesses += pairing.has_guess and not knew_guess
                if pairing.is_proven:
                    self._choose(scope)
            if self._guesses > MAX_GUESSES:
                self._end(PairingError(f"over {MAX_GUESSES} callers began without a code; {_ANEW}"))
            await say(stream, meeting)

    def _choose(self, chosen: trio.CancelScope) -> None:
        """The code is used up; nothing but its own time limits hurries the chosen one."""
        self._admission.cancel()
        self.lifetime.deadline = math.inf
        for scope in [each for each in self._callers if each is not chosen]:
            self._dismiss(scope)

    def _dismiss(self, scope: trio.CancelScope) -> None:
        del self._callers[scope]
        scope.cancel()

    def _count_wrong(self, host: str) -> None:
        self._wrong += 1
        left = MAX_WRONG - self._wrong
        self.report(f"a wrong code came from {plain(host)}; allowed are {left} more")
        if not left:
            self._end(
                PairingError(f"{MAX_WRONG} wrong codes came, and nothing was changed; {_ANEW}")
            )

    def _failed(self, meeting: Meeting, error: SbsError) -> None:
        """Only what a proven caller does concerns this node."""
        if not meeting.pairing.is_proven:
            return
        try:
            self._end(meeting.ended(error))
        except PairingError as final:
            self._end(final)

    def _end(self, outcome: Paired | SbsError) -> None:
        """The first end counts."""
        if self._outcome is None:
            self._outcome = outcome
        self.nursery.cancel_scope.cancel()
