"""A node as a process: it runs until a signal or a command ends it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import trio

from sbs.config import Config
from sbs.log import INFO, WARNING, Log
from sbs.runtime.groups import plain
from sbs.runtime.mailing.password import take_password
from sbs.runtime.node import Node
from sbs.runtime.supervisor import Supervisor

_log = Log(__name__)
_STOPPING = _log.event(
    "signal-stops",
    INFO,
    "{signal}: stopping in order; a second signal ends at once",
    "Somebody, or the system, stops this node; a primary hands its role over. Nothing to do.",
)
_ENDING = _log.event(
    "signal-ends",
    WARNING,
    "{signal}: ending at once",
    "This node ends without a handover; the other one takes over as after a crash.",
)


async def run_node(config: Config) -> None:
    """Run a node until it ends; must be called in the main thread, for it takes signals.

    The first SIGTERM or SIGINT ends it in order: a primary hands its role over (R8). A second
    one, or one that comes before the node serves, ends it at once; its services are stopped and
    its control socket is removed then, too, and the peer takes over as after a crash.

    The password in ``SBS_MAIL_PASSWORD``, if there is one, is taken out of the environment.

    Where systemd started it as ``Type=notify`` it says when the node serves, and its role, and that
    its role loop turns (:mod:`sbs.runtime.supervisor`).

    Args:
        config: as :func:`sbs.config.load` makes it.

    Raises:
        SbsError: as :meth:`sbs.runtime.node.Node.run`, never in an exception group.
    """
    supervisor = Supervisor.take(os.environ)
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await _run(Node(config, mail_password=take_password()), signals, supervisor)
    except BaseExceptionGroup as group:
        raise plain(group) from group


async def _run(node: Node, signals: AsyncIterator[int], supervisor: Supervisor) -> None:
    serving = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey, signals, node, serving, nursery.cancel_scope)
        async with trio.open_nursery() as life:
            await life.start(node.run)
            serving.set()
            nursery.start_soon(supervisor.attend, node)
        nursery.cancel_scope.cancel()


async def _obey(
    signals: AsyncIterator[int], node: Node, serving: trio.Event, scope: trio.CancelScope
) -> None:
    name = signal.Signals(await anext(signals)).name
    if serving.is_set():
        _STOPPING(signal=name)
        await node.stop()
        name = signal.Signals(await anext(signals)).name
    _ENDING(signal=name)
    scope.cancel()
