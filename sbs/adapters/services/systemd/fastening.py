"""Units fastened to a fencer, and to another one when it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import trio

from sbs.adapters.services.systemd import binding
from sbs.adapters.services.systemd.bus import Bus
from sbs.adapters.services.systemd.leash import Leash
from sbs.errors import ServiceError
from sbs.log import ERROR, Log

CLOSE_BOUND_S: Final = 15.0
"""How long the end waits for the fencer before it is killed."""

RETRY_S: Final = 1.0
"""Pause before another fencer is tried."""

_log = Log(__name__)
_NO_LEASH = _log.event(
    "units-fencer-missing",
    ERROR,
    "no fencer for the units yet: {error}",
    "No service starts on this node until there is one; it is tried again. Mend what the "
    "text names.",
)


class Fastening:
    """What binds the units of a controller to SBS: every fencer knows what the last one knew.

    Args:
        bus: to systemd.
        units: full names, which may come until it begins.
        held_fds: kept open by the fencer until every unit is gone.
        nursery: of what listens to the fencer.
        on_expired: called when the time of the units has passed, before they are stopped.
    """

    def __init__(
        self,
        bus: Bus,
        units: Collection[str],
        held_fds: Sequence[int],
        nursery: trio.Nursery,
        on_expired: Callable[[], None],
    ) -> None:
        self._bus = bus
        self._units = units
        self._held_fds = tuple(held_fds)
        self._nursery = nursery
        self._on_expired = on_expired
        self._leash: Leash | None = None
        self._leashed = trio.Event()
        self._guard: tuple[float | None, float] = (None, 0.0)
        self._testament = b""

    @property
    def expired(self) -> bool:
        """Whether the time until which units may run has passed."""
        deadline_at = self._guard[0]
        return deadline_at is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= deadline_at

    async def begin(self) -> None:
        """Start a fencer and bind the units to it.

        Raises:
            ServiceError: systemd refuses, or does not answer.
        """
        leash = await Leash.fasten(
            self._bus, [*self._units], self._held_fds, self._nursery, self._on_expired
        )
        try:
            for unit in self._units:
                binding.bind(unit, leash.scope)
            await self._bus.call("Reload")
            if self._guard[0] is not None:
                await leash.guard(*self._guard)
            if self._testament:
                await leash.bequeath(self._testament)
        except BaseException:
            await leash.loose(CLOSE_BOUND_S)
            raise
        self._leash = leash
        self._leashed.set()

    async def current(self) -> Leash:
        """The fencer; where there is none, the next one is waited for."""
        while self._leash is None:
            await self._leashed.wait()
        return self._leash

    async def wait_gone(self) -> None:
        """Return when the fencer has ended; from here on there is none."""
        leash = await self.current()
        await leash.gone.wait()
        self._leash, self._leashed = None, trio.Event()

    async def renew(self) -> None:
        """Have another fencer; until there is one nothing can be started."""
        while True:
            try:
                await self.begin()
            except ServiceError as error:
                _NO_LEASH(error=error)
                await trio.sleep(RETRY_S)
            else:
                return

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """See :meth:`sbs.ports.ServiceController.guard`."""
        self._guard = (deadline_at, grace_s)  # first: a fencer after this one must know it, too
        leash = await self.current()
        await leash.guard(deadline_at, grace_s)

    async def bequeath(self, testament: bytes) -> None:
        """See :meth:`sbs.ports.ServiceController.bequeath`."""
        self._testament = testament
        leash = await self.current()
        await leash.bequeath(testament)

    async def end(self) -> None:
        """End the fencer, which kills what still runs, and unbind the units.

        Raises:
            ServiceError: systemd refuses, or does not answer.
        """
        if self._leash is not None:
            await self._leash.loose(CLOSE_BOUND_S)
        for unit in self._units:
            binding.unbind(unit)
        if self._units:
            await self._bus.call("Reload")
