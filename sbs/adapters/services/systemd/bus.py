"""The system bus, as the adapter needs it: systemd's manager, and what happens to a few units.

The interface is ``org.freedesktop.systemd1``, as the manual page of that name describes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, cast

import attrs
import trio
from jeepney import DBusAddress, MatchRule, message_bus
from jeepney import wrappers as messages
from jeepney.io.common import RouterClosed
from jeepney.io.trio import open_dbus_router
from jeepney.low_level import HeaderFields, MessageType

from sbs.errors import ServiceError

CALL_BOUND_S: Final = 20.0
"""How long systemd may take to answer a call, a new bus included: a reload may take seconds."""

RETRY_S: Final = 0.5
"""Pause before a lost bus is dialled again."""

MAX_SIGNALS: Final = 4096
"""Signals not yet looked at: some ten for each change of a unit, and there are 256 units."""

MAX_JOBS: Final = 256
"""Jobs of one unit that end while one of them is waited for."""

_NAME: Final = "org.freedesktop.systemd1"
ROOT: Final = "/org/freedesktop/systemd1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
UNIT: Final = f"{_NAME}.Unit"
SERVICE: Final = f"{_NAME}.Service"
MANAGER: Final = f"{_NAME}.Manager"

_LOST: Final = (
    RouterClosed,
    KeyError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.EndOfChannel,
)
"""What jeepney raises when the bus is lost; a KeyError where a reply was waited for."""

_call: Final = cast("Callable[..., Any]", messages.new_method_call)  # pyright: ignore[reportUnknownMemberType] - no types
_add_match: Final = cast("Callable[..., Any]", message_bus.AddMatch)  # pyright: ignore[reportUnknownMemberType] - likewise

_log = logging.getLogger(__name__)


class BusError(ServiceError):
    """systemd, or the bus, refuses a call.

    Args:
        name: of the D-Bus error; empty: the bus cannot be reached.
        text: what went wrong.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@attrs.frozen
class Job:
    """A job of systemd's that has ended: to start a unit, or to stop it.

    Args:
        path: of its object.
        unit: full name.
        result: ``done``, ``failed``, ``canceled`` and others.
    """

    path: str
    unit: str
    result: str


@attrs.frozen(kw_only=True)
class Row:
    """How a unit stands, as systemd lists it.

    Args:
        unit: full name.
        load: ``loaded``, ``not-found``, ``masked`` and others.
        active: ``active``, ``inactive``, ``failed`` and others.
        sub: the finer word, such as ``running``.
        path: of its object.
    """

    unit: str
    load: str
    active: str
    sub: str
    path: str


OnSignal: TypeAlias = Callable[[Job | None], None]


class Bus:
    """A connection that comes back by itself; :meth:`run` has to run beside the calls.

    Args:
        on_signal: called with each job of a watched unit that ends, and with nothing when the
            state of one may have changed.
    """

    def __init__(self, on_signal: OnSignal) -> None:
        self._on_signal = on_signal
        self._router: Any = None
        self._connected = trio.Event()
        self._told = False
        self._watched: dict[str, str] = {}
        self._waiting: dict[str, list[trio.MemorySendChannel[Job]]] = {}

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            try:
                async with open_dbus_router("SYSTEM") as router:
                    await self._serve(router)
            except* _LOST as group:
                if not self._told:
                    _log.warning("no system bus: %s", group.exceptions[0])
            self._told = True
            self._lose()
            await trio.sleep(RETRY_S)

    async def _serve(self, router: Any) -> None:
        """Subscribe, then take in signals until the connection ends."""
        send, signals = trio.open_memory_channel[Any](MAX_SIGNALS)
        async with router.filter(MatchRule(type="signal"), channel=send):
            await _ask(router, ROOT, MANAGER, "Subscribe", "", ())
            for unit, path in self._watched.items():
                await self._match(router, unit, path)
            self._router = router
            self._connected.set()
            self._told = False
            self._on_signal(None)  # whatever happened meanwhile
            async for message in signals:
                self._take_in(message)

    def _lose(self) -> None:
        """Nobody waits for what cannot come any more."""
        self._router = None
        self._connected = trio.Event()
        for waiting in self._waiting.values():
            for channel in waiting:
                channel.close()
        self._waiting.clear()

    def _take_in(self, message: Any) -> None:
        member = message.header.fields.get(HeaderFields.member)
        if member == "PropertiesChanged":
            self._on_signal(None)
        elif member == "JobRemoved":
            _number, path, unit, result = message.body
            job = Job(path, unit, result)
            for channel in self._waiting.get(unit, ()):
                channel.send_nowait(job)
            self._on_signal(job)

    async def _match(self, router: Any, unit: str, path: str) -> None:
        jobs = MatchRule(type="signal", interface=MANAGER, member="JobRemoved", path=ROOT)
        jobs.add_arg_condition(2, unit)
        states = MatchRule(
            type="signal", interface=_PROPERTIES, member="PropertiesChanged", path=path
        )
        states.add_arg_condition(0, UNIT)
        for rule in (jobs, states):
            _unwrap(await router.send_and_get_reply(_add_match(rule)))

    async def call(
        self,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        path: str = ROOT,
        interface: str = MANAGER,
    ) -> Any:
        """Call a method; return the body of the reply.

        Raises:
            BusError: it is refused, or there is no answer within :data:`CALL_BOUND_S`.
        """
        with trio.move_on_after(CALL_BOUND_S):
            await self._connected.wait()
            try:
                return await _ask(self._router, path, interface, member, signature, body)
            except _LOST as error:
                raise BusError("", f"{member}: the system bus was lost") from error
        raise BusError("", f"{member}: systemd does not answer within {CALL_BOUND_S:g} s")

    async def property(self, path: str, interface: str, name: str) -> Any:
        """A property of an object.

        Raises:
            BusError: as :meth:`call`.
        """
        ((_kind, value),) = await self.call(
            "Get", "ss", (interface, name), path=path, interface=_PROPERTIES
        )
        return value

    async def rows(self, units: Sequence[str]) -> list[Row]:
        """How units stand.

        Raises:
            BusError: as :meth:`call`.
        """
        (listed,) = await self.call("ListUnitsByNames", "as", ([*units],))
        return [_row(fields) for fields in listed]

    async def rows_like(self, pattern: str) -> list[Row]:
        """How the loaded units of a pattern stand.

        Raises:
            BusError: as :meth:`call`.
        """
        (listed,) = await self.call("ListUnitsByPatterns", "asas", ([], [pattern]))
        return [_row(fields) for fields in listed]

    async def watch(self, unit: str, path: str) -> None:
        """Be told of a unit's jobs and states from now on.

        Raises:
            BusError: as :meth:`call`.
        """
        await self._connected.wait()
        self._watched[unit] = path
        try:
            await self._match(self._router, unit, path)
        except _LOST as error:
            raise BusError("", "the system bus was lost") from error

    @contextmanager
    def jobs(self, unit: str) -> Generator[Jobs, None, None]:
        """Listen to the ends of a unit's jobs, from before one is asked for."""
        send, receive = trio.open_memory_channel[Job](MAX_JOBS)
        waiting = self._waiting.setdefault(unit, [])
        waiting.append(send)
        try:
            yield Jobs(receive)
        finally:
            send.close()
            if send in waiting:
                waiting.remove(send)


class Jobs:
    """The ends of a unit's jobs."""

    def __init__(self, channel: trio.MemoryReceiveChannel[Job]) -> None:
        self._channel = channel
        self.path: str = ""

    async def result(self) -> str:
        """Wait for the end of the job that was asked for.

        Raises:
            BusError: the bus is lost.
        """
        try:
            while True:
                job = await self._channel.receive()
                if job.path == self.path:
                    return job.result
        except trio.EndOfChannel:
            raise BusError("", "the system bus was lost while a job ran") from None

    async def result_before(self, deadline: float) -> str:
        """As :meth:`result`; empty if it takes longer.

        Args:
            deadline: on trio's clock.

        Raises:
            BusError: the bus is lost.
        """
        with trio.move_on_at(deadline):
            return await self.result()
        return ""


async def _ask(
    router: Any, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
) -> Any:
    address = DBusAddress(path, bus_name=_NAME, interface=interface)
    message = _call(address, member, signature or None, tuple(body))
    return _unwrap(await router.send_and_get_reply(message))


def _unwrap(reply: Any) -> Any:
    if reply.header.message_type is not MessageType.error:
        return reply.body
    name = reply.header.fields[HeaderFields.error_name]
    raise BusError(name, f"systemd: {reply.body[0] if reply.body else name}")


def _row(fields: Sequence[Any]) -> Row:
    unit, _description, load, active, sub, _following, path, *_job = fields
    return Row(unit=unit, load=load, active=active, sub=sub, path=path)
