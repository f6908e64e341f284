"""When a service that ended by itself is started again, and when no more (B32)."""

from __future__ import annotations

from typing import Final

import attrs

MAX_DELAY_S: Final = 60.0
"""Longest wait before a restart: doubling goes on for ever, and an administrator waits."""

APART_S: Final = 60.0
"""Ends that lie closer are one trouble, that of a start for instance: soon over, or given up."""


@attrs.frozen(kw_only=True)
class RestartLimits:
    """How often a service may be started again.

    Args:
        count: restarts within ``period_s``, 0 or more; 0: none at all.
        period_s: how long an end is remembered, in seconds.
        delay_s: before the first restart, in seconds; it doubles with each end remembered.
    """

    count: int
    period_s: float
    delay_s: float


@attrs.frozen(kw_only=True)
class Restarts:
    """What became of one service in one primacy.

    Args:
        ended_at: when it ended by itself, as far as that is remembered.
        due_at: when it is started again; ``None``: it runs, or nothing is done.
        given_up: it has ended too often, and is not started again.
        recurring: at its last end an earlier one, :data:`APART_S` before or more, was remembered,
            or this was so at the end before, which was remembered still.
    """

    ended_at: tuple[float, ...] = ()
    due_at: float | None = None
    given_up: bool = False
    recurring: bool = False

    def ended(self, now: float, limits: RestartLimits) -> Restarts:
        """It has ended by itself, or could not be started.

        Args:
            now: the time, on any clock that only goes forward.
            limits: as configured.
        """
        before = tuple(at for at in self.ended_at if now - at < limits.period_s)
        ended_at = (*before, now)
        recurring = bool(before) and (self.recurring or now - before[0] >= APART_S)
        record = attrs.evolve(self, ended_at=ended_at, due_at=None, recurring=recurring)
        if len(ended_at) > limits.count:
            return attrs.evolve(record, given_up=True)
        # The exponent of a float has room for a thousand doublings; the settings allow a hundred.
        delay_s = min(limits.delay_s * 2.0 ** (len(ended_at) - 1), MAX_DELAY_S)
        return attrs.evolve(record, due_at=now + delay_s)

    def started(self) -> Restarts:
        """It was started again; should it end, that counts with the ends before."""
        return attrs.evolve(self, due_at=None)

    def runs(self, limits: RestartLimits) -> Restarts:
        """It runs, perhaps by its operator's hand: what was given up begins anew.

        Args:
            limits: as configured; where they allow no restart, its manager has started it.
        """
        if self.given_up and limits.count:
            return Restarts()
        return attrs.evolve(self, due_at=None, given_up=False)

    def unstable(self, now: float, limits: RestartLimits) -> bool:
        """Whether it ends again and again, and has not run for a whole period since.

        Args:
            now: the time, on the clock of :meth:`ended`.
            limits: as configured.
        """
        return self.recurring and not self.given_up and now - self.ended_at[-1] < limits.period_s


@attrs.frozen(kw_only=True)
class Handovers:
    """What keeps two nodes from handing a role to each other for ever.

    Args:
        pause_s: a role is given away for a failed service at most once in so many seconds.
        received_at: when the other node last handed the role over; ``None``: never.
        given_at: when this node last gave it away for a failed service; ``None``: never.
    """

    pause_s: float
    received_at: float | None = None
    given_at: float | None = None

    def hindrance(self, now: float) -> str:
        """Why the role stays here now, in words; empty if it may go.

        Args:
            now: the time, on the clock of the other two.
        """
        for at, text in (
            (self.received_at, "the other node handed the role over"),
            (self.given_at, "this node gave the role away for a failed service"),
        ):
            if at is not None and now - at < self.pause_s:
                return f"{text} less than {self.pause_s:g} s ago"
        return ""
