from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core.frames import (
    GREETING_LIMITS,
    HEADER,
    MAX_HEAD_BYTES,
    PREAMBLE,
    SESSION_LIMITS,
    Frame,
    FrameDecoder,
    Limits,
    encode_frame,
)
from sbs.core.messages import MAX_BODY_BYTES
from sbs.errors import LocalProtocolError, RemoteProtocolError

FRAMES = [
    Frame(1, b"head", b""),
    Frame(255, b"", b""),
    Frame(10, b"h" * 300, b"b" * 70_000),
    Frame(0, b"", b"body"),
]


def stream(frames: list[Frame]) -> bytes:
    return PREAMBLE + b"".join(encode_frame(each.type, each.head, each.body) for each in frames)


def decoder_after_preamble(limits: Limits = SESSION_LIMITS) -> FrameDecoder:
    decoder = FrameDecoder(limits)
    assert list(decoder.feed(PREAMBLE)) == []
    return decoder


def test_header_is_big_endian_length_type_and_length_of_head() -> None:
    assert encode_frame(9, b"abc", b"de") == bytes.fromhex("00000005 09 000003") + b"abcde"


def test_frames_arrive_whole_when_fed_at_once() -> None:
    assert list(FrameDecoder(SESSION_LIMITS).feed(stream(FRAMES))) == FRAMES


def test_frames_arrive_whole_when_fed_byte_by_byte() -> None:
    decoder = FrameDecoder(SESSION_LIMITS)
    data = stream(FRAMES)
    frames = [frame for i in range(len(data)) for frame in decoder.feed(data[i : i + 1])]
    assert frames == FRAMES


@given(st.lists(st.integers(min_value=0, max_value=len(stream(FRAMES))), max_size=30))
def test_frames_do_not_depend_on_where_the_bytes_were_cut(cuts: list[int]) -> None:
    decoder = FrameDecoder(SESSION_LIMITS)
    data = stream(FRAMES)
    bounds = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(bounds)]
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == FRAMES


def test_body_of_a_reused_buffer_is_a_copy() -> None:
    decoder = decoder_after_preamble()
    buffer = bytearray(encode_frame(10, b"", b"body"))
    [frame] = decoder.feed(buffer)
    buffer[:] = bytes(len(buffer))
    assert frame.body == b"body"


def test_end_is_clean_only_between_frames() -> None:
    decoder = FrameDecoder(SESSION_LIMITS)
    frame = encode_frame(10, b"head", b"body")
    seen = [decoder.inside]
    for byte in PREAMBLE + frame:
        list(decoder.feed(bytes([byte])))
        seen.append(decoder.inside)
    assert seen == [
        None,
        *["the preamble"] * (len(PREAMBLE) - 1),
        None,
        *["a frame"] * (len(frame) - 1),
        None,
    ]


@pytest.mark.parametrize(
    "foreign",
    [
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        PREAMBLE.replace(b"\r\n", b"\n"),
        b"\x13" + PREAMBLE[1:],
        b"x",
    ],
    ids=["http", "line-mode", "seven-bit", "one-byte"],
)
def test_foreign_protocol_is_named_and_quoted(foreign: bytes) -> None:
    """R64: a diagnosis starts with what the other side really said."""
    with pytest.raises(RemoteProtocolError) as caught:
        list(FrameDecoder(GREETING_LIMITS).feed(foreign))
    assert str(caught.value) == f"the other side does not speak SBS; it sent {foreign[:32]!r}"


@pytest.mark.parametrize("record", [b"\x15\x03\x03\x00\x02\x02\x46", b"\x16\x03\x01"])
def test_tls_is_recognized(record: bytes) -> None:
    """B62: one node has an identity, and the other was forgotten; at once, and byte by byte."""
    for data in (record, record[:1]):
        with pytest.raises(RemoteProtocolError, match=r"speaks TLS, it seems; set tls\.identity"):
            list(FrameDecoder(GREETING_LIMITS).feed(data))


def test_foreign_protocol_is_told_at_its_first_wrong_byte() -> None:
    decoder = FrameDecoder(GREETING_LIMITS)
    assert list(decoder.feed(PREAMBLE[:5])) == []
    with pytest.raises(RemoteProtocolError, match=r"it sent .*x93SBS\\r!"):
        list(decoder.feed(b"!"))


def test_quote_of_a_foreign_protocol_is_bounded() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        list(FrameDecoder(GREETING_LIMITS).feed(b"A" * 1_000_000))
    assert str(caught.value).endswith(f"sent {b'A' * 32!r}")


@pytest.mark.parametrize("limits", [GREETING_LIMITS, SESSION_LIMITS])
def test_frame_exactly_at_the_limits_is_taken(limits: Limits) -> None:
    data = encode_frame(9, bytes(limits.head_bytes), bytes(limits.body_bytes), limits=limits)
    [frame] = decoder_after_preamble(limits).feed(data)
    assert (len(frame.head), len(frame.body)) == (limits.head_bytes, limits.body_bytes)


@pytest.mark.parametrize(
    ("limits", "length", "head_bytes", "text"),
    [
        (GREETING_LIMITS, 65537, 65537, "type 9: head of 65537 bytes; at most 65536 are"),
        (GREETING_LIMITS, 11, 10, "type 9: body of 1 bytes; at most 0 are"),
        (SESSION_LIMITS, 2**21 + 1, 2**21 + 1, "head of 2097153 bytes; at most 2097152 are"),
        (SESSION_LIMITS, 2**20 + 11, 10, "body of 1048577 bytes; at most 1048576 are"),
        (SESSION_LIMITS, 2**32 - 1, 0, "body of 4294967295 bytes; at most 1048576 are"),
        (SESSION_LIMITS, 4, 5, "a head of 5 bytes in a length of 4"),
    ],
)
def test_header_above_a_limit_is_refused_with_number_and_limit(
    limits: Limits, length: int, head_bytes: int, text: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        list(decoder_after_preamble(limits).feed(HEADER.pack(length, 9 << 24 | head_bytes)))


@pytest.mark.parametrize(
    ("head_bytes", "body_bytes", "text"),
    [
        (MAX_HEAD_BYTES + 1, 0, "head of 2097153 bytes; at most 2097152"),
        (0, MAX_BODY_BYTES + 1, "body of 1048577 bytes; at most 1048576"),
    ],
)
def test_frame_above_a_limit_is_not_made(head_bytes: int, body_bytes: int, text: str) -> None:
    with pytest.raises(LocalProtocolError, match=text):
        encode_frame(9, bytes(head_bytes), bytes(body_bytes))


def test_limits_may_change_between_two_frames_of_the_same_data() -> None:
    decoder = decoder_after_preamble(GREETING_LIMITS)
    frames = decoder.feed(encode_frame(1, b"hello") + encode_frame(10, b"", b"body"))
    assert next(frames).head == b"hello"
    decoder.limits = SESSION_LIMITS
    assert next(frames).body == b"body"


def test_feeding_more_before_taking_the_frames_is_refused() -> None:
    decoder = decoder_after_preamble()
    decoder.feed(encode_frame(1, b"hello"))
    with pytest.raises(LocalProtocolError, match="before the frames"):
        decoder.feed(b"more")


def test_announced_length_costs_no_memory_until_it_arrives() -> None:
    decoder = decoder_after_preamble()
    header = HEADER.pack(MAX_HEAD_BYTES + MAX_BODY_BYTES, 9 << 24 | MAX_HEAD_BYTES)
    tracemalloc.start()
    try:
        list(decoder.feed(header))
        list(decoder.feed(bytes(1000)))
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_a_good_part_makes_room_for_the_frame_and_no_more() -> None:
    body = bytes(range(256)) * 4096
    decoder = decoder_after_preamble()
    list(decoder.feed(HEADER.pack(len(body), 9 << 24)))
    tracemalloc.start()
    try:
        pieces = [body[:20_000], body[20_000:20_001], body[20_001:-1]]
        for piece in pieces:
            assert not list(decoder.feed(piece))
            assert decoder.inside == "a frame"
        assert tracemalloc.get_traced_memory()[1] < 2 * len(body) + 100_000
        [frame] = decoder.feed(body[-1:])
    finally:
        tracemalloc.stop()
    assert frame.body == body


def test_memory_is_bounded_by_one_frame_when_bytes_come_one_at_a_time() -> None:
    """Adversarial case 8: a slow client costs no more than its frame."""
    decoder = decoder_after_preamble()
    size = 200_000
    list(decoder.feed(HEADER.pack(size, 9 << 24)))
    tracemalloc.start()
    try:
        for _ in range(size - 1):
            list(decoder.feed(b"x"))
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()
    [frame] = decoder.feed(b"x")
    assert frame.body == b"x" * size


def test_oversized_frame_is_refused_before_anything_of_it_is_kept() -> None:
    decoder = decoder_after_preamble(GREETING_LIMITS)
    data = HEADER.pack(2**32 - 1, 9 << 24) + bytes(4_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="body of 4294967295"):
            list(decoder.feed(data))
        assert tracemalloc.get_traced_memory()[1] < 50_000
    finally:
        tracemalloc.stop()
