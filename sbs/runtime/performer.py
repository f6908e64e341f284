"""Performs what the role machine wants; what takes time comes back as an event."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import trio

from sbs.config import Config
from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.claim import Role
from sbs.core.connection import last_words
from sbs.core.epoch import Epoch
from sbs.core.history import History
from sbs.core.messages import (
    AskLease,
    Follow,
    GrantLease,
    Message,
    Refused,
    Released,
    Serving,
    SetPause,
    Taken,
    Welcome,
)
from sbs.core.role import Model
from sbs.core.testament import SECRET_BYTES, Will
from sbs.log import INFO, WARNING, Log
from sbs.runtime import clock
from sbs.runtime.alarms import Alarms
from sbs.runtime.announcer import Announcer
from sbs.runtime.hooks import HookError, run_hook
from sbs.runtime.lasting.role_history import RoleHistory
from sbs.runtime.linking.ballots import Ballots
from sbs.runtime.linking.link import Link
from sbs.runtime.linking.links import Links
from sbs.runtime.linking.lookout import Lookout
from sbs.runtime.mailing.herald import Herald
from sbs.runtime.operating.tickets import Tickets
from sbs.runtime.saves import Saves
from sbs.runtime.serving.licensing import Licensing
from sbs.runtime.serving.services import Services
from sbs.runtime.updating.updates import Updates

_Speech: TypeAlias = (
    ef.Close
    | ef.Refuse
    | ef.SendFollow
    | ef.SendWelcome
    | ef.TakeUpdates
    | ef.SendReleased
    | ef.SendTaken
    | ef.SendServing
    | ef.SendAskLease
    | ef.SendGrant
    | ef.SendPause
)

_log = Log(__name__)
_STOPPING = _log.event(
    "services-stopping",
    INFO,
    "stopping the services",
    "This node gives its role up, and stops what it runs first. Nothing to do.",
)
_LAST_UPDATE = _log.event(
    "last-update",
    INFO,
    "the services are stopped; running the last update of the handover",
    "What the services wrote at their end goes to the other node before it starts them. "
    "Nothing to do.",
)
_KEPT = _log.event(
    "not-handed-over",
    WARNING,
    "this primary ends, and its role is not handed over: {reason}",
    "The services have ended here, and this node has had no other start them. Whether the other "
    "one takes over by itself, with its last complete generation, its policy says: look at "
    "`sbs status` there.",
)
_FENCING = _log.event(
    "fencing",
    WARNING,
    "the primary is lost; running the fence hook",
    "This node takes over when the hook has made sure that the other machine is off. If "
    "it cannot, the alarm `fence-failed` says so.",
)


@attrs.frozen(kw_only=True)
class Parts:
    """What effects are performed with."""

    config: Config
    alarms: Alarms
    announcer: Announcer
    ballots: Ballots
    herald: Herald
    licensing: Licensing
    links: Links
    lookout: Lookout
    role_history: RoleHistory
    saves: Saves
    services: Services
    tickets: Tickets
    updates: Updates


class Performer:
    """The hands of one node.

    Args:
        parts: of the node.
        model: where the role machine stands.
        post: gives it an event.
        finish: ends the node, as :class:`~sbs.core.effects.Exit` says.
    """

    def __init__(
        self,
        parts: Parts,
        model: Callable[[], Model],
        post: Callable[[ev.Event], Awaitable[None]],
        finish: Callable[[str, str], None],
    ) -> None:
        self.nursery: trio.Nursery
        self.stopping_at: float | None = None
        """When the services began to stop, last."""
        self._parts = parts
        self._model = model
        self._post = post
        self._finish = finish
        self._starting = trio.CancelScope()

    def perform(self, effect: ef.Effect) -> None:
        """Begin an effect; never waits."""
        parts = self._parts
        parts.herald.note(self._model(), effect)
        match effect:
            case ef.Dial(timeout_s):
                self.nursery.start_soon(parts.links.dial, timeout_s)
            case ef.Save():
                parts.saves.ask(effect)
                parts.updates.nudge()  # if the active services changed, they are sent at once
            case ef.StartServices(epoch, names):
                self._starting = trio.CancelScope()
                self.nursery.start_soon(self._start_services, epoch, names, self._starting)
            case ef.StopServices():
                self._starting.cancel()
                self.stopping_at = clock.now()
                self.nursery.start_soon(self._stop_services)
            case ef.FinalUpdate(number):
                self._final_update(number)
            case ef.Guard(until):
                parts.services.guardian.guard(until)
            case ef.AskWitness():
                self.nursery.start_soon(parts.ballots.ask, effect)
            case ef.LeaveWitness(term):
                parts.ballots.leave(term)
            case ef.Fence():
                self.nursery.start_soon(self._fence)
            case ef.Answer(ticket, error):
                parts.tickets.answer(ticket, error)
            case ef.Exit(refusal, kept):
                if kept:
                    _KEPT(reason=kept)
                self._finish(refusal, kept)
            case ef.TellRole() | ef.RaiseAlarm() | ef.ClearAlarm():
                self._tell(effect)
            case _:
                self._speak(effect)

    def _tell(self, effect: ef.TellRole | ef.RaiseAlarm | ef.ClearAlarm) -> None:
        match effect:
            case ef.TellRole():
                self._parts.announcer.tell(effect)
                self._parts.role_history.tell(effect)
                if effect.role is not Role.PRIMARY:
                    self._parts.services.guardian.bequeath(b"")
            case ef.RaiseAlarm(alarm, text):
                self._parts.alarms.raise_(alarm, text)
            case ef.ClearAlarm(alarm):
                self._parts.alarms.clear(alarm)

    # What is said to the peer.

    def _speak(self, effect: _Speech) -> None:
        links = self._parts.links
        link = links.get(effect.connection)
        if link is None:
            return  # its ConnectionLost is on the way
        match effect:
            case ef.Close():
                link.cut()
            case ef.Refuse(number, code, text):
                links.finish(self.nursery, number, Refused(code, text))
            case ef.SendFollow(number, epoch):
                link.post(Follow(epoch))
                self._begin_heartbeats(link)
            case ef.SendWelcome(number, epoch, history):
                self._welcome(link, epoch, history)
            case ef.TakeUpdates(number, epoch, history):
                links.attach(number, lambda: self._parts.updates.follow(link, epoch, history))
            case _:
                link.post(_message(effect))

    def _begin_heartbeats(self, link: Link) -> None:
        interval_s = self._parts.config.failover.heartbeat_interval_s
        self._parts.links.attach(link.number, lambda: link.beat(interval_s))
        self._parts.links.attach(link.number, lambda: self._parts.lookout.watch(link))

    def _welcome(self, link: Link, epoch: Epoch, history: History) -> None:
        """Begin a session as leader; from now on the fencer can tell this follower of our end."""
        link.post(Welcome(epoch, history))
        secret = os.urandom(SECRET_BYTES)
        holder = self._parts.ballots.holder(self._model().votes.term)
        self._parts.services.guardian.bequeath(last_words(secret))
        link.post(Will(hashlib.sha256(secret).digest(), holder))
        self._begin_heartbeats(link)
        updates = self._parts.updates
        self._parts.links.attach(link.number, lambda: updates.lead(link, epoch))

    # What takes time.

    async def _start_services(
        self, epoch: Epoch, names: tuple[str, ...], scope: trio.CancelScope
    ) -> None:
        with scope:  # a stop that comes meanwhile must have the last word
            await self._parts.updates.settle()
            active = await self._parts.licensing.start(names, epoch)
            self._parts.herald.served(withheld=self._parts.services.withheld)
            await self._post(ev.ServicesStarted(active))
            self._parts.updates.follower.forget_fragment()

    async def _stop_services(self) -> None:
        _STOPPING()
        await self._parts.services.stop()
        await self._post(ev.ServicesStopped())

    def _final_update(self, number: int) -> None:
        """It ends with the connection, and is told of in any case."""
        if self._parts.links.attach(number, self._parts.updates.finish):
            _LAST_UPDATE()
        else:
            self.nursery.start_soon(self._post, ev.FinalUpdateEnded(done=False))

    async def _fence(self) -> None:
        """B7: whoever would replace a lost primary makes sure first that it is off."""
        config, model = self._parts.config, self._model()
        environment = {
            "SBS_HOOK": "fence",
            "SBS_NODE": config.node.name,
            "SBS_PEER": "" if model.peer is None else model.peer.name,
            "SBS_PEER_ADDRESS": str(config.node.peer),
            "SBS_EPOCH": str(model.durable.epoch.number),
        }
        _FENCING()
        try:
            await run_hook(config.failover.fence, environment, config.hooks.timeout_s)
        except HookError as error:
            await self._post(ev.FenceEnded(str(error)))
        else:
            await self._post(ev.FenceEnded())


def _message(
    effect: ef.SendReleased
    | ef.SendTaken
    | ef.SendServing
    | ef.SendAskLease
    | ef.SendGrant
    | ef.SendPause,
) -> Message:
    match effect:
        case ef.SendReleased():
            return Released(
                epoch=effect.epoch,
                generation=effect.generation,
                granted=effect.granted,
                leaving=effect.leaving,
            )
        case ef.SendTaken(_, epoch):
            return Taken(epoch)
        case ef.SendServing(_, epoch):
            return Serving(epoch)
        case ef.SendAskLease():
            return AskLease(epoch=effect.epoch, serial=effect.serial, hold_s=effect.hold_s)
        case ef.SendGrant(_, serial):
            return GrantLease(serial)
        case ef.SendPause(_, pause):
            return SetPause(pause)
