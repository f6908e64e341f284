"""A pair of nodes in one program: real state and folders, a network and services in memory.

Integrators try their service adapter with it, and what their application does when roles change::

    async with memory_pair(tmp_path, services=open_my_controller) as pair:
        await pair.start()
        await pair.alpha.kill()
        await pair.beta.wait_role(Role.PRIMARY)
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from sbs.config import (
    Config,
    FailoverSettings,
    FolderSettings,
    NodeSettings,
    ServiceSettings,
    SyncSettings,
)
from sbs.core.address import DEFAULT_PORT, Address
from sbs.core.claim import Role
from sbs.ports import (
    LicenceFactory,
    NotifierFactory,
    ServiceController,
    ServiceFactory,
    Transport,
    Unit,
    WitnessFactory,
)
from sbs.runtime.node import Node
from sbs.testing.memory import MemoryNetwork
from sbs.testing.services import open_fake_controller

WAIT_S: Final = 20.0
"""How long a pair may take for anything, on a busy machine: far more than it needs."""

POLL_S: Final = 0.005

FAILOVER: Final = FailoverSettings(
    heartbeat_interval_s=0.05, down_interval_s=0.3, probe_timeout_s=0.5, failback_delay_s=0.1
)
"""Intervals for tests: short, and yet longer than a busy machine is deaf."""

UNITS: Final = (Unit(name="printer-1"), Unit(name="printer-2"))


async def wait_until(condition: Callable[[], object], what: str) -> None:
    """Return when ``condition`` holds.

    Raises:
        AssertionError: it does not within :data:`WAIT_S`.
    """
    with trio.move_on_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - a condition may be of files, which tell nobody
            await trio.sleep(POLL_S)
        return
    raise AssertionError(f"not within {WAIT_S:g} s: {what}")


class MemoryNode:
    """One node of a :class:`MemoryPair`; it may be started again after its end.

    Attributes:
        config: used by the next start; replace it with :func:`attrs.evolve`.
        transport: of the next start; the network's if it is not replaced.
        licence: makes the licence policy of the next start; the configured one if ``None``.
        folder: the directory it replicates.
        node: of the last start.
        controller: of the last start.
    """

    def __init__(
        self,
        directory: str,
        config: Config,
        network: MemoryNetwork,
        services: ServiceFactory,
        witness: WitnessFactory | None,
        notifier: NotifierFactory | None,
        nursery: trio.Nursery,
    ) -> None:
        self.directory = directory
        self.config = config
        self.licence: LicenceFactory | None = None
        self.folder: str = config.folders[0].path
        self.node: Node
        self.controller: ServiceController
        self.running: bool = False
        self._services = services
        self._witness = witness
        self._notifier = notifier
        self.transport: Transport = network.transport(config.node.listen.host)
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self._gone = trio.Event()

    @property
    def name(self) -> str:
        """As configured; the network knows the node's host by it, too."""
        return self.config.node.name

    @property
    def role(self) -> Role:
        """Its role; ``STOPPED`` while it does not run."""
        return self.node.role if self.running else Role.STOPPED

    @property
    def alarms(self) -> dict[str, str]:
        """Texts of the standing alarms, by code."""
        return {alarm.code: alarm.text for alarm in self.node.alarms.standing}

    async def start(self) -> None:
        """Start the node; return when it serves its port.

        Raises:
            SbsError: as :meth:`sbs.runtime.node.Node.run`.
        """
        self._scope, self._gone = trio.CancelScope(), trio.Event()
        self.node = Node(
            self.config,
            transport=self.transport,
            services=self._open,
            witness=self._witness,
            licence=self.licence,
            notifier=self._notifier,
        )
        await self._nursery.start(self._run, self.node, self._scope, self._gone)

    async def _run(
        self,
        node: Node,
        scope: trio.CancelScope,
        gone: trio.Event,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.running = True
        try:
            with scope:
                await node.run(task_status)
        finally:
            self.running = False
            gone.set()

    @asynccontextmanager
    async def _open(
        self, units: Sequence[Unit], held_fds: Sequence[int]
    ) -> AsyncGenerator[ServiceController, None]:
        async with self._services(units, held_fds) as self.controller:
            yield self.controller

    async def stop(self) -> None:
        """End the node in order (R8); return when it has ended."""
        await self.node.stop()
        await self.wait_end()

    async def kill(self) -> None:
        """End the node in the middle of whatever it does; return when nothing of it is left."""
        self._scope.cancel()
        await self._gone.wait()

    async def wait_end(self) -> None:
        """Wait until the node has ended by itself."""
        await wait_until(self._gone.is_set, f"{self.name} ends")

    async def wait_role(self, *roles: Role) -> None:
        """Wait until the node has one of these roles."""
        names = " or ".join(role.value for role in roles)
        await wait_until(lambda: self.role in roles, f"{self.name} is {names}")

    async def wait_alarm(self, code: str) -> str:
        """Wait until an alarm stands; return its text."""
        await wait_until(lambda: code in self.alarms, f"alarm {code} on {self.name}")
        return self.alarms[code]

    async def wait_no_alarm(self, code: str) -> None:
        """Wait until an alarm is over."""
        await wait_until(lambda: code not in self.alarms, f"no alarm {code} on {self.name}")

    def write(self, name: str, content: str) -> None:
        """Write a file into the replicated folder, as an application does: beside, then rename."""
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        beside = f"{self.directory}/{os.path.basename(name)}.new"
        with open(beside, "w", encoding="utf-8") as file:
            file.write(content)
        os.rename(beside, path)

    def read(self, name: str) -> str | None:
        """A file of the replicated folder; ``None`` if it is not there."""
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return None

    async def wait_file(self, name: str, content: str) -> None:
        """Wait until the folder has this file with this content."""
        await wait_until(lambda: self.read(name) == content, f"{name} is on {self.name}")


@attrs.frozen
class MemoryPair:
    """Two nodes that know each other, ``alpha`` with the greater priority."""

    network: MemoryNetwork
    alpha: MemoryNode
    beta: MemoryNode

    async def start(self) -> None:
        """Start both; return when alpha is primary and beta in step with it."""
        await self.alpha.start()
        await self.alpha.wait_role(Role.PRIMARY)
        await self.beta.start()
        await self.wait_in_step(self.alpha)

    async def wait_in_step(self, primary: MemoryNode) -> None:
        """Wait until ``primary`` serves, and the other node holds all its data."""
        other = self.beta if primary is self.alpha else self.alpha

        def settled() -> bool:
            roles = (primary.role, other.role) == (Role.PRIMARY, Role.SECONDARY)
            return roles and primary.node.model.in_step and other.node.model.in_step

        await wait_until(settled, f"{primary.name} leads and {other.name} is in step")

    def cut(self) -> None:
        """Part the nodes."""
        self.network.cut(self.alpha.name, self.beta.name)

    def heal(self) -> None:
        """Undo :meth:`cut`."""
        self.network.heal(self.alpha.name, self.beta.name)


@asynccontextmanager
async def memory_pair(
    directory: str | os.PathLike[str],
    *,
    services: ServiceFactory = open_fake_controller,
    witness: WitnessFactory | None = None,
    notifier: NotifierFactory | None = None,
) -> AsyncGenerator[MemoryPair, None]:
    """Two nodes with one folder and two services, not started; they end with the context.

    Args:
        directory: an existing one; everything is kept below it.
        services: the adapter of both nodes.
        witness: of both, such as :meth:`sbs.testing.witnesses.MemoryWitness.open`, where their
            configuration names one.
        notifier: of both, such as :meth:`sbs.testing.notifiers.MemoryNotifier.open`, where their
            configuration has mail enabled.
    """
    network = MemoryNetwork()
    async with trio.open_nursery() as nursery:
        nodes = [
            MemoryNode(
                os.path.join(directory, name),
                _config(os.path.join(directory, name), name, peer, priority),
                network,
                services,
                witness,
                notifier,
                nursery,
            )
            for name, peer, priority in (("alpha", "beta", 200), ("beta", "alpha", 100))
        ]
        try:
            yield MemoryPair(network, *nodes)
        finally:
            nursery.cancel_scope.cancel()


def _config(directory: str, name: str, peer: str, priority: int) -> Config:
    folder = os.path.join(directory, "settings")
    os.makedirs(folder)
    return Config(
        node=NodeSettings(
            name=name,
            listen=Address(name, DEFAULT_PORT),
            peer=Address(peer, DEFAULT_PORT),
            state_dir=os.path.join(directory, "state"),
            priority=priority,
        ),
        sync=SyncSettings(period_s=0.2),
        folders=(FolderSettings(name="settings", path=folder),),
        services=ServiceSettings(unit=UNITS),
        failover=FAILOVER,
    )
