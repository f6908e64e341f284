"""Generations that the follower holds and the node's state does not know yet."""

from __future__ import annotations

import trio

from sbs.core.history import Generation, History


class Unsaved:
    """Whoever waits until the node's state, with a generation in it, is durable.

    Attributes:
        closing: the node ends; nothing more becomes durable.
    """

    def __init__(self) -> None:
        self.closing: bool = False
        self._waiting: list[tuple[Generation, trio.Event]] = []

    def wait_for(self, generation: Generation) -> trio.Event:
        """An event that is set when the state knows the generation, or the node ends."""
        known = trio.Event()
        if self.closing:
            known.set()
        else:
            self._waiting.append((generation, known))
        return known

    def saved(self, history: History) -> None:
        """The node's state with ``history`` is durable."""
        for generation, known in self._waiting:
            if history.contains(generation):
                known.set()
        self._waiting = [entry for entry in self._waiting if not entry[1].is_set()]

    def give_up(self) -> None:
        """The node ends: nothing more becomes durable, and nobody shall wait for it."""
        self.closing = True
        for _, known in self._waiting:
            known.set()
