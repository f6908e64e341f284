"""A second look at a peer whose connection is silent (R7).

TCP delivers in order: behind a packet that was lost twice every heartbeat waits, for longer than a
down interval on a slow link. So before silence counts, the peer is called on another connection.
If it answers, in the role that it has on this one, it lives. A host that is dead, frozen or cut off
does not answer, so no real loss is found any later.
"""

from __future__ import annotations

from typing import Final

import attrs
import trio

from sbs.config import Config
from sbs.core.claim import Role
from sbs.core.connection import Side
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.errors import ProtocolError, TransportError
from sbs.log import WARNING, Log
from sbs.ports import Transport
from sbs.runtime import clock
from sbs.runtime.linking.link import Link
from sbs.version import __version__

LOOKS: Final = 8
"""Begun in a down interval: where a packet in twenty is lost, one look in five is in vain."""

STALLED: Final = 3
"""Down intervals after which a silent connection is given up although its peer lives."""

_VISITOR: Final = Hello(versions=(1, PROTOCOL_VERSION), software=f"sbs {__version__}")
"""Makes no claim, so the role machine over there hears nothing of it (B60)."""

_log = Log(__name__)
_SILENT = _log.event(
    "connection-silent",
    WARNING,
    "connection {connection}: silent for {silent_s:.1f} s; closed",
    "The other node says nothing on this connection although it answers elsewhere; the "
    "nodes connect anew. Look for lost packets between the machines.",
)


@attrs.frozen(kw_only=True)
class Lookout:
    """Looks after silent connections of one node.

    Args:
        transport: carries the bytes.
        peer_address: whom to call.
        heartbeat_interval_s: a connection is silent for so long in between.
        down_interval_s: after this the peer would be lost; at least three of the former.
    """

    transport: Transport
    peer_address: str
    heartbeat_interval_s: float
    down_interval_s: float

    @classmethod
    def of(cls, config: Config, transport: Transport) -> Lookout:
        """That of a configured node."""
        return cls(
            transport=transport,
            peer_address=str(config.node.peer),
            heartbeat_interval_s=config.failover.heartbeat_interval_s,
            down_interval_s=config.failover.down_interval_s,
        )

    async def watch(self, link: Link) -> None:
        """Tell a connection of every sign of life seen elsewhere, for as long as it stands."""
        every_s = (self.down_interval_s - self.heartbeat_interval_s) / LOOKS
        begin_s = self.heartbeat_interval_s + every_s
        async with trio.open_nursery() as nursery:
            while True:
                silent_s = clock.now() - link.received_at
                if silent_s < begin_s:
                    await trio.sleep(begin_s - silent_s)
                elif silent_s < STALLED * self.down_interval_s:
                    nursery.start_soon(self._look, link)
                    await trio.sleep(every_s)
                else:
                    _SILENT(connection=link.number, silent_s=silent_s)
                    link.cut()
                    await trio.sleep_forever()

    async def _look(self, link: Link) -> None:
        with trio.move_on_after(self.down_interval_s):
            try:
                stream = await self.transport.dial(self.peer_address)
            except TransportError as error:
                _log.debug("a second look: %s", error)
                return
            visitor = Link(link.number, stream, Side.DIALLER, _VISITOR)
            try:
                hello = await visitor.greet()
            except (TransportError, ProtocolError) as error:
                _log.debug("a second look: %s", error)
            else:
                if _is_peer_of(link, hello):
                    link.vouch()
            finally:
                await visitor.aclose()


def _is_peer_of(link: Link, hello: Hello) -> bool:
    """Whether the node at the other end of a session says this; it leads whoever has dialled."""
    role = Role.PRIMARY if link.side is Side.DIALLER else Role.SECONDARY
    there, here = hello.claim, None if link.peer is None else link.peer.claim
    if there is None or here is None:
        return False
    return there.node_id == here.node_id and there.role is role
