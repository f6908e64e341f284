"""The life of a service of the process adapter, as SBS knows it from its fencer's reports."""

from __future__ import annotations

import math
import signal

import attrs
import trio

from sbs.adapters.services.channel import Channel
from sbs.ports import ServiceState, Unit


@attrs.define(kw_only=True, eq=False)
class Service:
    """A unit and what became of it."""

    unit: Unit
    active: bool = False
    detail: str = ""
    run: Run | None = None
    requests: trio.Lock = attrs.field(factory=trio.Lock)

    @property
    def current(self) -> Run | None:
        """The run of which something may be alive."""
        return None if self.run is None or self.run.ended.is_set() else self.run

    @property
    def state(self) -> ServiceState:
        """What others see of it."""
        run = self.current
        return ServiceState(
            active=self.active, running=run is not None and run.pid > 0, detail=self.detail
        )


@attrs.define(kw_only=True, eq=False)
class Run:
    """One life of a service, from the request to start it until nothing of it is left.

    Args:
        number: names it on the channel.
        service: what was started.
        channel: to the fencer that runs it.
        pid: of its program, once that was executed.
        failure: how it ended.
        stop_bound_at: when it has to have ended for a stop, by trio's clock; infinite: no stop.
        expiry_bound_at: the same for a deadline that has passed (B3).
        settled: it was executed, or it has ended.
        ended: nothing of it is left.
    """

    number: int
    service: Service
    channel: Channel
    pid: int = 0
    failure: str = ""
    stop_bound_at: float = math.inf
    expiry_bound_at: float = math.inf
    settled: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)

    @property
    def is_stopping(self) -> bool:
        """Whether somebody has asked for its end."""
        return self.stop_bound_at < math.inf

    @property
    def bound_at(self) -> float:
        """When it has to have ended; infinite while nothing ends it."""
        return min(self.stop_bound_at, self.expiry_bound_at)

    def describe_end(self, code: int) -> str:
        """Why it ended, in words.

        Args:
            code: of its program, negative for a signal.
        """
        if self.is_stopping:
            return "stopped"
        if self.expiry_bound_at < math.inf:
            return f"its time here had passed: {describe_exit(code)}"
        return describe_exit(code)


def describe_exit(code: int) -> str:
    """How a process ended, in words.

    Args:
        code: negative for a signal.
    """
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-code}"
