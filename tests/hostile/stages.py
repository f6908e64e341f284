"""Up to where a conversation goes in good order, before a peer turns hostile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, cast

import attrs
import trio

from sbs.core.manifest import Entry, Kind
from sbs.core.messages import Begin, Commit, Listing
from tests.hostile.peer import EVERYTHING, Peer


@attrs.frozen
class Stage:
    """Up to where a conversation goes in good order.

    Args:
        name: for people.
        reach: goes there.
        leads: the peer is a primary, and the node its secondary; else the other way round.
        in_session: the node sends heartbeats there.
        intrudes: a primary of good will has the session, and the peer is somebody else that calls.
    """

    name: str
    reach: Callable[[Peer], Awaitable[object]]
    leads: bool
    in_session: bool = True
    intrudes: bool = False


async def _nothing(_peer: Peer) -> None:
    await trio.lowlevel.checkpoint()


async def _greeted(peer: Peer) -> None:
    await peer.greet()


async def _followed(peer: Peer) -> None:
    await peer.greet()
    await peer.follow()


async def _listing(peer: Peer) -> None:
    await _followed(peer)
    await peer.send(Listing(folder=0, entries=(Entry(path="d", kind=Kind.DIRECTORY),)))


async def _updated(peer: Peer) -> None:
    await _followed(peer)
    await peer.list_nothing()
    await peer.until(Begin)


async def _proposed(peer: Peer) -> None:
    await _followed(peer)
    await peer.list_nothing()
    peer.proposed = cast("Commit", await peer.until(Commit)).generation


async def _listed(peer: Peer) -> None:
    await _followed(peer)
    await peer.list_nothing()
    await peer.take_update()


async def _welcomed(peer: Peer) -> None:
    await peer.greet()
    await peer.welcome()


async def _current(peer: Peer) -> None:
    await _welcomed(peer)
    await peer.tell_folders()


async def _dressed(peer: Peer) -> None:
    await _welcomed(peer)
    await peer.tell_folders(EVERYTHING)


async def _begun(peer: Peer) -> None:
    await _current(peer)
    await peer.send(peer.begin())


SILENT: Final = Stage("a stranger calls a primary", _nothing, leads=False, in_session=False)
CALLED: Final = Stage("a stranger is called by a node", _nothing, leads=True, in_session=False)
GREETED: Final = Stage("hello said to a primary", _greeted, leads=False, in_session=False)
ASKED: Final = Stage("hello said by a primary", _greeted, leads=True, in_session=False)
FOLLOWING: Final = Stage("a secondary, to list its folders", _followed, leads=False)
INTRUDING: Final = Stage(
    "a stranger calls a secondary", _nothing, leads=True, in_session=False, intrudes=True
)
INTRUDED: Final = Stage(
    "hello said to a secondary", _greeted, leads=True, in_session=False, intrudes=True
)
LISTING: Final = Stage("a secondary in its listing", _listing, leads=False)
UPDATED: Final = Stage("a secondary to which an update comes", _updated, leads=False)
PROPOSED: Final = Stage("a secondary that owes a verdict", _proposed, leads=False)
IN_STEP: Final = Stage("a secondary that has taken an update", _listed, leads=False)
WELCOMED: Final = Stage("a primary that has said welcome", _welcomed, leads=True)
CURRENT: Final = Stage("a primary between two updates", _current, leads=True)
DRESSED: Final = Stage("a primary that sets owners and attributes, too", _dressed, leads=True)
BEGUN: Final = Stage("a primary in an update", _begun, leads=True)
