"""A notifier in memory, and what every notifier must fulfil."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import attrs
import trio

from sbs.core.notice import Kind, Notice
from sbs.errors import NotifyError
from sbs.ports import Notifier, NotifierFactory, NotifierOptions, SendStep

CANCELLED_AFTER_S: Final = (0.0, 0.001, 0.003, 0.01)
"""When calls are given up: before, in the middle of, and after what a server nearby does."""

RETURN_S: Final = 20.0
"""How long a call that was cancelled may take to return, on a busy machine."""

PASSWORD: Final = "Tr0ub4dor-and-3"  # noqa: S105 - of no account
"""With which a notifier is opened for the checks; no error may hold it."""

A, B, C = "a@example.org", "b@example.org", "c@example.org"


@attrs.frozen
class Delivery:
    """A notice that somebody got."""

    receiver: str
    notice_id: str


class FarEnd(Protocol):
    """What a notifier hands its notices to, as a check controls it."""

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """Everything that was taken so far, in order."""
        ...

    def refuse(self, receiver: str, *, permanent: bool) -> None:
        """Take nothing for this receiver from now on, and say whether that may change."""
        ...

    def take_all(self) -> None:
        """Refuse nobody any more."""
        ...

    async def leave(self) -> None:
        """Not be reachable, until :meth:`come_back`."""
        ...

    async def come_back(self) -> None:
        """Be reachable again."""
        ...


class MemoryNotifier:
    """A :class:`sbs.ports.Notifier` that keeps what it is given; hand :meth:`open` to nodes.

    Attributes:
        notices: each that was taken for somebody, in order.
        deliveries: each receiver of each.
    """

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.deliveries: list[Delivery] = []
        self._refused: dict[str, bool] = {}
        self._reachable = True

    def refuse(self, receiver: str, *, permanent: bool) -> None:
        """See :meth:`FarEnd.refuse`."""
        self._refused[receiver] = permanent

    def take_all(self) -> None:
        """See :meth:`FarEnd.take_all`."""
        self._refused.clear()

    async def leave(self) -> None:
        """See :meth:`FarEnd.leave`."""
        await trio.lowlevel.checkpoint()
        self._reachable = False

    async def come_back(self) -> None:
        """See :meth:`FarEnd.come_back`."""
        await trio.lowlevel.checkpoint()
        self._reachable = True

    @asynccontextmanager
    async def open(self, _options: NotifierOptions) -> AsyncGenerator[Notifier, None]:
        """A :data:`sbs.ports.NotifierFactory`."""
        await trio.lowlevel.checkpoint()
        yield self

    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = lambda _step: None,
    ) -> None:
        """See :meth:`sbs.ports.Notifier.send`."""
        await trio.lowlevel.checkpoint()
        if not self._reachable:
            report(SendStep(name="connect", ok=False, detail="told to be away"))
            raise NotifyError("the notifier in memory was told to be away", permanent=False)
        refused = {name: self._refused[name] for name in receivers if name in self._refused}
        taken = [Delivery(name, notice.id) for name in receivers if name not in refused]
        self.deliveries += taken
        if taken:
            self.notices.append(notice)
        report(SendStep(name="take", ok=bool(taken), detail=f"for {len(taken)} receivers"))
        if refused:
            text = f"told to refuse {', '.join(refused)}"
            permanent = all(refused.values())
            raise NotifyError(text, permanent=permanent, refused=tuple(refused))


async def check_notifier(
    open_notifier: NotifierFactory, options: NotifierOptions, far_end: FarEnd
) -> None:
    """Check that a notifier keeps the promises of :class:`sbs.ports.Notifier`; takes seconds.

    Args:
        open_notifier: the adapter.
        options: with which it reaches ``far_end``.
        far_end: to whom nobody else sends.

    Raises:
        AssertionError: a promise is broken; the text says which.
    """
    for check in (_check_delivery, _check_refusals, _check_away, _check_cancelled):
        async with open_notifier(options) as notifier:
            await check(notifier, far_end)


def _notice(number: int) -> Notice:
    return Notice(id=f"test.{number}", kind=Kind.TEST, at=1_700_000_000.0, node="alpha")


async def _check_delivery(notifier: Notifier, far_end: FarEnd) -> None:
    steps: list[SendStep] = []
    before = len(far_end.deliveries)
    await notifier.send(_notice(1), (A, B), steps.append)
    await notifier.send(_notice(1), (A,))
    got = list(far_end.deliveries[before:])
    wanted = [Delivery(A, "test.1"), Delivery(B, "test.1"), Delivery(A, "test.1")]
    assert got == wanted, f"each receiver gets it under its id, and nobody else: {got}"
    assert all(step.ok for step in steps), f"what was delivered has no step that failed: {steps}"


async def _check_refusals(notifier: Notifier, far_end: FarEnd) -> None:
    cases = (
        ({B: True}, (A, B), True, (B,)),
        ({B: False}, (A, B), False, (B,)),
        ({B: True, C: False}, (A, B, C), False, (B, C)),
        ({A: True, B: True}, (A, B), True, (A, B)),
    )
    for number, (refusals, receivers, permanent, refused) in enumerate(cases, 2):
        for receiver, for_good in refusals.items():
            far_end.refuse(receiver, permanent=for_good)
        before = len(far_end.deliveries)
        error = await _failure(notifier, _notice(number), receivers)
        far_end.take_all()
        text = f"refused {refusals}: NotifyError must say so, not {error.refused}"
        assert sorted(error.refused) == sorted(refused), text
        assert error.permanent == permanent, f"refused {refusals}: permanent must be {permanent}"
        got = [each.receiver for each in far_end.deliveries[before:]]
        rest = [name for name in receivers if name not in refused]
        assert got == rest, f"the others get it all the same: {rest}, not {got}"


async def _failure(notifier: Notifier, notice: Notice, receivers: Sequence[str]) -> NotifyError:
    found: NotifyError | None = None
    try:
        await notifier.send(notice, receivers)
    except NotifyError as error:
        found = error
    assert found is not None, f"{notice.id} was not taken for all: NotifyError must be raised"
    assert str(found), "an error must say what failed"
    assert PASSWORD not in str(found), "no error holds the password"
    return found


async def _check_away(notifier: Notifier, far_end: FarEnd) -> None:
    await far_end.leave()
    before = len(far_end.deliveries)
    error = await _failure(notifier, _notice(20), (A,))
    assert not error.permanent, "who is away may come back"
    assert error.refused == (), "who is away has refused nobody"
    await far_end.come_back()
    await notifier.send(_notice(20), (A,))
    got = list(far_end.deliveries[before:])
    assert got == [Delivery(A, "test.20")], f"after it came back, one: {got}"


async def _check_cancelled(notifier: Notifier, far_end: FarEnd) -> None:
    for number, timeout_s in enumerate(CANCELLED_AFTER_S, 30):
        with trio.move_on_after(RETURN_S) as patience, trio.move_on_after(timeout_s):
            await notifier.send(_notice(number), (A,))
        assert not patience.cancelled_caught, "a call that is cancelled must return"
    before = len(far_end.deliveries)
    await notifier.send(_notice(40), (A,))
    got = [each for each in far_end.deliveries[before:] if each.notice_id == "test.40"]
    assert got == [Delivery(A, "test.40")], f"after calls that were given up, one: {got}"
