from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from sbs.errors import WitnessError
from sbs.ports import Vote, Witness, WitnessOptions
from sbs.testing.witnesses import MemoryWitness, check_witness

OPTIONS = WitnessOptions(pair="p")


async def test_the_witness_in_memory_keeps_its_promises(autojump_clock: object) -> None:
    """B3"""
    await check_witness(MemoryWitness().open, OPTIONS)


async def test_it_can_be_away() -> None:
    witness = MemoryWitness()
    async with witness.open(OPTIONS) as client:
        assert (await client.acquire("a.1", 1.0)).granted
        assert witness.holder("p") == "a.1"
        witness.reachable = False
        with pytest.raises(WitnessError, match="told to be away"):
            await client.acquire("a.1", 1.0)
        with pytest.raises(WitnessError, match="told to be away"):
            await client.release("a.1")


class Generous(MemoryWitness):
    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        await super().acquire(pair, holder, ttl_s, self.holder(pair))
        return Vote(granted=True)


class Forgetful(MemoryWitness):
    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        return await super().acquire(pair, holder, ttl_s / 2, replaces)


class Eternal(MemoryWitness):
    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        return await super().acquire(pair, holder, ttl_s * 1000, replaces)


class Deaf(MemoryWitness):
    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        if self.holder(pair) == holder:
            await trio.lowlevel.checkpoint()
            return Vote(granted=True, holder=holder)
        return await super().acquire(pair, holder, ttl_s, replaces)


class Sore(MemoryWitness):
    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        try:
            return await super().acquire(pair, holder, ttl_s, replaces)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await self.release(pair, self.holder(pair))
            raise


class Loyal(MemoryWitness):
    async def acquire(self, pair: str, holder: str, ttl_s: float, replaces: str) -> Vote:
        return await super().acquire(pair, holder, ttl_s, "")


class Careless(MemoryWitness):
    async def release(self, pair: str, holder: str) -> None:
        await super().release(pair, self.holder(pair))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Generous, "nobody else may get it"),
        (Forgetful, "after its renewal, not 2"),
        (Deaf, "after its renewal, not 2"),
        (Sore, "a given up renewal frees nothing"),
        (Eternal, "must run out"),
        (Loyal, "must be replaced at once"),
        (Careless, "after a release by somebody else"),
    ],
)
async def test_the_check_finds_a_broken_witness(
    broken: type[MemoryWitness], says: str, autojump_clock: object
) -> None:
    with pytest.raises(AssertionError, match=says):
        await check_witness(broken().open, OPTIONS)


async def test_the_check_finds_witnesses_that_know_nothing_of_each_other(
    autojump_clock: object,
) -> None:
    @asynccontextmanager
    async def alone(options: WitnessOptions) -> AsyncGenerator[Witness, None]:
        async with MemoryWitness().open(options) as client:
            yield client

    with pytest.raises(AssertionError, match="nobody else may get it"):
        await check_witness(alone, OPTIONS)
