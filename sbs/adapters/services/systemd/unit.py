"""One unit as SBS knows it, and what its states mean."""

from __future__ import annotations

from typing import Final

import attrs
import trio

from sbs.adapters.services.run import describe_exit
from sbs.adapters.services.systemd.bus import SERVICE, Bus, Row
from sbs.ports import ServiceState

GONE: Final = frozenset({"inactive", "failed"})
"""States of which nothing runs."""

_CLD_EXITED: Final = 1
"""``ExecMainCode`` of a program that returned; others were ended by a signal."""


@attrs.define(kw_only=True, eq=False)
class Watched:
    """A unit and what SBS knows of it that systemd does not.

    Args:
        name: what others call it.
        unit: full name.
        path: of its object on the bus.
        active: started, and not stopped by an operator (R32).
        cause: why SBS's own fencer ended it; empty: it did not.
        requests: held by whoever starts or stops it.
        job: path of SBS's own last job.
    """

    name: str
    unit: str
    path: str
    active: bool = False
    cause: str = ""
    requests: trio.Lock = attrs.field(factory=trio.Lock)
    job: str = ""

    def is_own(self, path: str) -> bool:
        """Whether a job was asked for by SBS, or may have been."""
        return self.requests.locked() or path == self.job


def runs(row: Row) -> bool:
    """Whether something of a unit is alive, or on its way."""
    return row.active not in GONE and row.sub != "auto-restart"


async def state_of(bus: Bus, watched: Watched, row: Row) -> ServiceState:
    """What others see of a unit.

    Raises:
        ServiceError: systemd cannot be asked.
    """
    if runs(row):
        return ServiceState(active=watched.active, running=True, detail=row.sub)
    detail = "stopped" if not watched.active else watched.cause or await describe(bus, row)
    return ServiceState(active=watched.active, running=False, detail=detail)


async def describe(bus: Bus, row: Row) -> str:
    """How a unit ended, in words.

    Raises:
        ServiceError: systemd cannot be asked.
    """
    result = str(await bus.property(row.path, SERVICE, "Result"))
    code = int(await bus.property(row.path, SERVICE, "ExecMainCode"))
    status = int(await bus.property(row.path, SERVICE, "ExecMainStatus"))
    words = [row.sub]
    if result not in ("success", "exit-code", "signal"):
        words.append(result)
    if code:
        words.append(describe_exit(status if code == _CLD_EXITED else -status))
    return ", ".join(words)
