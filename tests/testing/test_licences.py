"""The conformance check finds policies that break their promises."""

from __future__ import annotations

import datetime as dt

import attrs
import pytest
import trio

from sbs.core.licence import UNLICENSED, Kind, Licence, Standing, Start
from sbs.errors import LicenceError
from sbs.ports import LicenceOptions
from sbs.testing.licences import FakePolicy, check_license_policy, licence, today

OPTIONS = LicenceOptions(node="beta")


async def check(policy: FakePolicy) -> None:
    async def put(licence: Licence | None) -> None:
        policy.put(licence, OPTIONS.node)

    await check_license_policy(policy.open, OPTIONS, put)


async def test_fake_keeps_the_promises() -> None:
    await check(FakePolicy())


class Generous(FakePolicy):
    def refusal(self, standing: Standing, start: Start) -> str:
        return ""


class Strict(FakePolicy):
    """Forgets that a takeover is always allowed."""

    def refusal(self, standing: Standing, start: Start) -> str:
        return super().refusal(standing, start) or ("ended" if standing.problem else "")


class Wary(FakePolicy):
    """Lets no operator start anything under a grant."""

    def refusal(self, standing: Standing, start: Start) -> str:
        limited = start.by_operator and not standing.unlimited
        return super().refusal(standing, start) or ("not by hand" if limited else "")


class Talkative(FakePolicy):
    def refusal(self, standing: Standing, start: Start) -> str:
        text = super().refusal(standing, start)
        return f"{text}\nsorry" if text else ""


class Moody(FakePolicy):
    def refusal(self, standing: Standing, start: Start) -> str:
        text = super().refusal(standing, start)
        return text and f"{text} ({len(self.starts)})"


class Hasty(FakePolicy):
    """Reads its licence once."""

    first: Standing | None = None

    async def look(self) -> Standing:
        self.first = self.first or await super().look()
        return self.first


class Unwarned(FakePolicy):
    async def look(self) -> Standing:
        return attrs.evolve(await super().look(), warning="")


class Forgetful(FakePolicy):
    """Does not tell which licence has ended."""

    async def look(self) -> Standing:
        found = await super().look()
        return attrs.evolve(found, licence=None) if found.problem else found


class Trusting(FakePolicy):
    """Takes any node's licence."""

    def put(self, licence: Licence | None, node: str) -> None:
        super().put(licence, node if licence is None else licence.node)


class Blind(FakePolicy):
    """Takes the licence of another node for none."""

    async def look(self) -> Standing:
        found = await super().look()
        return attrs.evolve(found, absent=bool(found.problem))


class Shaky(FakePolicy):
    """A look that is given up loses what it had."""

    async def look(self) -> Standing:
        kept, self.standing = self.standing, UNLICENSED
        await trio.lowlevel.checkpoint()
        self.standing = kept
        return kept


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Generous(), "with a backup licence"),
        (Strict(), "after the end"),
        (Wary(), "with a backup licence"),
        (Talkative(), "a refusal must be one line"),
        (Moody(), "another answer"),
        (Hasty(), "a licence that counts must be told"),
        (Unwarned(), "30 days left: warning ''"),
        (Forgetful(), "which one has ended must be told"),
        (Trusting(), "with that of another node"),
        (Blind(), "with that of another node: absent must not be True"),
        (Shaky(), "after a look that was given up"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, FakePolicy) else "",
)
async def test_a_broken_promise_is_found(policy: FakePolicy, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        await check(policy)


async def test_fake_can_be_told_that_nothing_is_known() -> None:
    policy = FakePolicy()
    policy.unknown = "the server is away"
    with pytest.raises(LicenceError, match="away"):
        await policy.look()


def test_licences_for_tests_end_when_they_are_told_to() -> None:
    for days in (0, 1, 30):
        assert licence(Kind.FULL, "a", days_left=days).days_left(today()) == days
    assert licence(Kind.FULL, "a").expires is None
    assert licence(Kind.FULL, "a").issued < today() - dt.timedelta(days=1)
