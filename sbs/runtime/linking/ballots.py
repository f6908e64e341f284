"""Asks the witness for its vote, one question at a time, and gives it back (B3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from sbs.core import events as ev
from sbs.core.effects import AskWitness
from sbs.errors import WitnessError
from sbs.log import INFO, WARNING, Log
from sbs.ports import Witness

RELEASE_S: Final = 2.0
"""How long giving a vote back may take: it runs out by itself."""

MAX_RELEASES: Final = 8
"""Votes waiting to be given back: a role is not lost so often in the time of one."""

_log = Log(__name__)
_SLOW = _log.event(
    "witness-slow",
    WARNING,
    "the witness is slow; the vote of term {term} is left to run out",
    "Nothing is lost, but the other node may wait some seconds longer before it can lead. "
    "Look at the witness's load and at the network to it.",
)
_LEFT = _log.event(
    "vote-not-released",
    INFO,
    "the witness's vote is left to run out: {error}",
    "The vote that this node gives back ends by itself within seconds. If it happens "
    "often, look at the witness.",
)
_UNANSWERED = _log.event(
    "vote-release-unanswered",
    INFO,
    "the witness's vote is left to run out: no answer in {timeout_s:g} s",
    "As for `vote-not-released`.",
)


class Ballots:
    """The witness, as the role machine uses it.

    Args:
        witness: gives the third vote; ``None``: there is none, and nobody asks.
        name: of this node's life; with a term's number it names the holder of a vote.
        post: gives the role machine an event.
    """

    def __init__(
        self, witness: Witness | None, name: str, post: Callable[[ev.Event], Awaitable[None]]
    ) -> None:
        self._witness = witness
        self._name = name
        self._post = post
        self._asking = trio.CancelScope()
        self._send, self._releases = trio.open_memory_channel[int](MAX_RELEASES)

    def holder(self, term: int) -> str:
        """The name under which this node has a vote in ``term``; empty without a witness."""
        return "" if self._witness is None else f"{self._name}.{term}"

    async def ask(self, question: AskWitness) -> None:
        """Ask; the answer, or why there is none, is an event. An older question is dropped."""
        self._asking.cancel()
        self._asking = trio.CancelScope()
        with self._asking:
            await self._post(await self._answer(question))

    async def _answer(self, question: AskWitness) -> ev.WitnessAnswered:
        serial = question.serial
        if self._witness is None:
            return ev.WitnessAnswered(serial=serial, granted=False, error="none is configured")
        with trio.move_on_after(question.within_s):
            try:
                vote = await self._witness.acquire(
                    self.holder(question.term), question.ttl_s, replaces=question.replaces
                )
            except WitnessError as error:
                return ev.WitnessAnswered(serial=serial, granted=False, error=str(error))
            return ev.WitnessAnswered(serial=serial, granted=vote.granted, holder=vote.holder)
        late = f"no answer within {question.within_s:g} s"
        return ev.WitnessAnswered(serial=serial, granted=False, error=late)

    def leave(self, term: int) -> None:
        """Give the vote of a term back, soon."""
        self._asking.cancel()
        try:
            self._send.send_nowait(term)
        except trio.WouldBlock:
            _SLOW(term=term)

    def end(self) -> None:
        """No vote has to be given back any more; :meth:`run` returns after the last."""
        self._send.close()

    async def run(self) -> None:
        """Give back the votes that :meth:`leave` names."""
        async for term in self._releases:
            if self._witness is None:
                continue
            with trio.move_on_after(RELEASE_S) as scope:
                try:
                    await self._witness.release(self.holder(term))
                except WitnessError as error:
                    _LEFT(error=error)
            if scope.cancelled_caught:
                _UNANSWERED(timeout_s=RELEASE_S)
