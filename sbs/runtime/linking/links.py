"""All connections of a node: dialled and accepted, from hello to the last byte."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from sbs.adapters.transports.account import caller_of
from sbs.core import events as ev
from sbs.core.alarm import Alarm
from sbs.core.claim import Claim
from sbs.core.connection import Side
from sbs.core.messages import (
    AskLease,
    AskRole,
    Code,
    Follow,
    GrantLease,
    Hello,
    Message,
    Refused,
    Released,
    Serving,
    SetPause,
    Taken,
    Welcome,
)
from sbs.core.testament import PeerFencedError, Will
from sbs.errors import (
    DialRefusedError,
    IdentityError,
    ProtocolError,
    RejectedError,
    RemoteProtocolError,
    SbsError,
    TransportError,
)
from sbs.log import INFO, WARNING, Log
from sbs.ports import Listener, Transport
from sbs.runtime import clock
from sbs.runtime.alarms import Alarms
from sbs.runtime.groups import leaves
from sbs.runtime.linking.link import Link
from sbs.runtime.linking.strangers import Strangers

MAX_ACCEPTED: Final = 32
"""Accepted connections of nodes that have said hello: a peer has one or two; more is abuse."""

GREETING_S: Final = 5.0
"""How long a caller may take to say hello, and then to follow: it does both at once."""

PATIENCE: Final = 4
"""Of a dialler, once it is connected: strangers may wait before it, and calling again would put it
behind more of them. It is a down interval then, and of a host that is cut off it costs none: that
one does not let it connect."""

_log = Log(__name__)
_FENCED = _log.event(
    "peer-fenced",
    WARNING,
    "{address}: {text}",
    "SBS has died on the other node, and its services have been ended there; this node "
    "takes over at once, if the partition policy lets it. Find out why SBS died there.",
)
_ENDED = _log.event(
    "connection-ended",
    INFO,
    "connection {connection} to {peer} ended: {error}",
    "The nodes connect again by themselves. `sbs probe` finds why, if they do not.",
)
_IDLE = _log.event(
    "connection-idle",
    INFO,
    "connection {connection}: closed, for it did not follow",
    "A caller that said it was the other node did not go on. Nothing to do, unless it "
    "comes again and again: then look at the other node's log.",
)
_REFUSED = _log.event(
    "peer-refuses",
    WARNING,
    "the peer refuses: {text}",
    "The other node does not want this one as it is; the text says why, and what to change.",
)


class Router(Protocol):
    """Where a session's messages go that are not about roles."""

    async def route(self, link: Link, message: Message) -> None:
        """Take a message about updates."""
        ...


class Links:
    """The connections of one node.

    Args:
        transport: carries the bytes.
        peer_address: whom to dial.
        hello: makes this node's first message, as it stands at that moment.
        post: gives the role machine an event.
        router: takes what is not about roles.
        alarms: of the node.
    """

    def __init__(
        self,
        transport: Transport,
        peer_address: str,
        hello: Callable[[], Hello],
        post: Callable[[ev.Event], Awaitable[None]],
        router: Router,
        alarms: Alarms,
    ) -> None:
        self._transport = transport
        self._peer_address = peer_address
        self._hello = hello
        self._post = post
        self._router = router
        self._alarms = alarms
        self._strangers = Strangers()
        self.wish: str = ""
        """Why the secondary asks for the role, until somebody has looked; empty: it does not."""
        self._numbers = itertools.count(1)
        self._links: dict[int, Link] = {}
        self._tasks: dict[int, trio.Nursery] = {}
        self._accepted = 0
        self._wisher = 0

    def get(self, number: int) -> Link | None:
        """The connection with this number, while it stands."""
        return self._links.get(number)

    def heard_at(self, number: int) -> float | None:
        """When a connection last received anything; ``None`` if it is gone."""
        link = self.get(number)
        return None if link is None else link.heard_at

    def attach(self, number: int, task: Callable[[], Awaitable[None]]) -> bool:
        """Run ``task`` for as long as the connection stands; if it fails, both end.

        Returns:
            whether it still stood: else the task is not begun.
        """
        if number not in self._tasks:
            return False
        self._tasks[number].start_soon(task)
        return True

    def finish(self, nursery: trio.Nursery, number: int, last: Message) -> None:
        """Say a last word on a connection, and close it."""
        link = self._links.get(number)
        if link is not None:
            link.closed_here = True
            nursery.start_soon(link.finish, last)

    def close(self, number: int) -> None:
        """Close a connection at once."""
        link = self._links.get(number)
        if link is not None:
            link.cut()

    async def accept_forever(self, listener: Listener) -> None:
        """Serve the port."""
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._serve, await listener.accept())

    async def _serve(self, stream: trio.abc.Stream) -> None:
        host = caller_of(stream)
        if not self._strangers.make_room(host):
            await trio.aclose_forcefully(stream)
            return
        link = Link(next(self._numbers), stream, Side.ACCEPTOR, self._hello())
        try:
            with link.scope:
                with self._strangers.among(link, host):
                    claim = (await self._greet(link, GREETING_S)).claim
                    if claim is None:
                        await self._host_visitor(link)
                        return
                if self._accepted < MAX_ACCEPTED:
                    self._accepted += 1
                    try:
                        await self._converse(link, claim)
                    finally:
                        self._accepted -= 1
                else:
                    await link.finish(Refused(Code.BUSY, f"{MAX_ACCEPTED} connections stand"))
        except IdentityError as error:
            self._strangers.tell(f"a caller was turned away: {error}")
        except TransportError as error:
            _log.debug("connection %d: a caller left before its hello: %s", link.number, error)
        finally:
            await link.aclose()

    async def dial(self, timeout_s: float) -> None:
        """Connect to the peer; the outcome is an event. Runs until that connection ends.

        Args:
            timeout_s: to connect; hellos may take :data:`PATIENCE` times as long.
        """
        opened_at = clock.now()
        try:
            with trio.fail_after(timeout_s):
                stream = await self._transport.dial(self._peer_address)
            await self._follow_up(stream, PATIENCE * timeout_s, opened_at)
        except DialRefusedError:
            await self._post(ev.DialFailed(refused=True))
        except PeerFencedError as last_word:
            _FENCED(address=self._peer_address, text=last_word)
            await self._post(ev.PeerFenced(last_word.secret))
        except IdentityError as error:
            self._alarms.raise_(Alarm.IDENTITY_REFUSED, str(error))
            rejected = isinstance(error, RejectedError)
            await self._post(ev.DialRejected() if rejected else ev.DialFailed(refused=False))
        except (TransportError, trio.TooSlowError) as error:
            _log.debug("dial %s: %r", self._peer_address, error)
            await self._post(ev.DialFailed(refused=False))

    async def _follow_up(
        self, stream: trio.abc.Stream, greeting_s: float, opened_at: float
    ) -> None:
        """A connection that this node has dialled.

        Raises:
            TransportError: it ended before hellos were exchanged, or whoever was dialled makes
                no claim.
        """
        link = Link(next(self._numbers), stream, Side.DIALLER, self._hello(), opened_at)
        try:
            with link.scope:
                claim = (await self._greet(link, greeting_s)).claim
                self._alarms.clear(Alarm.IDENTITY_REFUSED)
                if claim is None:
                    raise TransportError("what answers there says nothing of itself")
                await self._converse(link, claim)
        finally:
            await link.aclose()

    async def _greet(self, link: Link, timeout_s: float) -> Hello:
        try:
            with trio.fail_after(timeout_s):
                hello = await link.greet()
        except trio.TooSlowError as error:
            text = f"no complete hello within {timeout_s:g} s"
            self._strangers.tell(f"connection {link.number} closed: {text}")
            raise TransportError(text) from error
        except ProtocolError as error:
            self._strangers.tell(f"connection {link.number} closed: {error}")
            raise TransportError(str(error)) from error
        _log.debug("connection %d: hello from %s", link.number, hello.software)
        return hello

    async def _converse(self, link: Link, claim: Claim) -> None:
        self._links[link.number] = link
        dialled = link.side is Side.DIALLER
        ended: ev.Event = ev.ConnectionLost(link.number)
        try:
            async with trio.open_nursery() as nursery:
                self._tasks[link.number] = nursery
                try:
                    if not dialled:
                        nursery.start_soon(_expect_follow, link)
                    met = ev.PeerMet(connection=link.number, claim=claim, dialled=dialled)
                    await self._post(met)
                    await link.run(lambda message: self._take(link, message))
                finally:  # not later: a nursery that nobody is in any more takes no task
                    del self._tasks[link.number]
        except* _PeerRefusedError as refusals:
            ended = _turned_away(link.number, refusals)
        except* SbsError as group:
            for error in leaves(group):
                _ENDED(connection=link.number, peer=claim.name, error=error)
        finally:
            del self._links[link.number]
            if self._wisher == link.number:
                self.wish = ""
            with trio.CancelScope(shield=True):
                await self._post(ended)

    async def _host_visitor(self, link: Link) -> None:
        """A visitor has seen all there is; it closes, or is closed."""
        with trio.move_on_after(GREETING_S):
            try:
                await link.run(_refuse_to_talk)
            except* SbsError as group:
                _log.debug("connection %d: visitor left: %s", link.number, group.exceptions[0])

    async def _take(self, link: Link, message: Message) -> None:
        number = link.number
        hello = link.peer
        match message:
            case Follow(epoch):
                if hello is not None and hello.claim is not None:
                    await self._post(
                        ev.FollowAsked(
                            connection=number,
                            claim=hello.claim,
                            epoch=epoch,
                            opened_at=link.opened_at,
                        )
                    )
            case Welcome(epoch, history):
                await self._post(ev.Welcomed(connection=number, epoch=epoch, history=history))
                # Nothing of this leader is looked at before the role machine has accepted it.
                await link.session.wait()
            case Refused():
                raise _PeerRefusedError(message)
            case AskRole(reason):
                self._wisher, self.wish = number, reason
            case _:
                event = role_event(number, message)
                if event is None:
                    await self._router.route(link, message)
                else:
                    await self._post(event)


async def _expect_follow(link: Link) -> None:
    """Whoever calls and says who it is follows at once, or closes: else it takes others' place."""
    await trio.sleep(GREETING_S)
    if link.is_idle:
        _IDLE(connection=link.number)
        link.cut()


def role_event(number: int, message: Message) -> ev.Event | None:
    """What the role machine is told of a session's message; ``None``: it is about updates."""
    match message:
        case Released():
            return ev.RoleReleased(
                connection=number,
                epoch=message.epoch,
                generation=message.generation,
                granted=message.granted,
                leaving=message.leaving,
            )
        case Taken(epoch):
            return ev.RoleTaken(number, epoch)
        case Serving(epoch):
            return ev.PeerServing(number, epoch)
        case AskLease(epoch=epoch, serial=serial, hold_s=hold_s):
            return ev.LeaseAsked(connection=number, epoch=epoch, serial=serial, hold_s=hold_s)
        case GrantLease(serial):
            return ev.LeaseGranted(number, serial)
        case SetPause(pause):
            return ev.PauseTold(number, pause)
        case Will():
            return ev.WillTold(number, message)
        case _:
            return None


class _PeerRefusedError(SbsError):
    """The peer said no, and closes; the text is its own."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.text)
        self.refused = refused


def _turned_away(number: int, group: BaseExceptionGroup[_PeerRefusedError]) -> ev.TurnedAway:
    refused = next(leaves(group)).refused
    _REFUSED(text=refused.text)
    return ev.TurnedAway(number, refused.code, refused.text)


async def _refuse_to_talk(message: Message) -> None:
    raise RemoteProtocolError(f"a visitor sent {type(message).__name__}")
