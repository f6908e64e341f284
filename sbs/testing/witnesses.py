"""A witness in memory, and what every witness must fulfil."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from sbs.errors import WitnessError
from sbs.ports import Vote, Witness, WitnessFactory, WitnessOptions

TTL_S: Final = 2.0
"""How long votes last in checks: etcd's shortest."""

EXPIRY_BOUND_S: Final = 10.0
"""How long after its time a vote may take to run out."""

RACES: Final = 50
"""How often two ask at once."""

CANCELLED_AFTER_S: Final = (0.0, 0.001, 0.002, 0.004, 0.008)
"""When calls are given up: before, in the middle of, and after what a witness nearby does."""


@attrs.define
class _Held:
    holder: str
    until: float


class MemoryWitness:
    """A :class:`sbs.ports.Witness` for the nodes of one program; hand it to both.

    Attributes:
        reachable: calls fail while it is false.
    """

    def __init__(self) -> None:
        self.reachable: bool = True
        self._held: dict[str, _Held] = {}

    def holder(self, pair: str) -> str:
        """Who has the vote of a pair; empty: nobody."""
        held = self._held.get(pair)
        return held.holder if held is not None and trio.current_time() < held.until else ""

    @asynccontextmanager
    async def open(self, options: WitnessOptions) -> AsyncGenerator[Witness, None]:
        """A :data:`sbs.ports.WitnessFactory`."""
        await trio.lowlevel.checkpoint()
        yield _Client(self, options.pair)

    async def _answer(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise WitnessError("the witness in memory was told to be away")

    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        """See :meth:`sbs.ports.Witness.acquire`."""
        await self._answer()
        present = self.holder(pair)
        if present not in {"", holder, replaces}:
            return Vote(granted=False, holder=present)
        self._held[pair] = _Held(holder, trio.current_time() + ttl_s)
        return Vote(granted=True, holder=holder)

    async def release(self, pair: str, holder: str) -> None:
        """See :meth:`sbs.ports.Witness.release`."""
        await self._answer()
        if holder and self.holder(pair) == holder:
            del self._held[pair]


@attrs.frozen
class _Client:
    """One node's end of a :class:`MemoryWitness`."""

    witness: MemoryWitness
    pair: str

    async def acquire(self, holder: str, ttl_s: float, *, replaces: str = "") -> Vote:
        """See :meth:`sbs.ports.Witness.acquire`."""
        return await self.witness.acquire(self.pair, holder, ttl_s, replaces)

    async def release(self, holder: str) -> None:
        """See :meth:`sbs.ports.Witness.release`."""
        await self.witness.release(self.pair, holder)


async def check_witness(open_witness: WitnessFactory, options: WitnessOptions) -> None:
    """Check that a witness keeps the promises of :class:`sbs.ports.Witness`; takes seconds.

    Args:
        open_witness: the adapter.
        options: with which it reaches a witness that nobody else uses.

    Raises:
        AssertionError: a promise is broken; the text says which.
    """
    checks = (_check_exclusive, _check_replace, _check_expiry, _check_cancelled, _check_race)
    for number, check in enumerate(checks):
        pair = attrs.evolve(options, pair=f"{options.pair}-{number}")
        async with open_witness(pair) as one, open_witness(pair) as other:
            await check(one, other)


async def _require(witness: Witness, holder: str, *, granted: bool, when: str) -> None:
    vote = await witness.acquire(holder, TTL_S)
    assert vote.granted == granted, f"{when}: granted must be {granted}, is {vote}"


async def _check_exclusive(one: Witness, other: Witness) -> None:
    await _require(one, "a.1", granted=True, when="the first who asks")
    for _ in range(3):
        await _require(one, "a.1", granted=True, when="renewal")
        vote = await other.acquire("b.1", TTL_S)
        assert not vote.granted, "one has the vote: nobody else may get it"
        assert vote.holder == "a.1", f"who has the vote must be told, not {vote.holder!r}"
    await _require(one, "a.2", granted=False, when="another name of the same node")
    await other.release("b.1")
    await _require(other, "b.1", granted=False, when="after a release by somebody else")
    await one.release("a.1")
    await one.release("a.1")
    await _require(other, "b.1", granted=True, when="after the release")
    await other.release("b.1")


async def _check_replace(one: Witness, other: Witness) -> None:
    await _require(one, "a.1", granted=True, when="the first who asks")
    vote = await other.acquire("b.1", TTL_S, replaces="c.1")
    assert not vote.granted, "only whoever holds the vote can be replaced"
    vote = await other.acquire("b.1", TTL_S, replaces="a.1")
    assert vote.granted, "the holder named must be replaced at once"
    await _require(one, "a.1", granted=False, when="after it was replaced")
    await other.release("b.1")


async def _check_expiry(one: Witness, other: Witness) -> None:
    await _require(one, "a.1", granted=True, when="the first who asks")
    await _require(other, "b.1", granted=False, when="while another has it")
    await trio.sleep(TTL_S / 2)
    asked_at = trio.current_time()
    await _require(one, "a.1", granted=True, when="renewal")
    with trio.move_on_after(TTL_S + EXPIRY_BOUND_S):
        while not (await other.acquire("b.1", TTL_S)).granted:  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(0.05)
        lasted_s = trio.current_time() - asked_at
        text = f"the vote ran out {lasted_s:.3f} s after its renewal, not {TTL_S:g}"
        assert lasted_s >= TTL_S, text
        await _require(one, "a.1", granted=False, when="after it ran out, and another has it")
        await other.release("b.1")
        return
    raise AssertionError(f"a vote of {TTL_S:g} s must run out")


async def _check_cancelled(one: Witness, other: Witness) -> None:
    for timeout_s in CANCELLED_AFTER_S:
        await _require(one, "a.1", granted=True, when="before a call that is given up")
        with trio.move_on_after(timeout_s):
            await one.acquire("a.1", TTL_S)
        with trio.move_on_after(timeout_s):
            await other.acquire("b.1", TTL_S)
        await _require(other, "b.1", granted=False, when="a given up renewal frees nothing")
        await _require(one, "a.1", granted=True, when="after a renewal that was given up")
        await one.release("a.1")
        with trio.move_on_after(timeout_s):
            await other.acquire("b.1", TTL_S)
        await _require(other, "b.1", granted=True, when="after a call that was given up")
        await other.release("b.1")


async def _check_race(one: Witness, other: Witness) -> None:
    for number in range(RACES):
        votes: dict[str, Vote] = {}

        async def ask(witness: Witness, holder: str, votes: dict[str, Vote] = votes) -> None:
            votes[holder] = await witness.acquire(holder, TTL_S)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(ask, one, f"a.{number}"))
            nursery.start_soon(partial(ask, other, f"b.{number}"))
        winners = [holder for holder, vote in votes.items() if vote.granted]
        assert len(winners) == 1, f"of two who ask at once one must win: {votes}"
        await (one if winners[0].startswith("a") else other).release(winners[0])
