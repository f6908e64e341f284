"""What load balancers and supervisors ask: yes is 200, no is 503 (B61).

Paths and meanings follow the REST API of Patroni (its documentation, "Health check endpoints"), so
that a check written for it works here; ``docs/web.md`` has the table.
"""

from __future__ import annotations

import enum
from typing import Final, assert_never

import attrs

from sbs.core.role import Model, State


class Question(enum.Enum):
    """What is asked of a node."""

    PRIMARY = "primary"
    """Does it lead, and may its services run?"""
    SECONDARY = "secondary"
    """Does it follow a primary that it is connected to?"""
    HEALTH = "health"
    """Does its role loop turn?"""
    READY = "ready"
    """Does it serve, or could it take over now?"""


PATHS: Final = {
    "/primary": Question.PRIMARY,
    "/leader": Question.PRIMARY,
    "/master": Question.PRIMARY,
    "/read-write": Question.PRIMARY,
    "/secondary": Question.SECONDARY,
    "/replica": Question.SECONDARY,
    "/health": Question.HEALTH,
    "/liveness": Question.HEALTH,
    "/ready": Question.READY,
    "/readiness": Question.READY,
}
"""The first of each question is ours, the others are Patroni's names for it."""


@attrs.frozen(kw_only=True)
class Health:
    """What the answers rest on.

    Args:
        model: of the role machine.
        withheld: the licence withholds the services of this primary (R41).
        turns: the role loop has gone round since it was asked; only :attr:`Question.HEALTH` asks.
    """

    model: Model
    withheld: bool
    turns: bool = True

    @property
    def serves(self) -> bool:
        """Whether clients find the services here."""
        return self.model.state is State.PRIMARY and not self.withheld

    @property
    def follows(self) -> bool:
        """Whether it is a secondary that hears its primary."""
        return self.model.state is State.SECONDARY and self.model.session is not None

    def answers(self, question: Question) -> bool:
        """Whether the answer is yes."""
        match question:
            case Question.PRIMARY:
                return self.serves
            case Question.SECONDARY:
                return self.follows
            case Question.HEALTH:
                return self.turns
            case Question.READY:
                return self.serves or (self.follows and self.model.in_step)
            case _:
                assert_never(question)
