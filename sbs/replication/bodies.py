"""Bodies of messages as they travel: compressed where that pays, and back (``docs/protocol.md``).

Digests are of what a body is before and after: nothing but the way knows of the compression.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from sbs.core.compression import COMPRESS_BYTES_S, PACKET_BYTES, Speed, pays
from sbs.core.messages import Content, Pack, Patch
from sbs.errors import MismatchError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL: Final = 1
"""Of zstd, the fastest of its regular ones: 350 MB/s a thread; 3 makes a tenth less in 1.4 of the
time."""

SAMPLE_BYTES: Final = 16 * 1024
"""Compressed to learn the ratio of a body: 40 us."""

SAMPLE_PIECES: Final = 4
"""That a sample is put together from, evenly spread: a pack holds files of several kinds."""

_WINDOW_LOG: Final = 20
"""Of what a decompressor looks back: a body has 2**20 bytes at most, and a hostile one could ask
for 128 times the memory."""

_OPTIONS: Final[Mapping[int, int]] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}


class Compressor:
    """Compresses the bodies of messages where that is quicker than to send them as they are.

    Args:
        link_bytes_s: what the link carries now.
    """

    def __init__(self, link_bytes_s: Callable[[], float]) -> None:
        self._link_bytes_s = link_bytes_s
        self._speed = Speed.assumed(COMPRESS_BYTES_S)

    def shrink(self, message: Content) -> Content:
        """The message as it is to be sent."""
        if isinstance(message, Patch) or not self._pays(message.body):
            return message
        began_at = time.perf_counter()
        body = zstd.compress(message.body, LEVEL)
        self._speed = self._speed.after(len(message.body), time.perf_counter() - began_at)
        if len(body) >= len(message.body):
            return message
        return attrs.evolve(message, body=body, raw_bytes=len(message.body))

    def _pays(self, body: bytes) -> bool:
        if len(body) <= PACKET_BYTES:
            return False
        link, speed = self._link_bytes_s(), self._speed.bytes_s
        if not pays(0, link_bytes_s=link, compress_bytes_s=speed):
            return False
        return pays(_ratio(body), link_bytes_s=link, compress_bytes_s=speed)


def _ratio(body: bytes) -> float:
    """Of a sample."""
    size = SAMPLE_BYTES // SAMPLE_PIECES
    if len(body) > SAMPLE_BYTES:
        step = (len(body) - size) // (SAMPLE_PIECES - 1)
        body = b"".join(body[at * step : at * step + size] for at in range(SAMPLE_PIECES))
    return len(zstd.compress(body, LEVEL)) / len(body)


def expand(message: Content) -> Content:
    """The message with its body as it was before it was compressed.

    Takes at most twice :data:`~sbs.core.messages.MAX_BODY_BYTES` of memory, whatever the body says.

    Raises:
        ReplicationError: the body is not what the message says.
    """
    if isinstance(message, Patch) or not message.raw_bytes:
        return message
    decompressor = zstd.ZstdDecompressor(options=_OPTIONS)
    try:
        body = decompressor.decompress(message.body, max_length=message.raw_bytes)
    except zstd.ZstdError as error:
        raise MismatchError(f"a compressed body is damaged: {error}") from error
    ends = decompressor.eof and not decompressor.unused_data
    if not ends or len(body) != message.raw_bytes:
        raise MismatchError(
            f"a compressed body is not one frame of {message.raw_bytes} bytes, as its message says"
        )
    return attrs.evolve(message, body=body, raw_bytes=0)


def content_bytes(message: Content) -> int:
    """How much content a message carries, however it travels."""
    return 0 if isinstance(message, Patch) else message.raw_bytes or len(message.body)


def changes(message: Content) -> int:
    """How many operations a message carries."""
    return len(message.operations) if isinstance(message, Pack) else 0
