"""A node: performs what the role machine wants, and answers its operator.

Effects that take time run beside the loop and come back as events, so the loop never waits for a
disk, a service or the peer.
"""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import attrs
import trio

from sbs.config import Config
from sbs.core import events as ev
from sbs.core.claim import Role
from sbs.core.role import Model, State
from sbs.errors import ConfigError, RefusedError
from sbs.ports import LicenceFactory, NotifierFactory, ServiceFactory, Transport, WitnessFactory
from sbs.replication.leading.preview import Preview
from sbs.runtime import clock, opening
from sbs.runtime.alarms import Alarms
from sbs.runtime.announcer import Announcer
from sbs.runtime.groups import plain
from sbs.runtime.lasting.role_history import RoleHistory
from sbs.runtime.lasting.state import StateStore
from sbs.runtime.linking.ballots import Ballots
from sbs.runtime.linking.identity_watch import IdentityWatch
from sbs.runtime.linking.links import Links
from sbs.runtime.linking.lookout import Lookout
from sbs.runtime.loop import RoleLoop
from sbs.runtime.mailing.herald import make_herald
from sbs.runtime.operating.farewell import Farewell
from sbs.runtime.operating.rehearsal import check_stop, hindrance, rehearse
from sbs.runtime.operating.requests import Requests
from sbs.runtime.operating.security import security_of
from sbs.runtime.operating.status import Status, Switchover, make_status
from sbs.runtime.operating.tickets import Tickets
from sbs.runtime.performer import Parts, Performer
from sbs.runtime.probing.greeting import Greeting
from sbs.runtime.recovery import recall, recover
from sbs.runtime.role_settings import role_settings
from sbs.runtime.saves import Saves
from sbs.runtime.serving.attendant import Attendant
from sbs.runtime.serving.licensing import Licensing, admit
from sbs.runtime.serving.services import Services
from sbs.runtime.serving.succession import Succession
from sbs.runtime.updating.last_update import LastUpdate
from sbs.runtime.updating.updates import Updates
from sbs.runtime.updating.verifier import Verification

HOOK_END_S: Final = 10.0
"""How long the hooks of the last role change may take when the node ends."""


class Node:
    """One node of a pair; ``await node.run()`` is its life.

    Args:
        config: as :func:`sbs.config.load` makes it.
        transport: carries bytes between the nodes; TLS or TCP, as configured, if left out.
        services: makes the service controller; the configured adapter if left out.
        witness: makes the witness, if one is configured; the configured adapter if left out.
        licence: makes the licence policy; the configured adapter if left out (B40).
        notifier: sends mail, if that is on; the configured adapter if left out.
        mail_password: of the mail account, where no file holds it.

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
        witness: WitnessFactory | None = None,
        licence: LicenceFactory | None = None,
        notifier: NotifierFactory | None = None,
        mail_password: str = "",
    ) -> None:
        self.config = config
        self.alarms: Alarms = Alarms()
        self.announcer: Announcer = Announcer(config.hooks, config.node.name, self.alarms)
        self.listen: str = str(config.node.listen)
        self._carrier = transport
        self._factory, self._witness, self._licence = services, witness, licence
        self._make_herald = partial(
            make_herald, config, self.alarms, notifier=notifier, password=mail_password
        )
        self.stopping: trio.Event = trio.Event()
        """Somebody has asked for the end of the node."""
        self._refusal = ""
        self._farewell = Farewell()
        self._tickets = Tickets(config.node.name, self.post)

    # Life.

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the node until it is stopped; ``started()`` is called when it serves its port.

        Raises:
            ConfigError: others could change the configuration file, or an extra is missing.
            RefusedError: a rule (R6), or the licence, forbids this node to run; the text says why.
            StateError: the state directory is in use, damaged, or cannot be written.
            ConfigError: the identity, or what is pinned of the peer, cannot be used.
            TransportError: the address cannot be served.
            ServiceError: the service adapter refuses the configured units.
        """
        if self.config.refusal:
            raise ConfigError(self.config.refusal)
        self.announcer.warn(self.config.warnings)
        async with AsyncExitStack() as stack:
            await self._open(stack)
            try:
                async with trio.open_nursery() as nursery:
                    self._nursery = self._performer.nursery = nursery
                    await nursery.start(self._run_parts)
                    task_status.started()
            except BaseExceptionGroup as group:
                raise plain(group) from group
        if self._refusal:
            raise RefusedError(self._refusal)

    async def _open(self, stack: AsyncExitStack) -> None:
        """Get hold of everything, in order: identity, state, licence, folders, port, services."""
        node = self.config.node
        self._door = opening.make_door(self.config, self, self.alarms)
        self._transport: Transport = self._carrier or opening.make_transport(self.config)
        self._store = StateStore(node.state_dir)
        stack.callback(self._store.close)
        stored = await recall(self._store, node)
        self.role_history: RoleHistory = RoleHistory(node.state_dir)
        self._node_id = stored.node_id
        policy = await stack.enter_async_context(opening.make_policy(self.config, self._licence))
        standing = await admit(policy, granted=stored.durable.held and stored.durable.granted)
        self.updates: Updates = Updates(self.config, self.alarms, lambda: self.model, self.post)
        stack.callback(self.updates.close)
        stored = await recover(self._store, stored, self.updates)
        self.updates.layout.learned = stored.folders
        self._saves = Saves(self._store, stored, self.updates, self.post, self.alarms)
        self._listener = await self._transport.listen(str(node.listen))
        stack.push_async_callback(self._listener.aclose)
        self.listen = self._listener.address
        controller = await stack.enter_async_context(
            opening.make_controller(self.config, self._factory, self._listener.held_fds)
        )
        self.services: Services = await Services.of(self.config, controller, self.alarms)
        self._greeting = Greeting(self.config, lambda: self.model)
        self.links: Links = Links(
            self._transport,
            str(node.peer),
            self._greeting.hello,
            self.post,
            self.updates,
            self.alarms,
        )
        succession = Succession(lambda: self.model, self.switchover, self.links)
        self.licensing: Licensing = Licensing(
            policy, standing, self.services, self.alarms, lambda: self.model, succession
        )
        self._attendant = Attendant(
            self.services, self.config.services, lambda: self.model, self.post, self.switchover
        )
        witness = await stack.enter_async_context(opening.make_witness(self.config, self._witness))
        life = secrets.token_hex(4)
        self.ballots: Ballots = Ballots(witness, f"{self._node_id}.{life}", self.post)
        self._herald = self._make_herald(self._node_id, lambda: self.updates.last_update)
        settings = role_settings(self.config, self._node_id, self.services)
        model = Model(settings=settings, durable=stored.durable, data_from=stored.data_from)
        self._performer = Performer(self._parts(), lambda: self.model, self.post, self._finish)
        self._loop = RoleLoop(model, self._performer.perform, self.links.heard_at)

    def _parts(self) -> Parts:
        return Parts(
            config=self.config,
            alarms=self.alarms,
            announcer=self.announcer,
            ballots=self.ballots,
            herald=self._herald,
            licensing=self.licensing,
            links=self.links,
            lookout=Lookout.of(self.config, self._transport),
            role_history=self.role_history,
            saves=self._saves,
            services=self.services,
            tickets=self._tickets,
            updates=self.updates,
        )

    def _finish(self, refusal: str, kept: str) -> None:
        self._refusal, self._farewell.kept = refusal, kept
        self._loop.end()

    async def _run_parts(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with trio.open_nursery() as background:
            keeping, state_dir = self.updates.keeping, self.config.node.state_dir
            async with Requests(self, state_dir, keeping, self._farewell) as requests:
                background.start_soon(self.links.accept_forever, self._listener)
                background.start_soon(requests.serve_forever)
                background.start_soon(self._attendant.run_forever)
                background.start_soon(self._greeting.run_forever)
                if self._carrier is None:  # else whoever brought it knows how it is protected
                    background.start_soon(IdentityWatch(self.config, self.alarms).run_forever)
                background.start_soon(self.licensing.run_forever)
                background.start_soon(self.services.guardian.run_forever)
                background.start_soon(self.updates.run_forever)
                if self._door is not None:
                    background.start_soon(self._door.run_forever)
                records = (self._saves, self.announcer, self.ballots, self.role_history)
                last = (*records, self._herald, self._farewell)
                async with trio.open_nursery() as finishing:
                    for part in last:
                        finishing.start_soon(part.run)
                    task_status.started()
                    self.announcer.serves(self.listen)
                    try:
                        await self._loop.run()
                    finally:
                        self._loop.end()
                        self._tickets.end()
                        self.updates.unsaved.give_up()
                        for part in last:
                            part.end()
                        finishing.cancel_scope.deadline = trio.current_time() + HOOK_END_S
            background.cancel_scope.cancel()
        self._nursery.cancel_scope.cancel()

    @property
    def role(self) -> Role:
        """The role as last told to the outside."""
        return self.announcer.role

    async def wait_role_change(self, role: Role) -> Role:
        """Wait until the role is another than ``role``.

        Args:
            role: as last seen; changes that came and went meanwhile are not told.

        Returns:
            the role now.
        """
        return await self.announcer.wait_change(role)

    @property
    def model(self) -> Model:
        """Where the role machine stands."""
        return self._loop.model

    async def post(self, event: ev.Event) -> None:
        """Give the role machine an event; waits while the inbox is full."""
        await self._loop.post(event)

    # Requests of the operator.

    async def stop(self, *, force: bool = True) -> None:
        """End the node in order (R8); a primary hands its role over first.

        Raises:
            RefusedError: it is known that it could not, and this is not to be done by ``force``.
        """
        if not force:
            check_stop(self.model, hindrance(self.updates, self.alarms))
        self.stopping.set()
        await self.post(ev.StopAsked())

    async def settle(self) -> None:
        """Return when the role loop has gone round: every event from before was handled."""
        await self._loop.settle()

    async def switchover(self, *, dry_run: bool = False) -> Switchover:
        """Exchange the roles (B6).

        Args:
            dry_run: only look whether it could be done.

        Returns:
            what was found, and how long no service ran.

        Raises:
            RefusedError: this node cannot hand over now; the text says why.
        """
        found = rehearse(self.model, hindrance(self.updates, self.alarms))
        if dry_run:
            return found
        await self._tickets.ask(ev.SwitchoverAsked)
        began_at = self._performer.stopping_at
        gap_s = None if began_at is None else clock.now() - began_at
        self.announcer.exchanged(gap_s or 0.0)
        return attrs.evolve(found, gap_s=gap_s)

    async def takeover(self, *, force: bool) -> None:
        """Become primary on an operator's word (B3).

        Args:
            force: whatever is not known about the other node.

        Raises:
            RefusedError: it leads already, follows a primary, or is not forced.
        """
        await self._tickets.ask(lambda ticket: ev.TakeoverAsked(ticket, force))

    async def pause(self) -> None:
        """Suspend automatic takeovers on both nodes, until :meth:`resume` (B6)."""
        await self._tickets.ask(lambda ticket: ev.PauseAsked(ticket, on=True))
        await self._saves.settle()

    async def resume(self) -> None:
        """Allow automatic takeovers again (B6)."""
        await self._tickets.ask(lambda ticket: ev.PauseAsked(ticket, on=False))
        await self._saves.settle()

    async def sync(self, *, accepted: str = "", quick: bool = False) -> LastUpdate | None:
        """Run one update now, and return the last one that changed anything.

        Args:
            accepted: id of the held update that is sent all the same (B22).
            quick: look only where the watcher has seen something; else everywhere (B23).

        Raises:
            RefusedError: this node is not the primary, or the guard holds the update.
            ReplicationError: the update failed.
        """
        self._require_primary()
        return await self.updates.sync(accepted, quick=quick)

    async def diff(self) -> Preview:
        """What an update would send now (B26).

        Raises:
            RefusedError: this node is not the primary, or has no secondary.
            ReplicationError: a folder cannot be read.
        """
        self._require_primary()
        return await self.updates.preview()

    async def verify(self, bytes_s: float = 0.0) -> Verification:
        """Compare all contents on both nodes; see ``Updates.verify`` (B26).

        Raises:
            RefusedError: this node is not the primary, or has no secondary.
            ReplicationError: the connection was lost, or what differed could not be sent.
        """
        self._require_primary()
        return await self.updates.verify(bytes_s)

    async def start_unit(self, name: str, *, again: bool = False) -> None:
        """Start one service, as its operator; ``again``: stop it before, if it runs (R32).

        Raises:
            RefusedError: this node is not the primary, or the licence does not allow it.
            ServiceError: it is unknown or cannot be started.
        """
        self._require_primary()
        await self.licensing.start_one(name, again=again)

    async def stop_unit(self, name: str) -> str:
        """Stop one service, as its operator: durably, a takeover will not start it (R32).

        Returns:
            why the licence would not let it start again here (R43); empty if it would.

        Raises:
            RefusedError: this node is not the primary.
            ServiceError: it is unknown or cannot be stopped.
        """
        self._require_primary()
        await self.services.stop_one(name)
        await self._attendant.look()
        await self._loop.settle()
        await self._saves.settle()
        return self.licensing.hindrance

    def _require_primary(self) -> None:
        if self.model.state is not State.PRIMARY:
            text = f"{self.config.node.name} is {self.role.value}; run this on the primary"
            raise RefusedError(text)

    async def status(self) -> Status:
        """The node at this moment (B61)."""
        states = await self.services.states()
        return make_status(
            self.model,
            role=self.role,
            changes=self.role_history.changes,
            peer_address=str(self.config.node.peer),
            listen=self.listen,
            security=security_of(self._transport),
            states=states,
            down=self.services.missing(states),
            restarts=self.services.restarts,
            licence=self.licensing.status,
            alarms=self.alarms.standing,
            updates=self.updates,
        )
