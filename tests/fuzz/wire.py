"""What comes from the peer: frames, messages, conversations, bodies, listings, findings."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from sbs.core import rows
from sbs.core.attributes import Attributes
from sbs.core.claim import Claim
from sbs.core.codec import NUMBERS, decode, decode_versions, encode
from sbs.core.connection import Connection, Side
from sbs.core.election import elect, same_node
from sbs.core.frames import (
    GREETING_LIMITS,
    PREAMBLE,
    SESSION_LIMITS,
    Frame,
    FrameDecoder,
    encode_frame,
)
from sbs.core.history import Generation, History, Relation
from sbs.core.legality import IN_SESSION, TRANSITIONS
from sbs.core.manifest import Kind
from sbs.core.messages import (
    Chunk,
    Fragment,
    Hello,
    Listing,
    Message,
    Refused,
    Released,
)
from sbs.core.printable import MAX_QUOTED
from sbs.core.update_messages import MAX_BODY_BYTES
from sbs.errors import ProtocolError, RemoteProtocolError, ReplicationError
from sbs.replication.bodies import Compressor, expand
from sbs.replication.leading.peer_tree import PeerTree
from tests.core.test_codec import SAMPLES
from tests.fuzz.contract import (
    KIB,
    MIB,
    Form,
    Target,
    is_proper,
    packed,
    pieces,
    shaped,
    unpacked,
    unpacked_all,
)

MAX_SAID: Final = MAX_QUOTED + 100
"""Characters of an error of the protocol: it stands in a log and a status."""

MSGPACK_BYTES: Final = 96 * MIB
"""Nested arrays of 8192 announced items each, as deep as msgpack goes: docs/protocol.md, Limits."""

_OURS: Final = SAMPLES["hello"]
assert isinstance(_OURS, Hello)
OURS: Final[Hello] = _OURS
"""What this side says of itself in a conversation."""


def cut_frames(data: bytes) -> bool:
    """A stream of frames, whole and in pieces; the first byte decides how it is cut."""
    seed, stream = (data[0], data[1:]) if data else (0, b"")
    whole, error = _frames([stream])
    for each in {seed, 0} if len(stream) <= 2 * KIB else {seed or 1}:
        again, other = _frames(pieces(stream, each))
        assert again == whole, "other frames where the stream is cut otherwise"
        _are_one(error, other)
    carried = b"".join(encode_frame(each.type, each.head, each.body) for each in whole)
    assert stream.startswith(PREAMBLE + carried) or not whole
    if error is not None:
        raise error
    return bool(whole)


def _are_one(error: Exception | None, other: Exception | None) -> None:
    """The same, however a stream is cut; of a foreign protocol as much is quoted as has come."""
    one, two = str(error), str(other)
    foreign = "does not speak SBS" in one and "does not speak SBS" in two
    assert one == two or foreign, f"{error} is {other} where it is cut otherwise"


def _frames(parts: Iterator[bytes] | list[bytes]) -> tuple[list[Frame], RemoteProtocolError | None]:
    decoder = FrameDecoder(SESSION_LIMITS)
    found: list[Frame] = []
    try:
        for part in parts:
            found += decoder.feed(part)
            held = decoder._part.getbuffer().nbytes
            assert held <= SESSION_LIMITS.head_bytes, "more is held than a part may have"
    except RemoteProtocolError as error:
        is_proper(error, MAX_SAID)
        return found, error
    return found, None


def take_message(data: bytes) -> bool:
    """One message: type, u16 length of the body, head, body at the end."""
    frame = _frame_of(data)
    if frame is None:
        return False
    message = _said(decode, frame)
    again = encode(message)
    [second] = FrameDecoder(SESSION_LIMITS).feed(PREAMBLE + again)
    assert decode(second) == message, "another message when it is sent on"
    assert encode(decode(second)) == again, "no fixed form"
    return True


def take_versions(data: bytes) -> bool:
    """The versions of a greeting, which any version to come may have written."""
    frame = _frame_of(b"\1" + data[1:])
    if frame is None:
        return False
    low, high = _said(decode_versions, frame)
    assert 1 <= low <= high
    return True


def _said(decoder: Any, frame: Frame) -> Any:
    try:
        return decoder(frame)
    except RemoteProtocolError as error:
        is_proper(error, MAX_SAID)
        raise


def _frame_of(data: bytes) -> Frame | None:
    if len(data) < 3:
        return None
    end = max(3, len(data) - int.from_bytes(data[1:3]))
    head, body = data[3:end], data[end:]
    number = data[0] % 32
    if number in (1, 2, 22) and (len(head) > GREETING_LIMITS.head_bytes or body):
        return None  # the frame decoder has refused it
    return Frame(number, head, body)


def converse(data: bytes) -> bool:
    """What a peer says, in a conversation in which this side answers whatever it may.

    msgpack: flags (side, how it is cut), array of [type, head, body], and raw bytes behind it.
    """
    flags, stream = _conversation(data)
    side = Side.DIALLER if flags & 1 else Side.ACCEPTOR
    whole, first = _talk(side, [stream], answering=False)
    again, second = _talk(side, pieces(stream, flags >> 2), answering=False)
    _are_one(first, second)
    assert first is not None or again == whole
    assert again[: len(whole)] == whole
    _talk(side, pieces(stream, flags >> 2 or 1), answering=True)
    if first is not None:
        raise first
    return bool(whole)


def _conversation(data: bytes) -> tuple[int, bytes]:
    values, end = unpacked_all(data)
    try:
        flags, frames, *_ = values
        stream = PREAMBLE + b"".join(
            encode_frame(number, packed(head), body) for number, head, body in frames
        )
        return int(flags) % 1024, stream + data[end:]
    except (ValueError, TypeError, struct.error, ProtocolError, OverflowError):
        return (data[0] if data else 0), data[1:]  # a stream, right or wrong


def _talk(
    side: Side, parts: Iterator[bytes] | list[bytes], *, answering: bool
) -> tuple[list[Message], ProtocolError | None]:
    connection = Connection(side, OURS)
    connection.open()
    heard: list[Message] = []
    try:
        for part in parts:
            heard += connection.receive(part)
            if answering:
                _answer(connection)
        connection.receive_eof()
    except ProtocolError as error:
        _is_last(connection, error)
        return heard, error
    return heard, None


def _is_last(connection: Connection, error: ProtocolError) -> None:
    """A conversation has ended with an error, which every later call tells."""
    is_proper(error, 2 * MAX_SAID)
    with pytest.raises(ProtocolError) as caught:
        connection.receive(b"")
    assert str(caught.value) == str(error)


_ANSWERS: Final[Sequence[Message]] = [
    message for message in SAMPLES.values() if not isinstance(message, Hello | Refused | Released)
]


def _answer(connection: Connection) -> None:
    """Say whatever leads on, so that more becomes legal for the other side."""
    common = IN_SESSION[connection.side]
    for _ in range(4):
        legal = TRANSITIONS[connection.side][connection.state]
        for message in _ANSWERS:
            if type(message) in legal and type(message) not in common:
                connection.send(message)
                break


def take_body(data: bytes) -> bool:
    """A compressed body: u32 of what it is to become, then its bytes."""
    if len(data) < 4:
        return False
    (raw_bytes,) = struct.unpack(">I", data[:4])
    raw_bytes %= MAX_BODY_BYTES + 1
    chunk = Chunk(1, data[4:][:MAX_BODY_BYTES], raw_bytes=raw_bytes)
    shrunk = Compressor(lambda: 1.0).shrink(Chunk(1, data[4:]))
    assert expand(shrunk) == Chunk(1, data[4:]), "another content after compression"
    expanded = expand(chunk)
    assert isinstance(expanded, Chunk)
    assert len(expanded.body) == (raw_bytes or len(chunk.body))
    return bool(raw_bytes)


def take_rows(data: bytes) -> bool:
    """Rows, each alone: the first byte says of what."""
    builders: Sequence[Any] = (
        rows.epoch_from,
        rows.generation_from,
        rows.entry_from,
        rows.operation_from,
        rows.attributes_from,
    )
    build = builders[data[0] % len(builders)] if data else builders[0]
    value = build(unpacked(data[1:]))
    if isinstance(value, Attributes):
        row = packed(rows.attributes_row(value))
        assert rows.attributes_from(unpacked(row)) == value
        assert len(row) <= value.head_bytes, "more room is taken than was counted"
    return True


def take_histories(data: bytes) -> bool:
    """Two histories: each sees the other as the other sees it."""
    with shaped():
        one_rows, other_rows = map(list, unpacked(data))
    first, second = (
        History(tuple(map(rows.generation_from, each))) for each in (one_rows, other_rows)
    )
    mirror = {Relation.AHEAD: Relation.BEHIND, Relation.BEHIND: Relation.AHEAD}
    one, other = first.relation(second), second.relation(first)
    assert mirror.get(one, one) == other
    if first.tip is not None:
        grown = first.append(Generation(first.tip.epoch, min(first.number + 1, 2**62)))
        assert grown.contains(grown.entries[-1])
    return True


def take_claims(data: bytes) -> bool:
    """Two hellos: their nodes come to opposite conclusions."""
    claims: list[Claim] = []
    with shaped():
        one_head, other_head = map(packed, unpacked(data))
    for head in (one_head, other_head):
        hello = decode(Frame(NUMBERS[Hello], head))
        assert isinstance(hello, Hello)
        if hello.claim is None:
            return False
        claims.append(hello.claim)
    mine, theirs = claims
    if same_node(mine, theirs):
        return False
    assert elect(mine, theirs).leads != elect(theirs, mine).leads
    return True


def list_tree(data: bytes) -> bool:
    """What a follower lists: msgpack arrays, each the head of a Listing or a Fragment."""
    tree = PeerTree(2)
    with shaped():
        heads = [("entries" in head, packed(head)) for head in unpacked(data)]
    for is_listing, head in heads:
        message = decode(Frame(NUMBERS[Listing if is_listing else Fragment], head))
        assert isinstance(message, Listing | Fragment)
        tree.add(message)
    found = 0
    for folder in range(2):
        below = list(tree.below(folder, ""))
        found += len(below)
        assert tree.count(folder) == sum(entry.kind is not Kind.DIRECTORY for entry in below)
        assert all(tree.entry(folder, entry.path) == entry for entry in below)
    return found > 0


_MESSAGE: Final[Mapping[str, Any]] = {
    "form": Form.MSGPACK,
    "prefix_bytes": 3,
    "held_bytes": MSGPACK_BYTES,
    "longest_bytes": 16 * KIB,
    "allowed": (RemoteProtocolError,),
}

TARGETS: Final = (
    Target(
        name="frames",
        run=cut_frames,
        allowed=(RemoteProtocolError,),
        tokens=(PREAMBLE, struct.pack(">II", 4, 0x03000004), b"\xff\xff\xff\xff"),
        held_bytes=4 * MIB,
        weight=4,
    ),
    Target(name="message", run=take_message, weight=10, **_MESSAGE),
    Target(name="versions", run=take_versions, **_MESSAGE),
    Target(
        name="conversation",
        run=converse,
        allowed=(ProtocolError,),
        form=Form.MSGPACK,
        tokens=(PREAMBLE,),
        held_bytes=MSGPACK_BYTES,
        longest_bytes=16 * KIB,
        weight=8,
    ),
    Target(
        name="body",
        run=take_body,
        allowed=(ReplicationError,),
        tokens=(b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\0\x10\0\0"),
        held_bytes=8 * MIB,
        weight=4,
    ),
    Target(
        name="rows",
        run=take_rows,
        allowed=(ValueError, TypeError),
        form=Form.MSGPACK,
        prefix_bytes=1,
        held_bytes=MSGPACK_BYTES,
        weight=4,
    ),
    Target(
        name="history",
        run=take_histories,
        allowed=(ValueError, TypeError),
        form=Form.MSGPACK,
        held_bytes=MSGPACK_BYTES,
    ),
    Target(
        name="claims",
        run=take_claims,
        allowed=(RemoteProtocolError,),
        form=Form.MSGPACK,
        held_bytes=MSGPACK_BYTES,
    ),
    Target(
        name="listing",
        run=list_tree,
        allowed=(RemoteProtocolError, ValueError),
        form=Form.MSGPACK,
        longest_bytes=16 * KIB,
        held_bytes=MSGPACK_BYTES,
        weight=4,
    ),
)
