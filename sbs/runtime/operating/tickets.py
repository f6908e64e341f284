"""Requests that the role machine answers later, each by its number."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import attrs
import trio

from sbs.core import events as ev
from sbs.errors import RefusedError


@attrs.define(eq=False)
class Ticket:
    """One request that is open.

    Args:
        number: by which the role machine knows it.
        error: of the answer; empty: done.
    """

    number: int
    error: str = ""
    answered: trio.Event = attrs.field(factory=trio.Event)


class Tickets:
    """The open requests of one node.

    Args:
        name: of the node.
        post: gives the role machine an event.
    """

    def __init__(self, name: str, post: Callable[[ev.Event], Awaitable[None]]) -> None:
        self._name = name
        self._post = post
        self._numbers = itertools.count(1)
        self._open: dict[int, Ticket] = {}
        self._ended = False

    async def ask(self, make: Callable[[int], ev.Event]) -> None:
        """Give the role machine a request and wait for its answer.

        Args:
            make: the event of it, for its number.

        Raises:
            RefusedError: the text says why.
        """
        ticket = Ticket(next(self._numbers))
        self._open[ticket.number] = ticket
        await self._post(make(ticket.number))
        if self._ended:
            self.end()
        await ticket.answered.wait()
        if ticket.error:
            raise RefusedError(ticket.error)

    def answer(self, number: int, error: str) -> None:
        """Answer a request, and close it."""
        ticket = self._open.pop(number)
        ticket.error = error
        ticket.answered.set()

    def end(self) -> None:
        """Refuse what is open, and what comes: nobody shall wait for a node that has ended."""
        self._ended = True
        for number in tuple(self._open):
            self.answer(number, f"{self._name} has ended: start it again with sbs run")
