"""What SBS needs from the outside world; adapters fulfil it, ``sbs.testing`` checks that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import attrs

from sbs.core.licence import Standing, Start
from sbs.core.notice import Notice

if TYPE_CHECKING:
    import trio


def guard_clock() -> float:
    """The clock of :meth:`ServiceController.guard`, which goes on in suspend.

    Returns:
        seconds on CLOCK_BOOTTIME; where there is none (Windows), on Python's monotonic clock.
    """
    boottime: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@attrs.frozen(kw_only=True)
class Unit:
    """One service as the configuration describes it.

    Args:
        name: what both nodes call it; for adapters that say so, a pattern of names.
        command: program and arguments, for adapters that start processes.
        start: the command that starts it, for adapters that run commands.
        stop: the one that stops it.
        status: the one whose exit code 0 says that it runs.
        enabled: started when the node becomes primary directly, without a takeover.
    """

    name: str
    command: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
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
            environment: added to what the service has anyway, above all ``SBS_EPOCH``.

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
        """The state of every configured unit; in the place of a pattern, each unit it meant."""
        ...

    async def guard(self, deadline_at: float | None, grace_s: float) -> None:
        """Let the services run until a deadline, whatever becomes of SBS (B3, B31).

        When it passes, and was not moved, they are stopped, also if SBS is frozen; and none is
        started while it stands in the past. One that was stopped so stays active.

        Args:
            deadline_at: by :func:`guard_clock`; ``None``: no limit.
            grace_s: from the deadline to the kill, 0 or more.

        Raises:
            ServiceError: the deadline cannot be set.
        """
        ...

    async def bequeath(self, testament: bytes) -> None:
        """Have something told to whoever connects when SBS is dead and every service is gone.

        Where nothing holds the descriptors (``dies_with_node`` is false) nobody is told.

        Args:
            testament: bytes for each connection to the held descriptors, before they are closed;
                empty: they are closed at once.

        Raises:
            ServiceError: it cannot be handed on.
        """
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


@attrs.frozen(kw_only=True)
class WitnessOptions:
    """How the configuration describes a witness.

    Args:
        pair: names the pair of nodes: one witness serves many.
        path: a folder that both nodes share.
        endpoints: addresses of a service.
    """

    pair: str
    path: str = ""
    endpoints: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Vote:
    """The answer of a witness.

    Args:
        granted: whoever asked has the vote now.
        holder: who else has it, as far as known.
    """

    granted: bool
    holder: str = ""


@runtime_checkable
class Witness(Protocol):
    """The third vote (B3): a register that holds one name at a time, and forgets it by itself.

    It is linearizable: what is granted to one is denied to all others until it has run out.
    """

    async def acquire(self, holder: str, ttl_s: float, *, replaces: str = "") -> Vote:
        """Ask for the vote, or renew it; the caller sets the time limit.

        Granted if it is free, has run out, or is held by ``holder`` or ``replaces``. After a
        cancellation it is unknown whether it was.

        Args:
            holder: who asks: a name that no other life of a node ever has.
            ttl_s: the vote lasts for so long at least, by the witness's clock, from the grant.
            replaces: a holder that is proven not to serve; empty: none.

        Raises:
            WitnessError: no answer is to be had; the text says why.
        """
        ...

    async def release(self, holder: str) -> None:
        """Give the vote back, if ``holder`` has it.

        Raises:
            WitnessError: no answer is to be had; the text says why.
        """
        ...


WitnessFactory: TypeAlias = Callable[[WitnessOptions], AbstractAsyncContextManager[Witness]]
"""What an entry point in the group ``sbs.witnesses`` names."""


@attrs.frozen(kw_only=True)
class LicenceOptions:
    """How the configuration describes a licence.

    Args:
        node: the name of this node.
        path: of a file.
        trusted_keys: of vendors, each base64 of the 32 bytes of an Ed25519 public key.
    """

    node: str
    path: str = ""
    trusted_keys: tuple[str, ...] = ()


@runtime_checkable
class LicensePolicy(Protocol):
    """Says whether services may be started (R40 to R44, B40); it never stops any."""

    async def look(self) -> Standing:
        """How the licence stands now.

        Called at the start of the node, then every two seconds, and once more before a start is
        refused; so it finds a licence that was put in place since (R44). The same licence on the
        same day has the same standing. May be cancelled at any time: the caller waits for a
        second, ten at the start, and goes on with what was known last.

        Returns:
            with ``absent`` where none was found, but not for one that is forged or another node's:
            that lets a node go on with a takeover (R43).

        Raises:
            LicenceError: it cannot be found out now; at the start, that ends the node, unless it
                goes on with a takeover. Anything else that is raised counts as this, too.
        """
        ...

    def refusal(self, standing: Standing, start: Start) -> str:
        """Why services may not be started; one line that says what to do; empty: they may.

        Pure, and at once: it rests on its arguments alone. A start under a grant is part of a
        takeover and is never refused (R42); :func:`sbs.core.licence.refusal` is the rule of SBS.

        Args:
            standing: of the last look.
            start: what is about to happen.
        """
        ...


LicenceFactory: TypeAlias = Callable[[LicenceOptions], AbstractAsyncContextManager[LicensePolicy]]
"""What an entry point in the group ``sbs.licences`` names."""


@attrs.frozen(kw_only=True)
class NotifierOptions:
    """How the configuration describes a notifier.

    Args:
        server: host name or IP address.
        port: 1 to 65,535.
        security: ``none``, ``starttls`` or ``tls``.
        ca_file: certificates to trust instead of the system's; empty: the system's.
        account: to log in with; empty: no log-in.
        password: of the account.
        sender: a mail address.
    """

    server: str
    port: int
    security: str = "none"
    ca_file: str = ""
    account: str = ""
    password: str = attrs.field(default="", repr=False)
    sender: str


@attrs.frozen(kw_only=True)
class SendStep:
    """One step on the way of a notice, for ``sbs mail test``.

    Args:
        name: such as ``connect`` or ``log-in``.
        ok: done; else it failed, and what follows is not tried.
        detail: one line for people: what the other side says.
    """

    name: str
    ok: bool
    detail: str


@runtime_checkable
class Notifier(Protocol):
    """Tells people what has happened (R51, B50).

    A call ends within a time that the notifier bounds itself, minutes at most. It may be
    cancelled, and returns at once then; whether the notice was sent stays unknown. So a notice may
    arrive twice, but always with the same id.
    """

    async def send(
        self,
        notice: Notice,
        receivers: Sequence[str],
        report: Callable[[SendStep], None] = ...,
    ) -> None:
        """Hand a notice to whoever delivers it; return when that has taken it for all receivers.

        Args:
            notice: what is told.
            receivers: whom, at least one; nobody else gets it.
            report: called for each step, from any thread, also a moment after a cancellation.

        Raises:
            NotifyError: it was not taken, or not for all of them; the error says for whom, and
                whether to try again makes sense.
        """
        ...


NotifierFactory: TypeAlias = Callable[[NotifierOptions], AbstractAsyncContextManager[Notifier]]
"""What an entry point in the group ``sbs.notifiers`` names."""


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
    """Carries bytes between the nodes: TCP, TLS, or memory in a test.

    Its streams are as :class:`trio.abc.Stream` says. They may raise TransportError, too:
    IdentityError when either side is not whom the other expects (B62), which may come as late as
    with the first bytes received. A RejectedError says that it is the expected one who rejects
    this one, so nobody else may be able to cause it. Before any byte passes both sides may have to
    use the stream.
    """

    async def listen(self, address: str) -> Listener:
        """Serve ``address``.

        Raises:
            TransportError: the address cannot be had; the text says why. A
                :class:`~sbs.errors.ListenError` where it is in use, or not this machine's.
        """
        ...

    async def dial(self, address: str) -> trio.abc.Stream:
        """Connect to ``address``; the caller sets the time limit.

        Raises:
            DialRefusedError: the host answers, but nothing listens there.
            TransportError: it cannot be reached.
        """
        ...
