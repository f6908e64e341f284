"""The entry point ``windows`` of the group ``sbs.services``; needs pywin32 (extra ``windows``)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from sbs.adapters.services.windows.controller import control
from sbs.adapters.services.windows.manager import ServiceManager
from sbs.ports import ServiceController, Unit


def open_controller(
    units: Sequence[Unit], held_fds: Sequence[int]
) -> AbstractAsyncContextManager[ServiceController]:
    """Open the adapter of the Windows service manager (R30, R32, B31).

    The services are set to manual start, and Windows no longer restarts them; what runs is
    stopped.

    Args:
        units: each name is the short name of a service, which has a process of its own; commands
            are not used. At most :data:`~sbs.adapters.services.windows.controller.MAX_UNITS`.
        held_fds: not held: Windows closes them when SBS ends.

    Returns:
        A context manager; leaving it kills what still runs.

    Raises:
        ServiceError: a service is unknown, may not be changed, or does not end.
    """
    del held_fds
    return control(ServiceManager(), units)
