"""The first message of a node on a connection: who it is, and what ``sbs probe`` compares."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import trio

from sbs.config import Config
from sbs.core.messages import PROTOCOL_VERSION, Fact, Hello
from sbs.core.role import Model
from sbs.runtime.probing.facts import facts_of
from sbs.runtime.probing.premises import findings
from sbs.version import __version__

LOOK_PERIOD_S: Final = 300.0
"""From one look at this machine to the next: an address is assigned for longer."""


class Greeting:
    """Makes the hellos of one node.

    Args:
        config: of the node.
        model: where its role machine stands.
    """

    def __init__(self, config: Config, model: Callable[[], Model]) -> None:
        self._config = config
        self._model = model
        self._findings: tuple[Fact, ...] = ()

    def hello(self) -> Hello:
        """As the node stands now."""
        return Hello(
            versions=(1, PROTOCOL_VERSION),
            software=f"sbs {__version__}",
            claim=self._model().claim,
            facts=facts_of(self._config) + self._findings,
            clock_ns=time.time_ns(),
        )

    async def run_forever(self) -> None:
        """Look at this machine again and again; a name service that hangs holds nothing up."""
        while True:
            self._findings = await trio.to_thread.run_sync(
                findings, self._config, abandon_on_cancel=True
            )
            await trio.sleep(LOOK_PERIOD_S)
