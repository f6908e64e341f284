"""Requests that the role machine answers later, each by its number."""

from __future__ import annotations

import itertools

import attrs
import trio


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
    """The open requests of one node."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, Ticket] = {}

    def draw(self) -> Ticket:
        """Open a request."""
        ticket = Ticket(next(self._numbers))
        self._open[ticket.number] = ticket
        return ticket

    def answer(self, number: int, error: str) -> None:
        """Answer a request, and close it."""
        ticket = self._open.pop(number)
        ticket.error = error
        ticket.answered.set()

    def answer_all(self, error: str) -> None:
        """Answer what is open: nobody shall wait for a node that has ended."""
        for number in tuple(self._open):
            self.answer(number, error)
