"""SBS's end of the fencer of units (``fencer.py``), and the scope that the fencer lives in."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import trio

from sbs.adapters.services.channel import (
    Channel,
    bequeath_message,
    guard_message,
    report_of,
    unknown_report,
)
from sbs.adapters.services.systemd.binding import PERMIT_DIR, systemctl
from sbs.adapters.services.systemd.bus import Bus
from sbs.errors import ServiceError

ANSWER_S: Final = 10.0
"""How long the fencer may take to carry out a request, beside the grace of units that it stops."""

_FENCER: Final = Path(__file__).with_name("fencer.py")
_numbers = itertools.count(1)


def parse_report(packet: bytes) -> int | None:
    """The number of the request that was carried out; ``None``: the units' time has passed.

    Raises:
        ServiceError: it is no report.
    """
    match report_of(packet):
        case {"report": "done", "run": int(run)}:
            return run
        case {"report": "expired"}:
            return None
        case _:
            raise unknown_report(packet)


class Leash:
    """A running fencer of units; made by :meth:`fasten`.

    Args:
        channel: to it.
        scope: that it lives in; the units are bound to it.
        on_expired: called when the time of the units has passed, before they are stopped.
    """

    def __init__(self, channel: Channel, scope: str, on_expired: Callable[[], None]) -> None:
        self.scope = scope
        self._channel = channel
        self._on_expired = on_expired
        self._asking = trio.Lock()
        self._asked = 0
        self._done = 0
        self._changed = trio.Event()
        self.gone: trio.Event = trio.Event()

    @classmethod
    async def fasten(
        cls,
        bus: Bus,
        units: Sequence[str],
        held_fds: Sequence[int],
        nursery: trio.Nursery,
        on_expired: Callable[[], None],
    ) -> Leash:
        """Start a fencer in a scope of its own, which no end of SBS's own unit takes with it.

        Args:
            bus: asked for the scope.
            units: full names.
            held_fds: kept open until every unit is gone.
            nursery: listens to it.
            on_expired: see the class.

        Raises:
            ServiceError: it cannot be started.
        """
        channel = await Channel.spawn(
            held_fds, _FENCER, (systemctl(), os.fspath(PERMIT_DIR), *units)
        )
        scope = f"sbs-{os.getpid()}-{next(_numbers)}.scope"
        leash = cls(channel, scope, on_expired)
        nursery.start_soon(leash._listen)
        properties = [
            ("Description", ("s", "What ends the services of SBS when SBS is dead")),
            ("CollectMode", ("s", "inactive-or-failed")),
            ("PIDs", ("au", [channel.process.pid])),
        ]
        try:
            with bus.jobs(scope) as jobs:
                await bus.watch_jobs(scope)
                (jobs.path,) = await bus.call(
                    "StartTransientUnit", "ssa(sv)a(sa(sv))", (scope, "fail", properties, [])
                )
                if (result := await jobs.result()) != "done":
                    raise ServiceError(f"systemd cannot start {scope} for the fencer: {result}")
        except BaseException:
            await leash.loose(ANSWER_S)
            raise
        return leash

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """Have the units stopped at a time on CLOCK_BOOTTIME.

        Raises:
            ServiceError: the fencer is gone or does not answer.
        """
        await self._ask(guard_message(deadline_at, grace_s), grace_s)

    async def bequeath(self, testament: bytes) -> None:
        """Have something told to whoever connects when all is dead.

        Raises:
            ServiceError: the fencer is gone or does not answer.
        """
        await self._ask(bequeath_message(testament), 0.0)

    async def _ask(self, message: bytes, grace_s: float) -> None:
        """Send a request and wait until it is carried out, which may take what units may take."""
        async with self._asking:
            self._asked += 1
            number = self._asked
            await self._channel.send(message)
            with trio.move_on_after(grace_s + ANSWER_S):
                while self._done < number and not self.gone.is_set():
                    await self._changed.wait()
            if self._done < number:
                raise ServiceError("the fencer of the units is gone, or does not answer")

    async def _listen(self) -> None:
        """Take in what it says until it is gone."""
        with trio.CancelScope(shield=True):
            async for packet in self._channel.packets():
                done = parse_report(packet)
                if done is None:
                    self._on_expired()
                else:
                    self._done = done
                self._changed.set()
                self._changed = trio.Event()
            await self._channel.process.wait()
            self._channel.close()
            self.gone.set()
            self._changed.set()

    async def loose(self, bound_s: float) -> None:
        """Have every unit killed, and the fencer ended; it is killed itself if it takes longer.

        Args:
            bound_s: how long it may take.
        """
        if self.gone.is_set():
            return
        self._channel.end()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(bound_s):
                await self.gone.wait()
                return
            self._channel.process.kill()
            await self.gone.wait()
