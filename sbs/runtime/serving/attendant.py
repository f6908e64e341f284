"""Attends to the services of a primary: who must know of a change, and what has to start again.

The list of active services goes to the secondary at once (R32), what does not run is an alarm, and
what ended by itself is started again within limits; where that does not help, the role may go to
the other node (B32).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import attrs
import trio

from sbs.config.services import ServiceSettings
from sbs.core import events as ev
from sbs.core.effects import Via
from sbs.core.epoch import Epoch
from sbs.core.restarts import Handovers, RestartLimits, Restarts
from sbs.core.role import Model, State
from sbs.errors import RefusedError
from sbs.log import ERROR, WARNING, Log
from sbs.runtime.serving.services import Services

LOOK_S: Final = 2.0
"""From one look at the services to the next where nothing changes: a start that failed tells
nobody, and a secondary that may take the role comes when it likes."""

_WHAT_TO_DO: Final = (
    "mend it, then sbs unit start {name}; if the mistake is in the configuration file: restart SBS"
)

_log = Log(__name__)
_AGAIN = _log.event(
    "service-ended",
    WARNING,
    "service {service}: started again in {delay_s:.3g} s",
    "The service ended by itself. Look at its own log; the limits are "
    "`services.restart_limit` and `services.restart_period_s`.",
)
_GIVEN_UP = _log.event(
    "service-given-up",
    ERROR,
    "service {service}: {text}",
    "It ended too often, and is not started again. Mend it, then `sbs unit start`, or restart SBS "
    "if the mistake is in its configuration file; with `services.on_failure` the other node may "
    "take over.",
)
_NOT_STARTED = _log.event(
    "service-not-restarted",
    WARNING,
    "{error}",
    "It ended, and could not be started again; that counts as one more end. The text says why.",
)
_RELIEVED = _log.event(
    "services-handed-over",
    WARNING,
    "{services} cannot run here: handing the role over",
    "The other node runs the services from now on. Mend here what the text names before "
    "you exchange the roles again.",
)


class Exchange(Protocol):
    """Exchanges the roles; see :meth:`sbs.runtime.node.Node.switchover`."""

    async def __call__(self, *, dry_run: bool = False) -> object:
        """Raises ``RefusedError`` where it cannot be done, or has failed."""
        ...


class Attendant:
    """Attends to the services of one node.

    Args:
        services: of the node.
        settings: how often they are started again, and what comes then.
        model: where the role machine stands.
        post: gives it an event.
        exchange: has the other node lead.
    """

    def __init__(
        self,
        services: Services,
        settings: ServiceSettings,
        model: Callable[[], Model],
        post: Callable[[ev.Event], Awaitable[None]],
        exchange: Exchange,
    ) -> None:
        self._services = services
        self._settings = settings
        self._model = model
        self._post = post
        self._exchange = exchange
        self._limits = RestartLimits(
            count=settings.restart_limit,
            period_s=settings.restart_period_s,
            delay_s=settings.restart_delay_s,
        )
        self._records: dict[str, Restarts] = {}
        self._handovers = Handovers(pause_s=settings.handover_pause_s)
        self._primacy: Epoch | None = None
        self._changed = trio.Event()

    async def run_forever(self) -> None:
        """Attend."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._restart_forever)

    async def _watch(self) -> None:
        """R32: an operator's change of the list is sent at once; B32: a crash is an alarm."""
        while True:
            await self._services.wait_changed()
            await self.look()

    async def look(self) -> None:
        """Tell whoever has to know how the services stand now."""
        states = await self._services.settled_states()
        if self._model().state in (State.STARTING, State.PRIMARY):
            self._services.check_running(states)
        active = self._services.active(states)
        if self._model().state is State.PRIMARY and active != self._model().durable.active:
            await self._post(ev.ActiveChanged(active))
        self._changed.set()

    async def _restart_forever(self) -> None:
        while True:
            due = [each.due_at for each in self._records.values() if each.due_at is not None]
            with trio.move_on_at(min([trio.current_time() + LOOK_S, *due])):
                await self._changed.wait()
            self._changed = trio.Event()
            await self._attend()

    async def _attend(self) -> None:
        """Look at what does not run, and do what is due."""
        if not self._leads():
            return
        states = await self._services.settled_states()
        down, active = self._services.missing(states), self._services.active(states)
        self._records = {name: each for name, each in self._records.items() if name in active}
        for name in self._records.keys() - set(down):
            self._records[name] = self._records[name].runs(self._limits)
        for name in down:
            record = self._records.get(name, Restarts())
            if record.given_up and name not in self._services.given_up:
                record = record.runs(self._limits)  # its operator's start has ended already
            if record.due_at is None and not record.given_up:
                record = self._ended(name, record)
            if record.due_at is not None and record.due_at <= trio.current_time():
                record = await self._restart(name, record)
            self._records[name] = record
        self._tell_unstable()
        failed = [name for name in down if self._records[name].given_up]
        text = self._given_up
        if failed and self._settings.on_failure == "handover":
            text += await self._relieve(failed)
        self._services.give_up(
            {name: f"{text}; {_WHAT_TO_DO.format(name=name)}" for name in failed}
        )

    def _tell_unstable(self) -> None:
        """Nobody is mailed of ends that are over within seconds, however many there are."""
        now, limits = trio.current_time(), self._limits
        unstable = [name for name, each in self._records.items() if each.unstable(now, limits)]
        self._services.tell_unstable(
            [
                f"{name}: it ended again within {limits.period_s:g} s, and was started again; look "
                "why: users are cut off each time"
                for name in unstable
            ]
        )

    def _leads(self) -> bool:
        """Whether this node is primary; another primacy begins with nothing remembered."""
        model = self._model()
        if model.state is not State.PRIMARY:
            return False
        if model.primacy != self._primacy:
            self._primacy = model.primacy
            self._records.clear()
            if model.via is Via.RELEASED:
                received_at = trio.current_time()
                self._handovers = attrs.evolve(self._handovers, received_at=received_at)
        return True

    def _ended(self, name: str, record: Restarts) -> Restarts:
        now = trio.current_time()
        record = record.ended(now, self._limits)
        if record.due_at is not None:
            _AGAIN(service=name, delay_s=record.due_at - now)
            return record
        _GIVEN_UP(service=name, text=self._given_up)
        return record

    @property
    def _given_up(self) -> str:
        if not self._limits.count:
            return "it is not restarted: services.restart_limit is 0"
        count, period_s = self._limits.count, self._limits.period_s
        return f"given up after {count} restarts within {period_s:g} s"

    async def _restart(self, name: str, record: Restarts) -> Restarts:
        """Start it again; one that cannot be started has ended once more."""
        error = await self._services.restart(name)
        record = record.started()
        if error:
            _NOT_STARTED(error=error)
            return self._ended(name, record)
        return record

    async def _relieve(self, failed: list[str]) -> str:
        """Have the other node lead, unless the two would pass the role to and fro.

        Returns:
            why it does not, in words that follow others; empty if it does.
        """
        why = "takeovers are paused" if self._model().durable.pause.on else ""
        why = why or self._handovers.hindrance(trio.current_time())
        try:
            if not why:
                await self._exchange(dry_run=True)
                _RELIEVED(services=", ".join(failed))
                given_at = trio.current_time()
                self._handovers = attrs.evolve(self._handovers, given_at=given_at)
                await self._exchange()
                return ""
        except RefusedError as error:
            why = str(error)
        return f"; not handed over: {why}"
