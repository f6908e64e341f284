"""When content may be sent, so that it takes no more of a link than it may (a token bucket)."""

from __future__ import annotations

import math
from typing import Final

import attrs

MIN_BYTES_S: Final = 128 * 1024
"""Of a limit: a file of 256 KiB goes in one piece, and should it fill the link, a question to the
other node (a vote, say) waits for it, two seconds."""

BURST_S: Final = 0.1
"""What was not used counts for so long: a timer that is late costs nothing, an idle link gives no
burst but this and one message."""

PIECE_S: Final = 0.25
"""How long one message may fill a link that carries no more than the limit: half a heartbeat by
default, so that heartbeats and what the nodes ask each other find gaps."""


@attrs.frozen
class Limiter:
    """A bucket that fills with time; a message may overdraw it, and the next one waits.

    Args:
        bytes_s: that may be sent in a second, on average; above 0.
        free_at: when the next message may go, on the caller's clock.
    """

    bytes_s: float
    free_at: float = -math.inf

    def after(self, size_bytes: int, now: float) -> Limiter:
        """The bucket when a message was sent.

        Args:
            size_bytes: of it.
            now: on the caller's clock.
        """
        begun_at = max(self.free_at, now - BURST_S)
        return Limiter(self.bytes_s, begun_at + size_bytes / self.bytes_s)


def piece_bytes(bytes_s: float, *, unit: int, least: int, most: int) -> int:
    """The largest message under a limit; see :data:`PIECE_S`.

    Args:
        bytes_s: the limit.
        unit: it is a multiple of this.
        least: and not below this.
        most: nor above this.
    """
    return max(least, min(most, int(bytes_s * PIECE_S) // unit * unit))
