"""The system bus, as the adapter needs it: systemd's manager, and what happens to a few units.

The interface is ``org.freedesktop.systemd1``, as the manual page of that name describes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import attrs
import trio
from jeepney import DBusAddress, MatchRule, message_bus
from jeepney import wrappers as messages
from jeepney.io.trio import open_dbus_connection
from jeepney.low_level import HeaderFields, MessageType

from sbs.errors import ServiceError
from sbs.log import WARNING, Log

CALL_BOUND_S: Final = 20.0
"""How long systemd may take to answer a call, a new bus included: a reload may take seconds."""

RETRY_S: Final = 0.5
"""Pause before a lost bus is dialled again."""

MAX_JOBS: Final = 256
"""Jobs of one unit that end while one of them is waited for."""

_NAME: Final = "org.freedesktop.systemd1"
ROOT: Final = "/org/freedesktop/systemd1"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
UNIT: Final = f"{_NAME}.Unit"
SERVICE: Final = f"{_NAME}.Service"
MANAGER: Final = f"{_NAME}.Manager"

_LOST: Final = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.EndOfChannel,
)
"""What is raised when the bus is lost, or cannot be reached."""

_Message: TypeAlias = Any
_Connection: TypeAlias = Any
"""jeepney has no types."""

_call: Final = cast("Callable[..., Any]", messages.new_method_call)  # pyright: ignore[reportUnknownMemberType] - no types
_add_match: Final = cast("Callable[..., Any]", message_bus.AddMatch)  # pyright: ignore[reportUnknownMemberType] - likewise

_log = Log(__name__)
_NO_BUS = _log.event(
    "no-system-bus",
    WARNING,
    "no system bus: {error!r}",
    "Without D-Bus SBS can neither start nor stop units; it is tried again. Look at "
    "`systemctl status dbus`.",
)


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

    jeepney packs, unpacks and logs in. Its router is not used: when a connection ends it loses
    track of who waits.

    Args:
        on_signal: called with each job of a watched unit that ends, and with nothing when the
            state of one may have changed.
    """

    def __init__(self, on_signal: OnSignal) -> None:
        self._on_signal = on_signal
        self._connection: _Connection = None
        self._connected = trio.Event()
        self._told = False
        self._watched: dict[str, str] = {}
        self._replies: dict[int, trio.MemorySendChannel[_Message]] = {}
        self._waiting: dict[str, list[trio.MemorySendChannel[Job]]] = {}

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        while True:
            try:
                async with await open_dbus_connection("SYSTEM") as connection:
                    await self._serve(connection)
            except* _LOST as group:
                if not self._told:
                    _NO_BUS(error=group.exceptions[0])
                    self._told = True
            self._lose()
            await trio.sleep(RETRY_S)

    async def _serve(self, connection: _Connection) -> None:
        """Subscribe, and take in what comes until the connection ends."""
        self._connection = connection
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._subscribe)
            while True:
                self._take_in(await connection.receive())

    async def _subscribe(self) -> None:
        await self._ask(_call(_address(ROOT, MANAGER), "Subscribe"))
        for unit, path in self._watched.items():
            await self._attach(unit, path)
        self._told = False
        self._connected.set()
        self._on_signal(None)  # whatever happened meanwhile

    def _lose(self) -> None:
        """Nobody waits for what cannot come any more."""
        self._connection = None
        self._connected = trio.Event()
        for channel in (*self._replies.values(), *chain(*self._waiting.values())):
            channel.close()

    def _take_in(self, message: _Message) -> None:
        fields = message.header.fields
        serial = fields.get(HeaderFields.reply_serial)
        member = fields.get(HeaderFields.member)
        if serial in self._replies:
            self._replies[serial].send_nowait(message)
        elif member == "PropertiesChanged":
            self._on_signal(None)
        elif member == "JobRemoved":
            _number, path, unit, result = message.body
            job = Job(path, unit, result)
            for channel in self._waiting.get(unit, ()):
                channel.send_nowait(job)
            self._on_signal(job)

    async def _attach(self, unit: str, path: str) -> None:
        """Watch a unit, and have systemd remember how it ended for as long as SBS runs."""
        await self.watch_jobs(unit)
        rule = MatchRule(
            type="signal", interface=_PROPERTIES, member="PropertiesChanged", path=path
        )
        rule.add_arg_condition(0, UNIT)
        await self._ask(_add_match(rule))
        await self._ask(_call(_address(ROOT, MANAGER), "RefUnit", "s", (unit,)))

    async def watch_jobs(self, unit: str) -> None:
        """Hear of a unit's jobs until the bus is lost.

        Raises:
            BusError: as :meth:`call`.
        """
        rule = MatchRule(type="signal", interface=MANAGER, member="JobRemoved", path=ROOT)
        rule.add_arg_condition(2, unit)
        await self._ask(_add_match(rule))

    async def _ask(self, message: _Message) -> Any:
        """Send a call; return the body of the reply."""
        connection = self._connection
        if connection is None:
            raise BusError("", "the system bus was lost")
        send, receive = trio.open_memory_channel[_Message](1)
        serial = next(connection.outgoing_serial)
        self._replies[serial] = send
        try:
            await connection.send(message, serial=serial)
            return _unwrap(message, await receive.receive())
        except _LOST as error:
            raise BusError("", "the system bus was lost") from error
        finally:
            del self._replies[serial]

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
        message = _call(_address(path, interface), member, signature or None, tuple(body))
        with trio.move_on_after(CALL_BOUND_S):
            await self._connected.wait()
            return await self._ask(message)
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
        await self._attach(unit, path)

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


def _address(path: str, interface: str) -> DBusAddress:
    return DBusAddress(path, bus_name=_NAME, interface=interface)


def _unwrap(call: _Message, reply: _Message) -> Any:
    if reply.header.message_type is not MessageType.error:
        return reply.body
    member = call.header.fields[HeaderFields.member]
    name = reply.header.fields[HeaderFields.error_name]
    raise BusError(name, f"systemd, {member}: {reply.body[0] if reply.body else name}")


def _row(fields: Sequence[Any]) -> Row:
    unit, _description, load, active, sub, _following, path, *_job = fields
    return Row(unit=unit, load=load, active=active, sub=sub, path=path)
