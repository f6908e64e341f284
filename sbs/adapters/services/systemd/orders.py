"""What SBS has systemd do with one unit: start it, or stop it and kill what is left."""

from __future__ import annotations

import signal
from typing import Final

import trio

from sbs.adapters.services.systemd.bus import Bus, BusError, Jobs
from sbs.adapters.services.systemd.unit import Watched, describe
from sbs.errors import ServiceError
from sbs.log import Log

KILL_BOUND_S: Final = 5.0
"""How long a killed unit may take to be gone; one that takes longer hangs in the kernel."""

AGAIN_S: Final = 0.5
"""How long after a kill what a unit runs when it ends, its ExecStopPost=, may take."""

LEFT_S: Final = 0.01
"""How long killed processes may take to vanish before they are killed again."""

_log = Log(__name__)


async def start(bus: Bus, watched: Watched) -> None:
    """Start a unit; return when systemd's job is done.

    Raises:
        ServiceError: it does not start; the text says why, and where more is to be read.
    """
    try:
        (row,) = await bus.rows([watched.unit])
        if row.active == "failed":  # or its limit of starts would count for this one, too
            await bus.call("ResetFailedUnit", "s", (watched.unit,))
        with bus.jobs(watched.unit) as jobs:
            await _begin(bus, "StartUnit", watched, jobs)
            result = await jobs.result()
        if result == "done":
            return
        (row,) = await bus.rows([watched.unit])
        why = f"job {result}, unit {row.active} ({await describe(bus, row)})"
    except BusError as error:
        raise ServiceError(f"service {watched.name!r}: {error}") from error
    raise ServiceError(
        f"service {watched.name!r}: {watched.unit} does not start: {why}; "
        f"more: journalctl -u {watched.unit}"
    )


async def stop(bus: Bus, watched: Watched, timeout_s: float) -> None:
    """Stop a unit; return when nothing of it runs.

    Args:
        bus: to systemd.
        watched: the unit.
        timeout_s: then it is killed.

    Raises:
        ServiceError: something of it survives even the kill, or systemd refuses.
    """
    with trio.move_on_after(timeout_s + KILL_BOUND_S):
        try:
            await _stop_job(bus, watched, trio.current_time() + timeout_s)
        except BusError as error:
            raise ServiceError(f"service {watched.name!r}: {error}") from error
        # Some units leave processes behind when they stop (KillMode=process).
        while await _has_processes(bus, watched.unit):
            await _kill(bus, watched.unit)
            await trio.sleep(LEFT_S)
        return
    raise ServiceError(
        f"service {watched.name!r}: something of it still runs {KILL_BOUND_S:g} s after "
        f"SIGKILL; see systemctl status {watched.unit}"
    )


async def _stop_job(bus: Bus, watched: Watched, kill_at: float) -> None:
    with bus.jobs(watched.unit) as jobs:
        await _begin(bus, "StopUnit", watched, jobs)
        while (result := await jobs.result_before(kill_at)) != "done":
            if result:  # replaced: somebody started it meanwhile
                await _begin(bus, "StopUnit", watched, jobs)
            else:
                await _kill(bus, watched.unit)
                kill_at = trio.current_time() + AGAIN_S


async def _begin(bus: Bus, method: str, watched: Watched, jobs: Jobs) -> None:
    (jobs.path,) = await bus.call(method, "ss", (watched.unit, "replace"))
    watched.job = jobs.path


async def _kill(bus: Bus, unit: str) -> None:
    try:
        await bus.call("KillUnit", "ssi", (unit, "all", signal.SIGKILL))
    except BusError as error:  # nothing is left to kill
        _log.debug("kill %s: %s", unit, error)


async def _has_processes(bus: Bus, unit: str) -> bool:
    try:
        (processes,) = await bus.call("GetUnitProcesses", "s", (unit,))
    except BusError as error:  # it is not even loaded any more
        _log.debug("processes of %s: %s", unit, error)
        return False
    return bool(processes)
