"""Keeps the service controller informed of how long the services may run without this process."""

from __future__ import annotations

import math

import trio

from sbs.errors import ServiceError
from sbs.log import ERROR, Log
from sbs.ports import ServiceController
from sbs.runtime import clock

_log = Log(__name__)
_UNGUARDED = _log.event(
    "services-unguarded",
    ERROR,
    "the services are not guarded: {error}",
    "The fencer, which ends the services if SBS dies or its votes run out, has not taken "
    "a new order; it keeps the last one. Look for what the text names.",
)


class Guardian:
    """Tells a controller the newest deadline and testament; what is overtaken is never told.

    Args:
        controller: is told.
        grace_s: how long a service may take to end once the deadline has passed.
    """

    def __init__(self, controller: ServiceController, grace_s: float) -> None:
        self._controller = controller
        self._grace_s = grace_s
        self._until = math.inf
        self._testament = b""
        self._told: tuple[float, bytes] = (math.inf, b"")
        self._telling = trio.Lock()
        self._changed = trio.Event()

    def guard(self, until: float) -> None:
        """The services may run until then, by :mod:`sbs.runtime.clock`; infinite: for ever."""
        self._until = until
        self._changed.set()

    def bequeath(self, testament: bytes) -> None:
        """What the fencer shall say when this process is dead; empty: nothing."""
        self._testament = testament
        self._changed.set()

    async def run_forever(self) -> None:
        """Tell what is new."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self.settle()
            except ServiceError as error:
                _UNGUARDED(error=error)

    async def settle(self) -> None:
        """Return when the controller knows what is to be told now.

        Raises:
            ServiceError: it cannot be told.
        """
        async with self._telling:
            until, testament = self._until, self._testament
            if until != self._told[0]:
                deadline_at = None if until == math.inf else max(0.0, clock.boottime(until))
                await self._controller.guard(deadline_at, self._grace_s)
                self._told = (until, self._told[1])
            if testament != self._told[1]:
                await self._controller.bequeath(testament)
                self._told = (self._told[0], testament)
