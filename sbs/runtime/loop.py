"""The one loop of a node: take an event, let the role machine decide, perform, re-arm.

The inbox is bounded and the loop never waits for anything else, so events are handled in the order
in which they happened, and a deadline is at most one event late.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from sbs.core import events as ev
from sbs.core.effects import Effect
from sbs.core.role import Model, deadline, transition
from sbs.log import WARNING, Log
from sbs.runtime import clock

MAX_INBOX: Final = 256
"""Events not yet handled: each connection has a few under way, and there are few connections."""

STALL_SHARE: Final = 0.25
"""Of a down interval: a node that did not run for longer has not listened, and starts anew."""

_log = Log(__name__)
_STALLED = _log.event(
    "node-stalled",
    WARNING,
    "this node did not run for {stalled_s:.2f} s",
    "The machine was suspended, frozen, or far too busy. If it happens in normal work the "
    "other node may take over for no reason: find out what takes the processor, the "
    "memory or the disk.",
)


class RoleLoop:
    """Runs the role machine of one node.

    Args:
        model: to begin with.
        perform: begins an effect; never waits.
        heard_at: when a connection, by its number, last received anything; ``None`` if it is gone.
    """

    def __init__(
        self,
        model: Model,
        perform: Callable[[Effect], None],
        heard_at: Callable[[int], float | None],
    ) -> None:
        self.model: Model = model
        self._perform = perform
        self._heard_at = heard_at
        self._send, self._inbox = trio.open_memory_channel[ev.Event | trio.Event](MAX_INBOX)
        self._ended = False

    async def post(self, event: ev.Event) -> None:
        """Give the role machine an event; waits while the inbox is full.

        After the loop has ended events mean nothing any more, and are dropped.
        """
        try:
            await self._send.send(event)
        except trio.BrokenResourceError:
            _log.debug("after the end: %s", event)

    async def settle(self) -> None:
        """Return when every event that was posted before has been handled, or none is any more."""
        handled = trio.Event()
        try:
            await self._send.send(handled)
        except trio.BrokenResourceError:
            return
        await handled.wait()

    @property
    def ended(self) -> bool:
        """Whether events mean nothing any more."""
        return self._ended

    def end(self) -> None:
        """Leave the loop after the present step."""
        self._ended = True

    async def run(self) -> None:
        """Start the machine and handle events until :meth:`end`."""
        settings = self.model.settings
        stall_s = settings.heartbeat_interval_s + STALL_SHARE * settings.down_interval_s
        with self._inbox:
            awake_at = clock.now()
            self._step(ev.Started(), awake_at)
            while not self._ended:
                event = await self._next_event(awake_at + settings.heartbeat_interval_s)
                now = clock.now()
                if now - awake_at > stall_s:
                    # Time in which this node did not run is no silence of the other.
                    _STALLED(stalled_s=now - awake_at)
                    self._step(ev.Heard(), now)
                awake_at = now
                self._look_at_the_time(now)
                match event:
                    case None:
                        pass
                    case trio.Event():
                        event.set()
                    case _:
                        self._step(event, now)
            self._let_go()

    def _let_go(self) -> None:
        """Nobody waits for events any more that are not handled."""
        with suppress(trio.WouldBlock):
            while True:
                left = self._inbox.receive_nowait()
                if isinstance(left, trio.Event):
                    left.set()

    async def _next_event(self, beat_at: float) -> ev.Event | trio.Event | None:
        """The next event, or nothing: then it is time to look around."""
        due = deadline(self.model)
        until = beat_at if due is None else min(beat_at, due)
        with trio.move_on_at(clock.trio_deadline(until)):
            return await self._inbox.receive()
        return None

    def _look_at_the_time(self, now: float) -> None:
        """Whatever is due comes before what has just happened: nobody acts on an old vote."""
        self._listen()
        due = deadline(self.model)
        if due is not None and now >= due:
            self._step(ev.TimePassed(), now)

    def _listen(self) -> None:
        """Count what the session's connection has received as signs of life."""
        if self.model.session is not None:
            heard_at = self._heard_at(self.model.session)
            if heard_at is not None and heard_at > self.model.heard_at:
                self._step(ev.Heard(), heard_at)

    def _step(self, event: ev.Event, now: float) -> None:
        before = self.model.state
        self.model, effects = transition(self.model, event, now)
        _log.debug("%s + %s -> %s", before.name, event, self.model.state.name)
        for effect in effects:
            self._perform(effect)
