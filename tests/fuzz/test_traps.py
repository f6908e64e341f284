"""What other tools have fallen for, at every place of every message (B62)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from sbs.core.codec import decode, encode
from sbs.core.connection import Connection, Side
from sbs.core.frames import GREETING_LIMITS, HEADER, PREAMBLE, SESSION_LIMITS, Frame, FrameDecoder
from sbs.core.manifest import Action, Entry, Kind, Operation
from sbs.core.messages import MAX_BODY_BYTES, MAX_ITEMS, Audit, Chunk, Listing, Pack
from sbs.errors import RemoteProtocolError
from sbs.replication.bodies import Compressor, expand
from sbs.replication.leading.peer_tree import PeerTree
from tests.core.test_codec import ODD_NAME, SAMPLES, fields_of, frame_of
from tests.fuzz.contract import MIB, is_proper, repacked
from tests.fuzz.wire import MAX_SAID, OURS

EVERY = pytest.mark.parametrize("name", SAMPLES)

NUMBERS = (-1, -(2**63), 2**31, 2**32, 2**62 + 1, 2**63, 2**64 - 1, True, 0.0, float("nan"), None)
"""Negative, huge, at the limits of what a sum may overflow, and what is no number."""

TEXTS = (
    "\x1b]0;owned\x07\x1b[2J",
    "a\r\nBcc: x@y",
    "$(reboot) `reboot` ; reboot",
    "\u202egpj.exe",
    "\udcff\ud800",
    "\0",
    "x" * 100_000,
    b"bytes",
    7,
)
"""Terminal, mail, shell, eyes, UTF-8, C, and what is no text."""

OUTSIDE = (
    *("", ".", "..", "/", "/etc/passwd", "a/../../b", "a/..", "./a", "a/.", "a//b", "a/"),
    *("//host/x", "a\0", "\0", ".sbs.staging", ".sbs.staging/versions/x"),
    *("n" * 256, "a/" + "n" * 256, "d/" * 2048 + "f"),
)
"""What is no place below a folder, or on no disk."""

ODD = (
    *("..\\file", "C:\\x", "C:", "\\\\host\\share", "name:stream", "NUL", "CON.c", "end.", "end "),
    *("PROGRA~1", "...", "..a", "-rf", "~", "$HOME", "a\nb", "\x1b[2J", "caf\udce9", "n" * 255),
    *("d/" * 2047 + "f", ".sbs.staging2", "a/.sbs.staging"),
)
"""Odd ones, which are names like any other on the systems that a node runs on."""


def changed(value: Any, wanted: Callable[[object], bool], to: object) -> Iterator[Any]:
    """``value`` with one thing in it changed, for each that is wanted."""
    if wanted(value):
        yield to
    elif isinstance(value, list):
        for at, each in enumerate(value):
            for other in changed(each, wanted, to):
                yield [*value[:at], other, *value[at + 1 :]]
    elif isinstance(value, dict):
        for key, each in value.items():
            for other in changed(each, wanted, to):
                yield {**value, key: other}


def is_number(value: object) -> bool:
    return type(value) is int


def taken_or_refused(frame: Frame, fields: Any) -> bool:
    """Whether a message was taken; then it can be sent on, and else the error is fit to print."""
    try:
        message = decode(attrs.evolve(frame, head=repacked(fields)))
    except RemoteProtocolError as error:
        is_proper(error, MAX_SAID)
        return False
    assert decode(frame_of(encode(message))) == message
    return True


@EVERY
def test_adversarial_7_every_number_of_every_message_at_its_limits(name: str) -> None:
    frame, fields = frame_of(encode(SAMPLES[name])), fields_of(name)
    wrong = [each for to in NUMBERS for each in changed(fields, is_number, to)]
    taken = sum(taken_or_refused(frame, each) for each in wrong)
    assert taken < len(wrong) or not wrong
    for to in (float("inf"), float("nan"), -1.0, 1e300, 1):
        for each in changed(fields, lambda each: type(each) is float, to):
            assert not taken_or_refused(frame, each)


@EVERY
def test_adversarial_10_every_text_of_every_message(name: str) -> None:
    """Where a peer's text is refused the log and the terminal get a line that nothing obeys."""
    frame, fields = frame_of(encode(SAMPLES[name])), fields_of(name)
    for to in TEXTS:
        for each in changed(fields, lambda each: type(each) is str, to):
            taken = taken_or_refused(frame, each)
            assert isinstance(to, str) or not taken


@EVERY
def test_adversarial_7_counts_that_do_not_match_what_follows(name: str) -> None:
    """Lists that are longer, shorter or of something else than is said."""
    frame, fields = frame_of(encode(SAMPLES[name])), fields_of(name)
    for to in (b"", bytes(31), bytes(33), bytes(65537), None, "text"):
        for each in changed(fields, lambda each: type(each) is bytes, to):
            taken_or_refused(frame, each)
    for cut in range(len(frame.head)):
        with pytest.raises(RemoteProtocolError):
            decode(attrs.evolve(frame, head=frame.head[:cut]))
        with pytest.raises(RemoteProtocolError):
            decode(attrs.evolve(frame, head=frame.head + frame.head[: cut + 1]))


PATHS = frozenset({"a", "a/l", "t", "l", "old", "o", "a/b.conf", ODD_NAME, "\u00e9"})
"""Of files, in the samples."""

NAMING = ("listing", "pack", "fragment", "patch", "audit")
"""Messages whose paths are opened on a disk."""


@pytest.mark.parametrize("name", NAMING)
def test_adversarial_4_5_6_no_message_names_a_place_outside(name: str) -> None:
    frame, fields = frame_of(encode(SAMPLES[name])), fields_of(name)
    for path in OUTSIDE:
        wrong = [*changed(fields, lambda each: type(each) is str and each in PATHS, path)]
        assert wrong
        for each in wrong:
            # The target of a link may be anything but a NUL: it is not followed.
            taken = taken_or_refused(frame, each)
            assert not taken or path in as_targets(each)


def as_targets(fields: dict[str, Any]) -> set[str]:
    """The targets of links in a Listing or a Pack."""
    entries = {row[6] for row in fields.get("entries", ())}
    return entries | {row[7] for row in fields.get("operations", ())}


@pytest.mark.parametrize("path", ODD, ids=lambda path: ascii(path)[:30])
def test_adversarial_5_names_that_other_systems_know_are_names(path: str) -> None:
    """They arrive as they are: neither split at a backslash nor cut at a colon, dot or blank."""
    operation = Operation(folder=0, action=Action.MKDIR, path=path)
    entry = Entry(path=path, kind=Kind.DIRECTORY)
    for message in (Pack((operation,)), Listing(folder=0, entries=(entry,)), Audit(0, (path,))):
        assert decode(frame_of(encode(message))) == message


@pytest.mark.parametrize("side", Side)
def test_adversarial_8_a_stranger_that_sends_byte_by_byte_costs_its_frame(side: Side) -> None:
    """The largest greeting that is announced, never finished."""
    stream = PREAMBLE + HEADER.pack(
        GREETING_LIMITS.head_bytes, 1 << 24 | GREETING_LIMITS.head_bytes
    )
    connection = Connection(side, OURS)
    tracemalloc.start()
    try:
        for byte in stream + bytes(GREETING_LIMITS.head_bytes - 1):
            assert connection.receive(bytes((byte,))) == []
        assert tracemalloc.get_traced_memory()[1] < 3 * GREETING_LIMITS.head_bytes
    finally:
        tracemalloc.stop()


def test_adversarial_8_many_empty_frames_are_refused_at_the_first() -> None:
    connection = Connection(Side.ACCEPTOR, OURS)
    with pytest.raises(RemoteProtocolError, match="Hello: bad msgpack"):
        connection.receive(PREAMBLE + HEADER.pack(0, 1 << 24) * 100_000)


@pytest.mark.parametrize("byte", [0, 255])
def test_adversarial_19_a_body_of_one_byte_costs_what_it_becomes(byte: int) -> None:
    """A mebibyte in 50 bytes: as often as a peer likes, each within the same memory."""
    shrunk = Compressor(lambda: 1.0).shrink(Chunk(1, bytes((byte,)) * MAX_BODY_BYTES))
    assert isinstance(shrunk, Chunk)
    assert len(shrunk.body) < 100
    tracemalloc.start()
    try:
        for _ in range(20):
            expanded = expand(shrunk)
            assert isinstance(expanded, Chunk)
            assert len(expanded.body) == MAX_BODY_BYTES
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_adversarial_19_equal_entries_are_held_once() -> None:
    """8192 times the same file in a listing is one file."""
    entry = Entry(path="a", kind=Kind.FILE, size_bytes=1, digest=bytes(32))
    listing = Listing(folder=0, entries=(entry,) * MAX_ITEMS, last=True)
    tree = PeerTree(1)
    tree.add(listing)
    assert tree.count(0) == 1
    assert [*tree.below(0, "")] == [entry]


def test_what_is_cut_is_never_a_whole_message() -> None:
    """All samples in one stream, cut at each place: the frames before it, and no other."""
    frames = [encode(message) for message in SAMPLES.values()]
    stream = PREAMBLE + b"".join(frames)
    ends = [len(PREAMBLE) + sum(map(len, frames[:count])) for count in range(len(frames) + 1)]
    for cut in range(len(stream)):
        decoder = FrameDecoder(SESSION_LIMITS)
        assert len([*decoder.feed(stream[:cut])]) == sum(end <= cut for end in ends[1:])
        assert (decoder.inside is None) is (cut in (0, *ends))
