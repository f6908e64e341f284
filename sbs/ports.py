"""What SBS needs from the outside world; adapters fulfil it, ``sbs.testing`` checks that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import attrs

if TYPE_CHECKING:
    import trio


@attrs.frozen(kw_only=True)
class Unit:
    """One service as the configuration describes it.

    Args:
        name: what both nodes call it.
        command: program and arguments, for adapters that start processes.
        enabled: started when the node becomes primary directly, without a takeover.
    """

    name: str
    command: tuple[str, ...] = ()
    enabled: bool = True


@attrs.frozen(kw_only=True)
class ServiceState:
    """How a service stands.

    Args:
        active: started, and not stopped by an operator; one that crashed is active (R32).
        running: alive at this moment.
        detail: one line for people, such as the process id or the exit code.
    """

    active: bool
    running: bool
    detail: str = ""


@runtime_checkable
class ServiceController(Protocol):
    """Starts and stops the application's services (R30, B30).

    Every call is idempotent and may be cancelled; a cancelled ``stop`` leaves the service
    either running or stopped, and a second call finishes the work.
    """

    @property
    def dies_with_node(self) -> bool:
        """Whether the services are killed when SBS dies, however it dies (B31)."""
        ...

    async def start(self, name: str, environment: Mapping[str, str]) -> None:
        """Start the service; return when it was started (not: when it is ready to work).

        Args:
            name: one of the configured units.
            environment: added to SBS's own, above all ``SBS_EPOCH``.

        Raises:
            ServiceError: no such unit, or it cannot be started.
        """
        ...

    async def stop(self, name: str, timeout_s: float) -> None:
        """Stop the service and return when nothing of it runs any more.

        Args:
            name: one of the configured units.
            timeout_s: grace, 0 or more; then it is killed.

        Raises:
            ServiceError: no such unit, or something of it survives even the kill.
        """
        ...

    async def states(self) -> Mapping[str, ServiceState]:
        """The state of every configured unit."""
        ...

    async def wait_changed(self) -> None:
        """Return when some state may have changed since the last call of this method."""
        ...


ServiceFactory: TypeAlias = Callable[
    [Sequence[Unit], Sequence[int]], AbstractAsyncContextManager[ServiceController]
]
"""What an entry point in the group ``sbs.services`` names.

Called with the units and the descriptors to hold open until every service is dead (the
listening socket: while something may still run here, the port does not refuse a connection).
Leaving the context kills what still runs.
"""


@runtime_checkable
class Listener(Protocol):
    """A served port."""

    @property
    def address(self) -> str:
        """Where it really listens, ``host:port``."""
        ...

    @property
    def held_fds(self) -> Sequence[int]:
        """Descriptors that keep the port open, for :data:`ServiceFactory`; may be empty."""
        ...

    async def accept(self) -> trio.abc.Stream:
        """The next connection."""
        ...

    async def aclose(self) -> None:
        """Stop serving."""
        ...


@runtime_checkable
class Transport(Protocol):
    """Carries bytes between the nodes: TCP, TLS, or memory in a test."""

    async def listen(self, address: str) -> Listener:
        """Serve ``address``.

        Raises:
            TransportError: the address cannot be had; the text says why.
        """
        ...

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect to ``address``; the caller sets the time limit.

        Raises:
            DialRefusedError: the host answers, but nothing listens there.
            TransportError: it cannot be reached.
        """
        ...
