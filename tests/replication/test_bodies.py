"""Compressed bodies: the way there and back, and hostile ones."""

from __future__ import annotations

import os
import random
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.manifest import Action, Operation
from sbs.core.messages import MAX_BODY_BYTES, Begin, Chunk, Content, Pack, Patch
from sbs.errors import ReplicationError
from sbs.replication.bodies import LEVEL, SAMPLE_BYTES, Compressor, expand
from sbs.replication.changes import EVERYTHING
from tests.replication.rig import Pair, look, proceed, write

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PUT = Operation(folder=0, action=Action.PUT, path="f", size_bytes=1, digest=bytes(32))
TEXT = b"".join(b"line %d of a log that says nothing new\n" % line for line in range(2000))
NOISE = random.Random(1).randbytes(64 * 1024)


def shrunk(body: bytes, link_bytes_s: float = 1e6) -> Content:
    return Compressor(lambda: link_bytes_s).shrink(Chunk(1, body, 2, 3))


@pytest.mark.parametrize("body", [TEXT, TEXT[:SAMPLE_BYTES], TEXT[:2000], bytes(MAX_BODY_BYTES)])
def test_what_shrinks_is_smaller_on_the_way_and_the_same_behind_it(body: bytes) -> None:
    for message in (Chunk(1, body, 2, 3), Pack((PUT,), body)):
        sent = Compressor(lambda: 1e6).shrink(message)
        assert isinstance(sent, Pack | Chunk)
        assert sent.raw_bytes == len(body)
        assert len(sent.body) < len(body) / 2
        assert expand(sent) == message


@pytest.mark.parametrize(
    ("body", "link_bytes_s"),
    [
        (NOISE, 1e3),
        (TEXT[:1000], 1e3),  # fits in one packet
        (b"", 1e3),
        (TEXT, 1e10),
        (TEXT, float("inf")),
        (NOISE[:2000], 1e3),
    ],
)
def test_nothing_is_compressed_where_nothing_is_gained(body: bytes, link_bytes_s: float) -> None:
    message = Chunk(1, body)
    assert Compressor(lambda: link_bytes_s).shrink(message) is message
    assert expand(message) is message


def test_a_sample_that_deceives_costs_no_byte() -> None:
    """The four pieces that are looked at are zeros; all between them is noise."""
    size = SAMPLE_BYTES // 4
    body = bytearray(random.Random(2).randbytes(4 * 1024 + 3 * 60_000))
    step = (len(body) - size) // 3
    for at in range(4):
        body[at * step : at * step + size] = bytes(size)
    sent = shrunk(bytes(body))
    assert isinstance(sent, Chunk)
    assert len(sent.body) <= len(body)
    assert expand(sent) == Chunk(1, bytes(body), 2, 3)


def test_a_patch_has_no_body() -> None:
    patch = Patch(stream=1, folder=0, path="f", digest=bytes(32), size_bytes=1)
    assert Compressor(lambda: 1.0).shrink(patch) is patch
    assert expand(patch) is patch


@pytest.mark.parametrize(
    ("body", "raw_bytes", "says"),
    [
        (b"no frame of zstd at all", 100, "damaged"),
        (b"", 100, "not one frame of 100 bytes"),
        (zstd.compress(TEXT)[:-1], len(TEXT), "not one frame"),
        (zstd.compress(TEXT), len(TEXT) - 1, "not one frame"),
        (zstd.compress(TEXT), len(TEXT) + 1, "not one frame"),
        (zstd.compress(TEXT) + b"x", len(TEXT), "not one frame"),
        (2 * zstd.compress(TEXT[:1000]), 2000, "not one frame"),
        (zstd.compress(TEXT)[:-5] + b"\xff" * 5, len(TEXT), "damaged|not one frame"),
    ],
)
def test_a_body_that_is_not_what_its_message_says_is_refused(
    body: bytes, raw_bytes: int, says: str
) -> None:
    """Adversarial: what does not decompress exactly is no content."""
    for message in (Chunk(0, body, raw_bytes=raw_bytes), Pack((), body, raw_bytes=raw_bytes)):
        with pytest.raises(ReplicationError, match=says):
            expand(message)


def bomb() -> bytes:
    """A quarter of a gibibyte of zeros."""
    compressor = zstd.ZstdCompressor(level=1)
    pieces = [compressor.compress(bytes(MAX_BODY_BYTES)) for _ in range(256)]
    return b"".join(pieces) + compressor.flush()


def wide() -> bytes:
    """Little content, from a compressor that looks back 128 MiB."""
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(TEXT) + compressor.flush()


@pytest.mark.parametrize("make", [bomb, wide])
def test_a_bomb_takes_no_memory(make: object) -> None:
    """Adversarial: a body's size after decompression is bounded, whatever it says of itself."""
    assert callable(make)
    body = make()
    assert len(body) < MAX_BODY_BYTES
    before = resident_bytes()
    tracemalloc.start()
    with pytest.raises(ReplicationError, match=r"too much memory|not one frame"):
        expand(Chunk(0, body, raw_bytes=MAX_BODY_BYTES))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * MAX_BODY_BYTES
    assert resident_bytes() - before < 16 * MAX_BODY_BYTES


def resident_bytes() -> int:
    """Of this process, at most so far: what zstd takes itself is not traced."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@given(st.binary(max_size=5000), st.integers(1, 60))
def test_any_body_survives_the_way(unit: bytes, count: int) -> None:
    message = Chunk(1, unit * count)
    assert expand(Compressor(lambda: 1.0).shrink(message)) == message


def test_mutated_frames_give_a_body_of_the_right_size_or_an_error() -> None:
    """Adversarial case 7: 2000 seeded mutations; what is taken is left to the digests."""
    rng = random.Random(30)
    frame = zstd.compress(TEXT, LEVEL)
    taken = 0
    for _ in range(2000):
        body = bytearray(frame)
        for _ in range(rng.randint(1, 3)):
            body[rng.randrange(len(body))] = rng.choice([rng.randrange(256), 0, 0xFF])
        try:
            message = expand(Chunk(0, bytes(body), raw_bytes=len(TEXT)))
        except ReplicationError:
            continue
        assert isinstance(message, Chunk)
        assert len(message.body) == len(TEXT)
        taken += 1
    assert 0 < taken < 2000


def test_digests_are_of_the_content_itself(tmp_path: Path) -> None:
    """B20: a compressed update is the generation that it would be without compression."""
    with Pair(f"{tmp_path}/plain") as plain, Pair(f"{tmp_path}/small") as small:
        for pair in (plain, small):
            write(f"{pair.a}/log", TEXT)
            write(f"{pair.a}/large", 20 * TEXT)
            write(f"{pair.a}/noise", NOISE)
            for name in ("log", "large", "noise"):
                os.utime(f"{pair.a}/{name}", ns=(1, 1))
            pair.connect()
        compressor, sizes = Compressor(lambda: 1e6), [0, 0]
        update = small.source.prepare(small.peer, EVERYTHING, proceed)
        small.target.begin(Begin(small.epoch, 1))
        for message in update.messages(proceed):
            sent = compressor.shrink(message)
            if isinstance(message, Pack | Chunk) and isinstance(sent, Pack | Chunk):
                sizes = [sizes[0] + len(message.body), sizes[1] + len(sent.body)]
            small.target.take(sent, proceed)
        assert sizes[1] < sizes[0] / 2
        plain_update = plain.stage()
        assert small.seal(update) == plain.seal(plain_update)
        small.target.apply(small.commit(update), proceed)
        assert look(small.b) == look(small.a)
