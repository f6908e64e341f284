"""The start of units is manual: SBS alone starts them (R30)."""

from __future__ import annotations

from collections.abc import Iterable

from sbs.adapters.services.systemd.bus import Bus, BusError
from sbs.log import INFO, WARNING, Log

_log = Log(__name__)
_MANUAL = _log.event(
    "units-made-manual",
    INFO,
    "their start is manual from now on: {units}",
    "These units were enabled, and would have run on both nodes after a boot; SBS has "
    "disabled them. Nothing to do.",
)
_GENERATED = _log.event(
    "unit-generated",
    WARNING,
    "{unit} is generated: disable it where it comes from",
    "SBS cannot disable it, and systemd starts it at the boot. It may come from "
    "`/etc/init.d` or `/etc/fstab`; disable it there.",
)


async def make_manual(bus: Bus, units: Iterable[str]) -> None:
    """Disable units that systemd would start at the boot; say which of them cannot be.

    Args:
        bus: connected.
        units: their full names.

    Raises:
        ServiceError: systemd refuses.
    """
    states = {unit: await _file_state(bus, unit) for unit in units}
    for runtime in (False, True):
        wanted = "enabled-runtime" if runtime else "enabled"
        enabled = [unit for unit, state in states.items() if state == wanted]
        if enabled:
            await bus.call("DisableUnitFiles", "asb", (enabled, runtime))
            _MANUAL(units=", ".join(enabled))
    for unit in (unit for unit, state in states.items() if state == "generated"):
        _GENERATED(unit=unit)


async def _file_state(bus: Bus, unit: str) -> str:
    try:
        (state,) = await bus.call("GetUnitFileState", "s", (unit,))
    except BusError:  # made at run time: there is no file
        return ""
    return str(state)
