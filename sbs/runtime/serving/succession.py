"""Who should lead, as far as licences are concerned: this node asks for the role, or hands it over.

Only in order, as ``sbs switchover`` does, and only while takeovers are not paused (R44).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from sbs.core.claim import Mode
from sbs.core.effects import Via
from sbs.core.licence import Kind, Standing
from sbs.core.messages import AskRole
from sbs.core.role import Model, State
from sbs.errors import RefusedError
from sbs.log import INFO, WARNING, Log
from sbs.runtime.linking.links import Links
from sbs.runtime.serving.attendant import Exchange

PAUSE_S: Final = 60.0
"""From one attempt to exchange the roles to the next, should it fail."""

_log = Log(__name__)
_HANDING = _log.event(
    "handover-wished",
    WARNING,
    "{reason}: handing the role over",
    "The other node runs the services from now on; the text says who wished it, and why. "
    "Nothing to do.",
)
_NOT_HANDED = _log.event(
    "handover-impossible",
    INFO,
    "{reason}: not handed over: {error}",
    "It is tried again when what the text names is over.",
)
_MODES = _log.event(
    "licence-against-modes",
    WARNING,
    "this node is a main server by its licence, but the modes keep {peer} primary: set "
    "node.mode on both nodes ({mode} here, {peer_mode} there)",
    "Set `node.mode` on both nodes as the text says, or both to `symmetric`.",
)
_ASKING = _log.event(
    "licence-asks-for-role",
    WARNING,
    "the licence turns this node into a main server: asking for the role",
    "The other node hands its role over. Nothing to do.",
)


class Succession:
    """What one node does so that a node leads which may serve.

    Args:
        model: where the role machine stands.
        exchange: has the other node lead.
        links: of the node.
    """

    def __init__(self, model: Callable[[], Model], exchange: Exchange, links: Links) -> None:
        self._model = model
        self._exchange = exchange
        self._links = links
        self._kind: Kind | None = None
        """Of the last licence that counted."""
        self._promoted = False
        """A ``full`` licence has replaced a ``backup`` one, and this node has not led since."""
        self._act_at = 0.0

    def note(self, standing: Standing) -> None:
        """The licence was looked at: did it turn this node into a main server (R44)?"""
        if standing.licence is None or standing.problem:
            return
        kind = standing.licence.kind
        if kind is not self._kind:
            self._promoted = self._kind is Kind.BACKUP
            self._kind = kind

    async def look(self, *, withheld: bool) -> None:
        """Act, if there is something to be done now.

        Args:
            withheld: this node leads, and its licence lets no service start.
        """
        model, now = self._model(), trio.current_time()
        leads = model.state is State.PRIMARY
        self._promoted = self._promoted and not leads
        wish, self._links.wish = self._links.wish, ""
        if model.durable.pause.on or now < self._act_at:
            return
        if leads and withheld and model.via is not Via.RELEASED:  # else neither may serve
            await self._hand_over("the licence allows no service here")
        elif leads and wish:
            await self._hand_over(wish)
        elif self._promoted and model.state is State.SECONDARY and model.in_step:
            self._ask(model)

    async def _hand_over(self, why: str) -> None:
        try:
            await self._exchange(dry_run=True)
            _HANDING(reason=why)
            self._act_at = trio.current_time() + PAUSE_S
            await self._exchange()
        except RefusedError as error:
            _NOT_HANDED(reason=why, error=error)

    def _ask(self, model: Model) -> None:
        mine, peer = model.settings, model.peer
        link = None if model.session is None else self._links.get(model.session)
        if link is None or peer is None:
            return
        if mine.mode is Mode.BACKUP_ONLY or peer.mode is Mode.PRIMARY_ONLY:
            self._promoted = False
            _MODES(peer=peer.name, mode=mine.mode.value, peer_mode=peer.mode.value)
            return
        self._act_at = trio.current_time() + PAUSE_S
        _ASKING()
        link.post(AskRole(f"{mine.name} is a main server by its new licence"))
