"""What the controller needs of Windows; :mod:`~sbs.adapters.services.windows.manager` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sbs.adapters.services.windows.status import ServiceStatus


class Job(Protocol):
    """The processes of a service: killed together, and at the latest when SBS ends (B31).

    Its methods do not block, and raise :class:`~sbs.errors.ServiceError`.
    """

    def is_empty(self) -> bool:
        """Whether none of them is left."""
        ...

    def kill(self) -> None:
        """End them all, now."""
        ...

    def close(self) -> None:
        """Forget them; what still runs is killed."""
        ...


class Calls(Protocol):
    """Calls of the service manager; they block, and may come from any thread.

    Each raises :class:`~sbs.errors.ServiceError`, which names the service and says what to do.
    """

    def prepare(self, name: str) -> None:
        """Set the start type to manual, and take the restart by Windows out (R30).

        Raises:
            ServiceError: also if it shares its process with other services.
        """
        ...

    def status(self, name: str) -> ServiceStatus:
        """How the service stands now."""
        ...

    def start(self, name: str, environment: Mapping[str, str]) -> bool:
        """Have it started; return when its process has answered the service manager.

        Returns:
            false: it runs already, as far as the service manager has noticed.
        """
        ...

    def adopt(self, name: str, pid: int) -> Job | None:
        """Bind the process to the life of SBS; ``None``: it has ended meanwhile."""
        ...

    def dependents(self, name: str) -> Sequence[str]:
        """The services that run and need this one, in the order in which to stop them."""
        ...

    def ask_to_stop(self, name: str) -> bool:
        """Tell it to stop.

        Returns:
            whether it was told, or does not run; otherwise it does not listen now.
        """
        ...
