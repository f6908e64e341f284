"""Tells the service manager above SBS how the node is, and that its role loop turns (R31).

This is systemd's protocol of sd_notify(3): datagrams of ``KEY=value`` lines to the socket that the
environment names. Where nobody listens nothing is sent.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import MutableMapping
from typing import Final

import trio

from sbs.core.claim import Role
from sbs.log import WARNING, Log
from sbs.runtime.node import Node

_WATCHDOG_US: Final = re.compile(r"[0-9]{1,20}")
"""Of 64 bits, as systemd writes it."""

_log = Log(__name__)
_NOWHERE = _log.event(
    "supervisor-unknown",
    WARNING,
    "NOTIFY_SOCKET: allowed is a path or @name; nothing is told",
    "Whatever starts SBS has set a variable that makes no sense; SBS runs without telling "
    "it anything. Mend the unit.",
)
_DEAF = _log.event(
    "supervisor-untold",
    WARNING,
    "the supervisor cannot be told {what}: {error}",
    "systemd has not learned that SBS is ready, or lives. If it happens often, systemd "
    "may restart SBS; look at its state.",
)


class Supervisor:
    """What is above this process, if anything.

    Args:
        address: of its socket; one that begins with ``@`` is abstract; empty: nobody listens.
        watchdog_s: how long it waits for a sign of life before it kills; 0: for ever.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def take(cls, environment: MutableMapping[str, str]) -> Supervisor:
        """The one that the environment names; taken out of it, for it is not for our children.

        Args:
            environment: with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, or none.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        is_ours = not pid or pid == str(os.getpid())
        if address and not address.startswith(("/", "@")):
            _NOWHERE()
            address = ""
        watched = is_ours and _WATCHDOG_US.fullmatch(watchdog_us)
        return cls(address, int(watchdog_us) / 1e6 if watched else 0.0)

    async def tell(self, *lines: str) -> None:
        """Send lines in one datagram; a supervisor that does not read loses them, and only those.

        Args:
            lines: such as ``READY=1``, without line ends in them.
        """
        if not self._address:
            return
        with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            try:
                await sock.sendto("\n".join(lines).encode(), self._address)
            except OSError as error:
                _DEAF(what=lines[0], error=error)

    async def attend(self, node: Node) -> None:
        """Tell that the node serves, then its roles, and that it lives, until cancelled.

        Args:
            node: serves its port.
        """
        await self.tell("READY=1", _status(node.role))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_roles, node)
            nursery.start_soon(self._tell_stop, node)
            if self.watchdog_s:
                nursery.start_soon(self._beat, node)

    async def _tell_roles(self, node: Node) -> None:
        role = node.role
        while True:
            role = await node.wait_role_change(role)
            await self.tell(_status(role))

    async def _tell_stop(self, node: Node) -> None:
        await node.stopping.wait()
        await self.tell("STOPPING=1")

    async def _beat(self, node: Node) -> None:
        """A sign of life each time that the role loop has gone round, twice in the watchdog's time.

        A loop that is stuck, or a process that is frozen, sends none.
        """
        while True:
            await node.settle()
            await self.tell("WATCHDOG=1")
            await trio.sleep(self.watchdog_s / 2)


def _status(role: Role) -> str:
    return f"STATUS={role.value}"
