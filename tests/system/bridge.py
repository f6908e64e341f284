"""A bad cable: carries frames between two TAP devices, late, out of order, and not all of them.

Linux does this with ``tc netem`` where the kernel has it; this works everywhere. Run as a script
with the names of two devices, which it makes; they may be moved to other namespaces while it runs.
Each line on standard input is JSON: ``[from, {"delay_s": ..., "jitter_s": ..., "loss": ...}]`` sets
what happens to frames from the first device (0) or the second (1), and is answered by a line. The
end of the input ends it.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import json
import os
import random
import select
import struct
import sys
import time
from typing import Final

TUNSETIFF: Final = 0x400454CA
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
"""Frames alone, without a header of the driver's."""

MAX_FRAME_BYTES: Final = 65_536

MAX_UNDER_WAY: Final = 10_000
"""Frames: more than TCP keeps unacknowledged at any delay tested; what is too many is lost."""


class Direction:
    """Frames from one device on their way to the other.

    Args:
        source: descriptor they are read from.
        target: descriptor they are written to.
    """

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self._target = target
        self._under_way: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.loss = 0.0

    def change(self, *, delay_s: float = 0.0, jitter_s: float = 0.0, loss: float = 0.0) -> None:
        """What happens to frames from now on: each is lost with the probability ``loss``, or
        delayed by ``delay_s``, give or take up to ``jitter_s``."""
        self.delay_s, self.jitter_s, self.loss = delay_s, jitter_s, loss

    @property
    def due_at(self) -> float | None:
        """When the next frame arrives."""
        return self._under_way[0][0] if self._under_way else None

    def take(self) -> None:
        """Read every frame that is there."""
        while True:
            try:
                frame = os.read(self.source, MAX_FRAME_BYTES)
            except BlockingIOError:
                return
            if random.random() < self.loss or len(self._under_way) >= MAX_UNDER_WAY:
                continue
            late_s = self.delay_s + random.uniform(-self.jitter_s, self.jitter_s)
            at = time.monotonic() + max(0.0, late_s)
            heapq.heappush(self._under_way, (at, next(self._numbers), frame))

    def give(self) -> None:
        """Write every frame that has arrived."""
        while self._under_way and self._under_way[0][0] <= time.monotonic():
            frame = heapq.heappop(self._under_way)[2]
            try:
                os.write(self._target, frame)
            except OSError:  # full, or down: a real cable would lose it, too
                continue


def open_tap(name: str) -> int:
    """Make a TAP device.

    Returns:
        its descriptor, which does not block.
    """
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def main() -> None:
    """Carry frames until standard input ends."""
    first, second = (open_tap(name) for name in sys.argv[1:3])
    directions = [Direction(first, second), Direction(second, first)]
    by_source = {direction.source: direction for direction in directions}
    orders = sys.stdin.fileno()
    poll = select.poll()
    for descriptor in (*by_source, orders):
        poll.register(descriptor, select.POLLIN)
    _say("ready")
    while True:
        due = [direction.due_at for direction in directions if direction.due_at is not None]
        wait_ms = max(0.0, min(due) - time.monotonic()) * 1000 if due else None
        for descriptor, _ in poll.poll(wait_ms):
            if descriptor in by_source:
                by_source[descriptor].take()
                continue
            line = sys.stdin.readline()
            if not line:
                return
            number, change = json.loads(line)
            directions[number].change(**change)
            _say("done")
        for direction in directions:
            direction.give()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
