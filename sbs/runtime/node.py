"""A node: one inbox, one loop. Events go to the role machine; what it wants is performed.

Effects that take time run beside the loop and come back as events, so the loop never waits for a
disk, a service or the peer.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from contextlib import AsyncExitStack
from typing import Final

import attrs
import trio

from sbs import __version__
from sbs.adapters import services as service_adapters
from sbs.adapters.transports.tcp import TcpTransport
from sbs.config import Config
from sbs.core import effects as ef
from sbs.core import events as ev
from sbs.core.claim import Role
from sbs.core.effects import Via
from sbs.core.epoch import Epoch
from sbs.core.messages import PROTOCOL_VERSION, Follow, Hello, Refused, Released, Taken, Welcome
from sbs.core.role import Model, Settings, State, deadline, transition
from sbs.errors import RefusedError
from sbs.ports import ServiceFactory, Transport
from sbs.replication.target import CommitRecord
from sbs.runtime.alarms import Alarms
from sbs.runtime.facts import facts_of
from sbs.runtime.hooks import HookError, run_hook
from sbs.runtime.links import Links
from sbs.runtime.requests import Requests
from sbs.runtime.services import Services
from sbs.runtime.slots import first_slot
from sbs.runtime.state import StateStore, Stored
from sbs.runtime.status import Status, status_of
from sbs.runtime.updates import Updates

MAX_INBOX: Final = 256
"""Events not yet handled: each connection has a few under way, and there are few connections."""

MAX_SAVES: Final = 64
"""Saves not yet on disk: the machine asks for one at a step, and waits where it matters."""

MAX_HOOKS: Final = 64
"""Role changes whose hooks have not run yet; more at a time are a loop, and are dropped."""

STALL_SHARE: Final = 0.25
"""Of a down interval: a node that did not run for longer has not listened, and starts anew."""

HOOK_END_S: Final = 10.0
"""How long the hooks of the last role change may take when the node ends."""

_log = logging.getLogger(__name__)


class Node:
    """One node of a pair; ``await node.run()`` is its life.

    Args:
        config: as :func:`sbs.config.load` makes it.
        transport: carries bytes between the nodes; TCP if left out.
        services: makes the service controller; the configured adapter if left out.

    Example::

        node = Node(sbs.config.load("alpha.toml"))
        async with trio.open_nursery() as nursery:
            await nursery.start(node.run)
    """

    def __init__(
        self,
        config: Config,
        *,
        transport: Transport | None = None,
        services: ServiceFactory | None = None,
    ) -> None:
        self.config = config
        self.alarms = Alarms()
        self.role = Role.STOPPED
        self.listen = str(config.node.listen)
        self._transport = transport or TcpTransport()
        self._factory = services
        self._send, self._inbox = trio.open_memory_channel[ev.Event](MAX_INBOX)
        self._save, self._saves = trio.open_memory_channel[ef.Save](MAX_SAVES)
        self._tell, self._told = trio.open_memory_channel[ef.TellRole](MAX_HOOKS)
        self._ended = trio.Event()
        self._refusal = ""
        self._tickets = itertools.count(1)
        self._answers: dict[int, tuple[trio.Event, list[str]]] = {}

    # Life.

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the node until it is stopped; ``started()`` is called when it serves its port.

        Raises:
            RefusedError: a rule forbids this node to run now (R6); the text says which.
            StateError: the state directory is in use, damaged, or cannot be written.
            TransportError: the address cannot be served.
            ServiceError: the service adapter refuses the configured units.
        """
        for warning in self.config.warnings:
            _log.warning("%s", warning)
        async with AsyncExitStack() as stack:
            await self._open(stack)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self._run_parts)
                task_status.started()
            self.role = Role.STOPPED
        if self._refusal:
            raise RefusedError(self._refusal)

    async def _open(self, stack: AsyncExitStack) -> None:
        """Get hold of everything, in this order: state, folders, port, services."""
        node = self.config.node
        self._store = StateStore(node.state_dir)
        stack.callback(self._store.close)
        slot = node.slot if node.slot is not None else await first_slot(node.listen, node.peer)
        stored = await trio.to_thread.run_sync(self._store.load, slot)
        if node.slot is not None:
            stored = attrs.evolve(stored, durable=attrs.evolve(stored.durable, slot=node.slot))
        self._node_id = stored.node_id
        self.updates = Updates(self.config, self.alarms, lambda: self.model, self.post)
        stack.callback(self.updates.close)
        stored = await self._recover(stored)
        await trio.to_thread.run_sync(self._store.save, stored)
        self.updates.learned = stored.folders
        self._listener = await self._transport.listen(str(node.listen))
        stack.push_async_callback(self._listener.aclose)
        self.listen = self._listener.address
        factory = self._factory or service_adapters.load(self.config.services.adapter)
        units = self.config.services.unit
        controller = await stack.enter_async_context(factory(units, self._listener.held_fds))
        self.services = Services(
            units,
            controller,
            self.alarms,
            stop_bound_s=self.config.failover.stop_bound_s,
            environment={"SBS_NODE": node.name},
        )
        self.model = Model(settings=self._settings(), durable=stored.durable)
        self.links = Links(self._transport, str(node.peer), self.hello, self.post, self.updates)

    async def _recover(self, stored: Stored) -> Stored:
        """Finish a generation that a crash left half applied, and count it in."""
        known = stored

        def count_in(record: CommitRecord) -> None:
            nonlocal known
            tip = record.history.entries[-1]
            if not known.durable.history.contains(tip):
                durable = attrs.evolve(known.durable, history=record.history, active=record.active)
                known = attrs.evolve(known, durable=durable, folders=record.folders)
            self._store.save(known)
            _log.info("generation %s completed after a crash", tip)

        await self.updates.recover(count_in)
        return known

    def _settings(self) -> Settings:
        node, failover = self.config.node, self.config.failover
        return Settings(
            node_id=self._node_id,
            name=node.name,
            mode=node.mode,
            priority=node.priority,
            services_die=self.services.die_with_node,
            heartbeat_interval_s=failover.heartbeat_interval_s,
            down_interval_s=failover.down_interval_s,
            probe_timeout_s=failover.probe_timeout_s,
            failback=failover.failback == "auto",
            failback_delay_s=failover.failback_delay_s,
        )

    async def _run_parts(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with trio.open_nursery() as background:
            async with Requests(self) as requests:
                background.start_soon(self.links.accept_forever, self._listener)
                background.start_soon(requests.serve_forever)
                background.start_soon(self._watch_services)
                async with trio.open_nursery() as finishing:
                    finishing.start_soon(self._run_saves)
                    finishing.start_soon(self._run_hooks)
                    task_status.started()
                    _log.info("%s serves %s", self.config.node.name, self.listen)
                    try:
                        await self._loop()
                    finally:
                        self.updates.give_up()
                        self._save.close()
                        self._tell.close()
                        finishing.cancel_scope.deadline = trio.current_time() + HOOK_END_S
            background.cancel_scope.cancel()
        self._nursery.cancel_scope.cancel()

    # The loop.

    async def post(self, event: ev.Event) -> None:
        """Give the role machine an event; waits while the inbox is full."""
        await self._send.send(event)

    async def _loop(self) -> None:
        """Handle, perform, re-arm."""
        await self.post(ev.Started())
        awake_at = trio.current_time()
        beat_s = self.config.failover.heartbeat_interval_s
        stall_s = beat_s + STALL_SHARE * self.config.failover.down_interval_s
        while not self._ended.is_set():
            event = await self._next_event(awake_at + beat_s)
            now = trio.current_time()
            if now - awake_at > stall_s:
                _log.warning("this node did not run for %.2f s", now - awake_at)
                self._step(ev.Heard(), now)
            awake_at = now
            if event is not None:
                self._step(event, now)

    async def _next_event(self, beat_at: float) -> ev.Event | None:
        """The next event, the deadline's, or nothing: then it was just time to look around."""
        due = deadline(self.model)
        with trio.move_on_at(min(beat_at, math.inf if due is None else due)):
            return await self._inbox.receive()
        self._listen()
        due = deadline(self.model)
        return ev.TimePassed() if due is not None and trio.current_time() >= due else None

    def _listen(self) -> None:
        """Count what the session's connection has received as signs of life."""
        link = None if self.model.session is None else self.links.get(self.model.session)
        if link is not None and link.heard_at > self.model.heard_at:
            self._step(ev.Heard(), link.heard_at)

    def _step(self, event: ev.Event, now: float) -> None:
        before = self.model.state
        self.model, effects = transition(self.model, event, now)
        _log.debug("%s + %s -> %s", before.name, event, self.model.state.name)
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: ef.Effect) -> None:
        match effect:
            case ef.Dial(timeout_s):
                self._nursery.start_soon(self.links.dial, timeout_s)
            case ef.Save():
                self._save.send_nowait(effect)
            case ef.StartServices(epoch, via):
                self._nursery.start_soon(self._start_services, epoch, via)
            case ef.StopServices():
                self._nursery.start_soon(self._stop_services)
            case ef.FinalUpdate(number):
                self._final_update(number)
            case ef.TellRole():
                self._tell_role(effect)
            case ef.RaiseAlarm(alarm, text):
                self.alarms.raise_(alarm.value, text)
            case ef.ClearAlarm(alarm):
                self.alarms.clear(alarm.value)
            case ef.Answer(ticket, error):
                self._answer(ticket, error)
            case ef.Exit(refusal):
                self._refusal = refusal
                self._ended.set()
            case _:
                self._speak(effect)

    def _speak(
        self,
        effect: ef.Close
        | ef.Refuse
        | ef.SendFollow
        | ef.SendWelcome
        | ef.TakeUpdates
        | ef.SendReleased
        | ef.SendTaken,
    ) -> None:
        link = self.links.get(effect.connection)
        if link is None:
            return  # its ConnectionLost is on the way
        match effect:
            case ef.Close():
                link.cut()
            case ef.Refuse(number, code, text):
                self.links.finish(self._nursery, number, Refused(code, text))
            case ef.SendFollow(_, epoch):
                link.post(Follow(epoch))
                self._begin_heartbeats(link.number)
            case ef.SendWelcome(_, epoch, history):
                link.post(Welcome(epoch, history))
                self._begin_heartbeats(link.number)
                self.links.attach(link.number, lambda: self.updates.lead(link, epoch))
            case ef.TakeUpdates(number, epoch, history):
                self.links.attach(number, lambda: self.updates.follow(link, epoch, history))
                link.session.set()
            case ef.SendReleased(_, epoch, generation):
                link.post(Released(epoch, generation))
            case ef.SendTaken(_, epoch):
                link.post(Taken(epoch))

    def _begin_heartbeats(self, number: int) -> None:
        link = self.links.get(number)
        if link is not None:
            interval_s = self.config.failover.heartbeat_interval_s
            self.links.attach(number, lambda: link.beat(interval_s))

    # Effects that take time.

    async def _start_services(self, epoch: Epoch, via: Via) -> None:
        """R7, R32: after a takeover those that were active before, else those enabled."""
        await self.updates.follower.settle()
        wanted = self.model.durable.active
        names = wanted if via.takeover and wanted is not None else self.services.enabled
        active = await self.services.start(names, epoch)
        await self.post(ev.ServicesStarted(active))

    async def _stop_services(self) -> None:
        await self.services.stop()
        await self.post(ev.ServicesStopped())

    def _final_update(self, number: int) -> None:
        if self.links.get(number) is None:
            self._nursery.start_soon(self.post, ev.FinalUpdateEnded(done=False))
        else:
            self.links.attach(number, self.updates.finish)

    async def _watch_services(self) -> None:
        """R32: an operator's change of the list is sent at once; B32: a crash is an alarm."""
        while True:
            await self.services.wait_changed()
            states = await self.services.states()
            if self.model.state is not State.PRIMARY:
                continue
            self.services.check_running(states)
            active = tuple(name for name, state in states.items() if state.active)
            if active != self.model.durable.active:
                await self.post(ev.ActiveChanged(active))
                self.updates.nudge()

    async def _run_saves(self) -> None:
        async for save in self._saves:
            # A generation that is being journaled counts before a claim that is saved now.
            async with self.updates.follower.journaling:
                stored = Stored(
                    node_id=self._node_id, durable=save.durable, folders=self.updates.learned
                )
            await trio.to_thread.run_sync(self._store.save, stored)
            self.updates.saved(save.durable.history)
            if not self._ended.is_set():
                await self.post(ev.Saved(save.serial))

    def _tell_role(self, told: ef.TellRole) -> None:
        self.role = told.role
        _log.info("role %s, epoch %s: %s", told.role.value, told.epoch, told.reason)
        try:
            self._tell.send_nowait(told)
        except trio.WouldBlock:
            _log.error("transition hooks are %d role changes late; one is left out", MAX_HOOKS)

    async def _run_hooks(self) -> None:
        async for told in self._told:
            environment = {
                "SBS_ROLE": told.role.value,
                "SBS_EPOCH": str(told.epoch.number),
                "SBS_REASON": told.reason,
            }
            for argv in self.config.hooks.transition:
                try:
                    await run_hook(argv, environment)
                except HookError as error:
                    self.alarms.raise_("transition-hook-failed", str(error))

    # Requests of the operator.

    def hello(self) -> Hello:
        """The first message on a connection, as the node stands now."""
        return Hello(
            versions=(1, PROTOCOL_VERSION),
            software=f"sbs {__version__}",
            claim=self.model.claim,
            facts=facts_of(self.config),
            clock_ns=time.time_ns(),
        )

    async def stop(self) -> None:
        """End the node in order (R8); a primary hands its role over first."""
        await self.post(ev.StopAsked())

    async def switchover(self) -> None:
        """Exchange the roles (B6).

        Raises:
            RefusedError: this node cannot hand over now; the text says why.
        """
        ticket = next(self._tickets)
        answered, errors = trio.Event(), list[str]()
        self._answers[ticket] = (answered, errors)
        await self.post(ev.SwitchoverAsked(ticket))
        await answered.wait()
        if errors:
            raise RefusedError(errors[0])

    def _answer(self, ticket: int, error: str) -> None:
        answered, errors = self._answers.pop(ticket)
        if error:
            errors.append(error)
        answered.set()

    async def status(self) -> Status:
        """The node at this moment (B61)."""
        return await status_of(self)
