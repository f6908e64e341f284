"""Whether a batch of content is compressed before it is sent, decided from measured speeds.

A body of ``n`` bytes that becomes ``n * ratio`` is on its way for ``n / link``, or compressed for
``n / compress + n * ratio / link``. The latter is shorter where the link is slower than
``compress * (1 - ratio)``.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

GIGABIT_BYTES_S: Final = 125e6
"""What a link is taken to carry before anything was measured: the usual network of two servers."""

COMPRESS_BYTES_S: Final = 300e6
"""What a processor is taken to compress likewise."""

HALF_LIFE_BYTES: Final = 8 * 1024 * 1024
"""After so many bytes a measured speed counts half: a link that changes is known within seconds."""

ASSUMED_BYTES: Final = 1024 * 1024
"""As if so many had been measured: what is assumed is soon outweighed."""

DRAINED_BYTES: Final = 8 * 1024 * 1024
"""So much in a row for which the link did not have to be waited for shows that it is faster than
what is put into it: twice what the kernel holds of a connection (4 MiB on Linux, by default)."""

PACKET_BYTES: Final = 1400
"""Content that fits in one packet is not sooner there when it is smaller."""


def pays(ratio: float, *, link_bytes_s: float, compress_bytes_s: float) -> bool:
    """Whether compressing a body and sending it takes less time than sending it as it is.

    Args:
        ratio: of its size compressed to its size, as a sample has shown; 0 asks whether any
            content could be worth it.
        link_bytes_s: what the link carries.
        compress_bytes_s: what one thread compresses.
    """
    return link_bytes_s < compress_bytes_s * (1 - ratio)


@attrs.frozen
class Speed:
    """A moving average; what came last weighs most.

    Args:
        size_bytes: handled, the older the less.
        duration_s: that it took, likewise.
    """

    size_bytes: float
    duration_s: float

    @classmethod
    def assumed(cls, bytes_s: float) -> Speed:
        """A speed before anything was measured."""
        return cls(ASSUMED_BYTES, ASSUMED_BYTES / bytes_s)

    @property
    def bytes_s(self) -> float:
        """Bytes in a second; infinite where they took no time."""
        return self.size_bytes / self.duration_s if self.duration_s else math.inf

    def after(self, size_bytes: int, duration_s: float) -> Speed:
        """The average with one more measurement.

        Args:
            size_bytes: handled, from 0.
            duration_s: that it took, from 0.
        """
        kept = 0.5 ** (size_bytes / HALF_LIFE_BYTES)
        return Speed(self.size_bytes * kept + size_bytes, self.duration_s * kept + duration_s)


@attrs.frozen(kw_only=True)
class LinkSpeed:
    """What a link carries, from what has arrived at the other end.

    Where the other side takes less than the link could carry, it is that which is measured.

    Args:
        speed: while there was always something to send.
        drained_bytes: that arrived since then.
    """

    speed: Speed = attrs.field(factory=lambda: Speed.assumed(GIGABIT_BYTES_S))
    drained_bytes: int = 0

    @property
    def bytes_s(self) -> float:
        """Bytes in a second; infinite where the sender is slower than the link."""
        return math.inf if self.drained_bytes > DRAINED_BYTES else self.speed.bytes_s

    def after(self, size_bytes: int, duration_s: float, *, full: bool) -> LinkSpeed:
        """What is known after a while.

        Args:
            size_bytes: that arrived in it.
            duration_s: how long it was.
            full: at its beginning and at its end something waited to be sent.
        """
        if full:
            return LinkSpeed(speed=self.speed.after(size_bytes, duration_s))
        return attrs.evolve(self, drained_bytes=self.drained_bytes + size_bytes)
