"""Asks the service of both nodes all the time: who answers, since when, until when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import attrs
import trio

LOOPBACK: Final = "127.0.0.1"

POLL_S: Final = 0.002
"""Pause between two questions to one port: what the measured times are exact to."""

ASK_BOUND_S: Final = 1.0
"""A service that accepts and says nothing for so long has not answered."""

MAX_ANSWER_BYTES: Final = 4096
"""Longest answer read: the service's own is a tenth of it."""


@attrs.frozen(kw_only=True)
class Answer:
    """The service answered.

    Args:
        node: name of the node it runs on.
        epoch: ``SBS_EPOCH``, the fencing number it was started with.
        asked_at: when the question was sent, of trio's clock.
        answered_at: when the answer was here.
    """

    node: str
    epoch: int
    asked_at: float
    answered_at: float


async def ask(port: int) -> Answer | None:
    """Ask the service on ``port``; ``None`` if there is no answer."""
    asked_at = trio.current_time()
    data = bytearray()
    try:
        with trio.fail_after(ASK_BOUND_S), trio.socket.socket() as sock:
            await sock.connect((LOOPBACK, port))
            await sock.send(b"GET / HTTP/1.0\r\n\r\n")
            while len(data) < MAX_ANSWER_BYTES:
                more = await sock.recv(MAX_ANSWER_BYTES)
                if not more:
                    break
                data += more
    except (OSError, trio.TooSlowError):  # refused, or the service was killed meanwhile
        return None
    body = bytes(data).partition(b"\r\n\r\n")[2]
    if not body:
        return None
    fields = json.loads(body)
    return Answer(
        node=fields["node"],
        epoch=fields["epoch"],
        asked_at=asked_at,
        answered_at=trio.current_time(),
    )


class Observer:
    """The answers of a pair's service, by epoch.

    Args:
        ports: of the service, by the name of the node.
    """

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self.firsts: dict[int, Answer] = {}
        self.lasts: dict[int, Answer] = {}
        self.violation: str = ""
        """Two services at a time, if that was ever seen: what proves it."""
        self._changed = trio.Event()

    async def run(self) -> None:
        """Ask for ever."""
        async with trio.open_nursery() as nursery:
            for name, port in self._ports.items():
                nursery.start_soon(self._watch, name, port)

    async def _watch(self, name: str, port: int) -> None:
        while True:
            answer = await ask(port)
            if answer is not None:
                self._note(name, answer)
            await trio.sleep(POLL_S)

    def _note(self, name: str, answer: Answer) -> None:
        for epoch, first in self.firsts.items():
            # Asked after a newer primacy had answered: the old service was still alive.
            if epoch > answer.epoch and first.answered_at < answer.asked_at:
                self.violation = f"{answer.node} answered in {answer.epoch} after {first}"
        if answer.node != name:
            self.violation = f"the service of {name} says it is {answer.node}'s"
        first = self.firsts.setdefault(answer.epoch, answer)
        if first.node != answer.node:
            self.violation = f"{first.node} and {answer.node} answered in {answer.epoch} both"
        self.lasts[answer.epoch] = answer
        self._changed.set()
        self._changed = trio.Event()

    async def next_after(self, epoch: int) -> Answer:
        """The first answer of a primacy after ``epoch``."""
        while True:
            newer = [number for number in self.firsts if number > epoch]
            if newer:
                return self.firsts[min(newer)]
            await self._changed.wait()

    async def fresh(self) -> Answer:
        """An answer to a question asked from now on."""
        now = trio.current_time()
        while True:
            for answer in self.lasts.values():
                if answer.asked_at >= now:
                    return answer
            await self._changed.wait()
