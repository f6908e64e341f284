"""A licence policy in memory, and what every licence policy must fulfil."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import attrs
import trio

from sbs.core import licence as rules
from sbs.core.effects import Via
from sbs.core.licence import UNLICENSED, WARN_DAYS, Kind, Licence, Standing, Start
from sbs.errors import LicenceError
from sbs.ports import LicenceFactory, LicenceOptions, LicensePolicy

Put: TypeAlias = Callable[[Licence | None], Awaitable[None]]
"""Makes a licence the one that a policy finds from then on; ``None``: there is none."""

CANCELLED_AFTER_S: Final = (0.0, 0.0001, 0.001)
"""When looks are given up: before, and in the middle of, what a look nearby does."""


class FakePolicy:
    """A :class:`sbs.ports.LicensePolicy` that a test tells how the licence stands.

    Args:
        standing: what a look finds.

    Attributes:
        starts: every start that was asked about, in order.
        unknown: why looks fail; empty: they do not.
    """

    def __init__(self, standing: Standing = UNLICENSED) -> None:
        self.standing: Standing = standing
        self.starts: list[Start] = []
        self.unknown: str = ""

    async def look(self) -> Standing:
        """See :meth:`sbs.ports.LicensePolicy.look`."""
        await trio.lowlevel.checkpoint()
        if self.unknown:
            raise LicenceError(self.unknown)
        return self.standing

    def refusal(self, standing: Standing, start: Start) -> str:
        """See :meth:`sbs.ports.LicensePolicy.refusal`."""
        self.starts.append(start)
        return rules.refusal(standing, start)

    def put(self, licence: Licence | None, node: str) -> None:
        """Let looks find a licence on a node of this name, as the adapter ``file`` would today."""
        if licence is None:
            text = "in memory: there is no licence; put one there"
            self.standing = Standing(problem=text, absent=True)
        elif licence.node != node:
            self.standing = Standing(
                problem=f"in memory: the licence is for {licence.node}, and this is {node}"
            )
        else:
            self.standing = rules.standing(licence, "in memory", today())

    @asynccontextmanager
    async def open(self, options: LicenceOptions) -> AsyncGenerator[LicensePolicy, None]:
        """A :data:`sbs.ports.LicenceFactory`."""
        del options
        await trio.lowlevel.checkpoint()
        yield self


def today() -> dt.date:
    """The day by which licences end."""
    return dt.datetime.now(dt.UTC).date()


def licence(kind: Kind, node: str, *, days_left: int | None = None) -> Licence:
    """A licence for tests.

    Args:
        kind: of it.
        node: that it is for.
        days_left: as :meth:`~sbs.core.licence.Licence.days_left` shall say; 0: it ended yesterday.
    """
    expires = None if days_left is None else today() + dt.timedelta(days=days_left - 1)
    return Licence(
        serial="2026-17",
        kind=kind,
        holder="Example Ltd",
        node=node,
        issued=today() - dt.timedelta(days=365),
        expires=expires,
    )


async def check_license_policy(
    open_policy: LicenceFactory, options: LicenceOptions, put: Put
) -> None:
    """Check that a policy keeps the promises of :class:`sbs.ports.LicensePolicy` (R40 to R44).

    Args:
        open_policy: the adapter.
        options: with which it finds what ``put`` puts, on the node ``options.node``.
        put: see :data:`Put`.

    Raises:
        AssertionError: a promise is broken; the text says which.
    """
    for check in (_check_kinds, _check_end, _check_absence, _check_replaced, _check_cancelled):
        await put(licence(Kind.FULL, options.node))
        async with open_policy(options) as policy:
            await check(policy, put, options.node)


async def _look(policy: LicensePolicy) -> Standing:
    found = await policy.look()
    assert found == await policy.look(), "two looks at the same licence must agree"
    for text in (found.problem, found.warning):
        assert text.isprintable(), f"texts must be one line each: {text!r}"
    return found


def _require(policy: LicensePolicy, found: Standing, *, direct: bool, when: str) -> None:
    """Starts under a grant are allowed in any case, those without as told, whoever asks."""
    for via in Via:
        for granted in (False, True):
            for by_operator in (False, True):
                start = Start(via=via, granted=granted, by_operator=by_operator)
                text = policy.refusal(found, start)
                assert text == policy.refusal(found, start), "the same question, another answer"
                assert text.isprintable(), f"a refusal must be one line: {text!r}"
                allowed = direct or granted
                assert (not text) == allowed, f"{when}, {start}: allowed must be {allowed}: {text}"


async def _check_kinds(policy: LicensePolicy, put: Put, node: str) -> None:
    for kind, direct in ((Kind.FULL, True), (Kind.BACKUP, False)):
        wanted = licence(kind, node)
        await put(wanted)
        found = await _look(policy)
        assert found == Standing(licence=wanted), f"a licence that counts must be told: {found}"
        _require(policy, found, direct=direct, when=f"with a {kind.value} licence (R40, R41)")


async def _check_end(policy: LicensePolicy, put: Put, node: str) -> None:
    for kind in Kind:
        for days, warned in ((WARN_DAYS + 1, False), (WARN_DAYS, True), (1, True)):
            await put(licence(kind, node, days_left=days))
            found = await _look(policy)
            assert not found.problem, f"with {days} days left it counts: {found.problem}"
            assert bool(found.warning) == warned, f"{days} days left: warning {found.warning!r}"
            _require(policy, found, direct=kind is Kind.FULL, when=f"{days} days before the end")
        ended = licence(kind, node, days_left=0)
        await put(ended)
        found = await _look(policy)
        assert found.problem, "a licence that has ended must be a problem"
        assert found.licence == ended, "which one has ended must be told"
        _require(policy, found, direct=False, when="after the end (R42)")


async def _check_absence(policy: LicensePolicy, put: Put, node: str) -> None:
    foreign = licence(Kind.FULL, f"not-{node}")
    for absent, when in ((None, "without a licence"), (foreign, "with that of another node")):
        await put(absent)
        found = await _look(policy)
        assert found.problem, f"{when}: that must be a problem"
        assert found.licence is None, f"{when}: none counts, so none may be told"
        assert found.absent == (absent is None), f"{when}: absent must not be {found.absent} (R43)"
        _require(policy, found, direct=False, when=when)


async def _check_replaced(policy: LicensePolicy, put: Put, node: str) -> None:
    for kind in (Kind.BACKUP, Kind.FULL, Kind.BACKUP):
        await put(licence(kind, node))
        found = await policy.look()
        told = None if found.licence is None else found.licence.kind
        assert told is kind, f"the next look must find what was put in place (R44): {found}"
        await put(None)
        assert (await policy.look()).problem, "the next look must find that it was removed"


async def _check_cancelled(policy: LicensePolicy, put: Put, node: str) -> None:
    wanted = licence(Kind.BACKUP, node)
    await put(wanted)
    for timeout_s in CANCELLED_AFTER_S:
        with trio.move_on_after(timeout_s):
            await policy.look()
        found = await policy.look()
        assert found == attrs.evolve(Standing(), licence=wanted), "after a look that was given up"
