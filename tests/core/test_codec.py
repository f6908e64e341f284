"""Run as a program, this file writes the golden vectors anew: a change of the protocol."""

from __future__ import annotations

import json
import random
import re
import tracemalloc
from pathlib import Path
from typing import Any

import attrs
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbs.core import messages as m
from sbs.core.attributes import Attributes, Owner
from sbs.core.claim import Claim, Mode, Pause, Policy, Role
from sbs.core.codec import MAX_GREETING_ARRAY, NUMBERS, decode, decode_versions, encode
from sbs.core.epoch import MAX_COUNTER, Epoch
from sbs.core.folding import Folding
from sbs.core.frames import (
    GREETING_LIMITS,
    HEADER,
    PREAMBLE,
    SESSION_LIMITS,
    Frame,
    FrameDecoder,
)
from sbs.core.history import RECENT_GENERATIONS, REMEMBERED_EPOCHS, Generation, History
from sbs.core.manifest import Action, Entry, FolderSpec, Kind, Operation
from sbs.core.testament import Fenced, Will
from sbs.errors import LocalProtocolError, RemoteProtocolError

VECTORS = Path(__file__).parents[1] / "vectors" / "messages.json"

EPOCH = Epoch(3, 1)
GENERATION = Generation(EPOCH, 41, bytes(range(32)))
HISTORY = History((Generation(Epoch(2, 0), 40, b"\xaa" * 32), Generation(EPOCH, 40), GENERATION))
CLAIM = Claim(
    node_id="0123456789abcdef0123456789abcdef",
    name="alpha",
    mode=Mode.SYMMETRIC,
    priority=100,
    slot=1,
    role=Role.PRIMARY,
    epoch=EPOCH,
    history=HISTORY,
    services_die=True,
    policy=Policy.QUORUM,
    witness="etcd printers",
    pause=Pause(2, on=False),
)
FOLDER = FolderSpec(name="settings", path="/srv/app", filters=("+ **", "- *.tmp"))
ATTRIBUTES = Attributes(
    owner=Owner(user="app", uid=1000, group="", gid=2**32 - 2),
    xattrs=(("system.posix_acl_access", b"\2\0"), ("user.\udcff", b"")),
)
PUT = Operation(
    folder=0,
    action=Action.PUT,
    path="a/b.conf",
    mode=0o644,
    mtime_ns=1_700_000_000_123_456_789,
    size_bytes=5,
    digest=b"\xbb" * 32,
)
ODD_NAME = b"caf\xe9\n".decode("utf-8", "surrogateescape")

ZSTD_FRAME = bytes.fromhex("28b52ffd200529000068656c6c6f")
"""The word hello; whether it is what its message says is not the codec's concern."""

SAMPLES: dict[str, m.Message] = {
    "hello": m.Hello(
        versions=(1, 1),
        software="sbs 0.1",
        claim=CLAIM,
        facts=(m.Fact("failover.down_interval_s", "2"), m.Fact("services.adapter", "process")),
        clock_ns=1_763_845_200_250_000_000,
    ),
    "hello of a visitor": m.Hello(versions=(1, 3)),
    "refused": m.Refused(m.Code.NOT_PRIMARY, "beta is primary"),
    "heartbeat": m.Heartbeat(7, 6),
    "follow": m.Follow(EPOCH),
    "welcome": m.Welcome(EPOCH, HISTORY),
    "folders": m.Folders(EPOCH, (FOLDER,)),
    "listing": m.Listing(
        folder=0,
        entries=(
            Entry(path="a", kind=Kind.DIRECTORY, mode=0o755),
            Entry(path="a/l", kind=Kind.SYMLINK, target="../b"),
            Entry(path=ODD_NAME, kind=Kind.FILE, mode=0o4755, size_bytes=9, mtime_ns=-1),
            Entry(path="é", kind=Kind.FILE, size_bytes=1, digest=b"\xcc" * 32),
            Entry(path="o", kind=Kind.FILE, attributes=b"\xab" * 16),
        ),
        last=True,
    ),
    "listing of a folder that folds names": m.Listing(folder=1, folding=Folding.CASE),
    "begin": m.Begin(EPOCH, 42, 2, 2**40),
    "pack": m.Pack(
        (
            Operation(folder=0, action=Action.MKDIR, path="a", mode=0o755),
            PUT,
            attrs.evolve(PUT, path=ODD_NAME, stream=2, mtime_ns=None, size_bytes=2**40),
            Operation(folder=1, action=Action.LINK, path="l", target="a/b.conf"),
            Operation(folder=1, action=Action.TOUCH, path="t", mode=0o600, mtime_ns=0),
            Operation(folder=1, action=Action.TOUCH, path="o", attributes=ATTRIBUTES),
            Operation(folder=255, action=Action.DELETE, path="old"),
        ),
        b"hello",
    ),
    "chunk": m.Chunk(2, b"\x00\x01\x02", 1),
    "compressed pack": m.Pack((PUT,), ZSTD_FRAME, raw_bytes=5),
    "compressed chunk": m.Chunk(2, ZSTD_FRAME, 1, raw_bytes=2**20),
    "chunk of a patched file": m.Chunk(2, b"\x00\x01\x02", 1, 131072),
    "audit": m.Audit(1, ("a/b.conf", ODD_NAME)),
    "audited": m.Audited((b"\xbb" * 32, b"")),
    "patch": m.Patch(stream=3, folder=1, path=ODD_NAME, digest=b"\xbb" * 32, size_bytes=2**33),
    "fragment": m.Fragment(folder=1, path=ODD_NAME, size_bytes=2**33, digest=b"\xbb" * 32),
    "commit": m.Commit(generation=GENERATION, operations=6, active=("printer-1",)),
    "abandon": m.Abandon("stopping"),
    "committed": m.Committed(GENERATION),
    "failed": m.Failed("no space left"),
    "released": m.Released(epoch=EPOCH, generation=GENERATION, granted=9, leaving=True),
    "released before the first generation": m.Released(epoch=EPOCH, generation=None),
    "taken": m.Taken(Epoch(4, 0)),
    "serving": m.Serving(EPOCH),
    "ask lease": m.AskLease(epoch=EPOCH, serial=9, hold_s=10.455),
    "grant lease": m.GrantLease(9),
    "set pause": m.SetPause(Pause(3, on=True)),
    "ask role": m.AskRole("beta is a main server by its new licence"),
    "will": Will(b"\xdd" * 32, "0123456789abcdef0123456789abcdef.5c1f.7"),
    "fenced": Fenced(b"\xee" * 32),
    "findings": m.Findings(
        findings=(
            m.Finding(
                folder="settings",
                path="a/b.conf",
                text="differed from generation 41",
                kept=".sbs.staging/kept/41/a/b.conf",
            ),
            m.Finding(folder="settings", path=ODD_NAME, text="not a file"),
            m.Finding(folder="settings", path="", text="owners cannot be set", note=True),
        ),
        total=3,
    ),
}
EVERY = pytest.mark.parametrize("name", SAMPLES)


def frame_of(data: bytes) -> Frame:
    [frame] = FrameDecoder(SESSION_LIMITS).feed(PREAMBLE + data)
    return frame


def fields_of(name: str) -> dict[str, Any]:
    fields = msgpack.unpackb(frame_of(encode(SAMPLES[name])).head, unicode_errors="surrogateescape")
    assert isinstance(fields, dict)
    return fields


def reframe(name: str, fields: object) -> Frame:
    head = msgpack.packb(fields, unicode_errors="surrogateescape")
    frame = frame_of(encode(SAMPLES[name]))
    return attrs.evolve(frame, head=head)


def as_json(value: object) -> object:
    """Decoded msgpack as JSON; bytes as an object with their hexadecimal digits."""
    match value:
        case bytes():
            return {"hex": value.hex()}
        case list():
            return [as_json(each) for each in value]
        case dict():
            return {key: as_json(each) for key, each in value.items()}
        case _:
            return value


def make_vectors() -> list[dict[str, object]]:
    vectors: list[dict[str, object]] = []
    for name, message in SAMPLES.items():
        data = encode(message)
        frame = frame_of(data)
        vectors.append(
            {
                "name": name,
                "message": type(message).__name__,
                "type": frame.type,
                "head": as_json(fields_of(name)),
                "body": frame.body.hex(),
                "frame": data.hex(),
            }
        )
    return vectors


def test_vectors_change_only_on_purpose() -> None:
    assert make_vectors() == json.loads(VECTORS.read_text("ascii"))


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_text("ascii")), ids=lambda v: v["name"])
def test_golden_frame_is_written_and_read(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["frame"])
    message = SAMPLES[vector["name"]]
    assert encode(message) == data
    assert decode(frame_of(data)) == message
    # What the vector shows for people is what the bytes say.
    length, rest = HEADER.unpack(data[:8])
    assert (len(data) - 8, vector["type"]) == (length, rest >> 24)
    head = msgpack.unpackb(data[8 : 8 + (rest & 0xFFFFFF)], unicode_errors="surrogateescape")
    assert as_json(head) == vector["head"]
    assert data[8 + (rest & 0xFFFFFF) :].hex() == vector["body"]


def test_every_message_has_a_number_and_a_vector() -> None:
    assert set(NUMBERS) == set(m.Message.__args__)
    assert {type(each) for each in SAMPLES.values()} == set(NUMBERS)
    assert sorted(NUMBERS.values()) == list(range(1, len(NUMBERS) + 1))


def test_every_message_is_documented_with_number_and_fields() -> None:
    page = (VECTORS.parents[2] / "docs" / "protocol.md").read_text("utf-8")
    for cls, number in NUMBERS.items():
        [row] = [
            line for line in page.splitlines() if line.startswith(f"| {number} | {cls.__name__}")
        ]
        for field in attrs.fields(cls):
            assert field.name == "body" or f"`{field.name}`" in row


def test_documented_example_is_a_frame() -> None:
    page = (VECTORS.parents[2] / "docs" / "protocol.md").read_text("utf-8")
    for name in ("heartbeat", "chunk"):
        hexadecimal = encode(SAMPLES[name]).hex()
        shown = "".join(re.findall(r"^((?:[0-9a-f]{2} )+) ", page, re.MULTILINE)).replace(" ", "")
        assert hexadecimal in shown


@EVERY
def test_missing_field_is_named(name: str) -> None:
    for field in fields_of(name):
        fields = fields_of(name)
        del fields[field]
        with pytest.raises(RemoteProtocolError, match=f": field '{field}' is missing"):
            decode(reframe(name, fields))


@EVERY
def test_wrong_type_is_named_with_its_field(name: str) -> None:
    class_name = type(SAMPLES[name]).__name__
    for field, value in fields_of(name).items():
        wrongs: list[Any] = [True, 1.5, b"bytes", {"a": 1}, [[]], "text", 2**64 - 1]
        for wrong in wrongs:
            if type(wrong) is type(value) or (field, wrong) == ("text", "text"):
                continue
            with pytest.raises(RemoteProtocolError, match=rf"^{class_name}[.:].*{field}"):
                decode(reframe(name, {**fields_of(name), field: wrong}))


@EVERY
def test_unknown_field_is_refused_except_in_hello(name: str) -> None:
    frame = reframe(name, {**fields_of(name), "colour": [1]})
    if isinstance(SAMPLES[name], m.Hello):
        assert decode(frame) == SAMPLES[name]
    else:
        with pytest.raises(RemoteProtocolError, match="unknown field 'colour'"):
            decode(frame)


def test_unknown_field_in_the_claim_is_ignored_too() -> None:
    fields = fields_of("hello")
    fields["claim"]["colour"] = {"b": b"c"}
    assert decode(reframe("hello", fields)) == SAMPLES["hello"]


def test_field_given_twice_is_refused() -> None:
    head = (
        b"\x82"
        + msgpack.packb("epoch")
        + b"\x92\x01\x01"
        + msgpack.packb("epoch")
        + b"\x92\x02\x01"
    )
    with pytest.raises(RemoteProtocolError, match="Follow: bad msgpack: a map has a key twice"):
        decode(Frame(NUMBERS[m.Follow], head))


@pytest.mark.parametrize(
    ("name", "path", "value", "text"),
    [
        ("heartbeat", ["sequence"], -1, "Heartbeat: 'sequence' must be >= 0: -1"),
        ("heartbeat", ["sequence"], 2**62 + 1, "'sequence' must be <= 4611686018427387904"),
        ("heartbeat", ["sequence"], True, "Heartbeat.sequence: must be int, not bool"),
        ("hello", ["versions"], [1], "Hello.versions: must be an array of the lowest"),
        ("hello", ["versions"], [2, 1], "Hello: 'versions' must be lowest and highest"),
        ("hello", ["versions"], [0, 1], "1 to 65535, not .0, 1."),
        ("hello", ["versions"], [1, 65536], "1 to 65535, not .1, 65536."),
        ("hello", ["claim", "mode"], "wild", "Hello.claim.mode: must be one of .*'wild'"),
        ("hello", ["claim", "node_id"], "x", "Hello.claim: 'node_id' must match"),
        ("hello", ["claim", "name"], "", "Hello.claim: node name ''"),
        ("hello", ["claim", "history", 1], [2, 0, 39, b""], "Hello.claim.history: a history must"),
        ("welcome", ["history", 2, 3], b"short", r"history\[2\]: 'digest' must be 32 bytes"),
        ("folders", ["folders", 0], 5, r"Folders.folders\[0\]: must be a map, not int"),
        ("folders", ["folders", 0, "name"], "a/b", r"Folders.folders\[0\]: folder name 'a/b'"),
        ("folders", ["folders", 0, "filters", 1], 5, r"folders\[0\].filters\[1\]: must be str"),
        ("folders", ["folders"], {}, "Folders.folders: must be an array, not dict"),
        ("listing", ["entries", 0], {}, r"Listing.entries\[0\]: must be an array, not dict"),
        ("listing", ["entries", 0, 1], 3, r"entries\[0\]: 'kind' must be one of \[0, 1, 2\]"),
        ("listing", ["entries", 2, 0], "../x", r"entries\[2\]: path '../x' has a component '.'"),
        ("listing", ["entries", 3, 5], b"x", r"entries\[3\]: 'digest' must be 32 bytes, not 1"),
        ("listing", ["entries", 4, 7], b"x", r"entries\[4\]: 'attributes' must be 16 bytes, not 1"),
        ("listing", ["folder"], 256, "Listing: 'folder' must be <= 255: 256"),
        ("listing", ["folding"], "some", "Listing.folding: must be one of none, case, .*'some'"),
        ("pack", ["operations", 1, 1], 5, r"'action' must be one of \[0, 1, 2, 3, 4\], not 5"),
        ("pack", ["operations", 1, 3], 0o10000, r"operations\[1\]: 'mode' must be 0 to 4095"),
        ("pack", ["operations", 1, 3], True, r"operations\[1\]: 'mode' must be int, not bool"),
        ("pack", ["operations", 5, 9], 7, r"operations\[5\]: must be an array, not int"),
        ("pack", ["operations", 5, 9, 0, 1], True, r"\[5\]: 'uid' must be int, not bool"),
        ("pack", ["operations", 5, 9, 0, 3], 2**32 - 1, r"'gid' must be <= 4294967294"),
        ("pack", ["operations", 5, 9, 0, 0], "x" * 257, r"'user' of 257 characters: at most 256"),
        ("pack", ["operations", 5, 9, 1], {}, r"\[5\]: must be an array, not dict"),
        ("pack", ["operations", 5, 9, 1, 0, 1], "x", r"\[5\]: 'value' must be bytes, not str"),
        ("pack", ["operations", 5, 9, 1, 0, 0], "security.selinux", "is not one that is replic"),
        ("pack", ["operations", 5, 9, 1, 0, 0], "user.\0", "is not one that is replicated"),
        ("pack", ["operations", 5, 9, 1, 0, 0], "user.\udcff", "they must ascend"),
        ("pack", ["operations", 6, 9], [None, None], "'attributes' of DELETE must be None"),
        ("pack", ["operations", 5], [1, 2], r"operations\[5\]: must be an array of 10 fields"),
        ("patch", ["digest"], b"x", "Patch: 'digest' must be 0 or 32 bytes, not 1"),
        ("commit", ["generation", 2], None, "Commit.generation: 'number' must be int, not None"),
        ("ask lease", ["hold_s"], -0.5, "'hold_s' must be 0 to 604800, not -0.5"),
        ("released", ["generation"], [1], "Released.generation: must be an array of 4 fields"),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_and_told(
    name: str, path: list[Any], value: object, text: str
) -> None:
    """Adversarial cases 4 and 7."""
    fields = fields_of(name)
    *way, last = path
    place: Any = fields
    for step in way:
        place = place[step]
    place[last] = value
    with pytest.raises(RemoteProtocolError, match=text):
        decode(reframe(name, fields))


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"", "bad msgpack: Unpack failed: incomplete input"),
        (b"\xc1", "bad msgpack: FormatError"),
        (b"\x81\x01\x01", "bad msgpack: int is not allowed for map key"),
        (b"\x80\x80", "bad msgpack: unpack.b. received extra data"),
        (b"\x91" * 1500 + b"\xc0", "bad msgpack: StackError"),
        (b"\xdd\xff\xff\xff\xff", "bad msgpack: 4294967295 exceeds max_array_len"),
        (b"\x90", "the head is no map but list"),
        (b"\xd6\xff\0\0\0\1", "the head is no map but Timestamp"),
        (b"\x82\xa6stream\x00\xa4body\xc0", "unknown field 'body' in the head"),
        (
            b"\x86\xa6stream\x00\xa6folder\x00\xa2at\xff\xa9raw_bytes\x00\xa1\xff\x01\xc4\x01y\x02",
            r"unknown field '\\udcff'",
        ),
    ],
)
def test_bad_head_is_told(head: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^Chunk: {text}"):
        decode(Frame(NUMBERS[m.Chunk], head))


def test_unknown_type_of_frame_is_told_with_the_allowed_ones() -> None:
    for number in (0, len(NUMBERS) + 1, 255):
        with pytest.raises(RemoteProtocolError, match=f"unknown type {number}; 1 to 28 are"):
            decode(Frame(number, b"\x80"))


def test_body_where_none_belongs_is_refused() -> None:
    frame = attrs.evolve(frame_of(encode(m.Heartbeat(1))), body=b"abc")
    with pytest.raises(RemoteProtocolError, match="Heartbeat has a body of 3 bytes; none is"):
        decode(frame)


def test_error_text_is_bounded() -> None:
    fields = {**fields_of("hello"), "software": "s"}
    fields["claim"]["mode"] = "m" * 10_000
    with pytest.raises(RemoteProtocolError) as caught:
        decode(reframe("hello", fields))
    assert len(str(caught.value)) < 400
    assert str(caught.value).endswith("...")


def test_body_is_not_copied() -> None:
    frame = frame_of(encode(m.Chunk(0, bytes(1000))))
    message = decode(frame)
    assert isinstance(message, m.Chunk)
    assert message.body is frame.body


@pytest.mark.parametrize("count", [m.MAX_ITEMS, m.MAX_ITEMS + 1])
def test_items_of_a_message_are_limited(count: int) -> None:
    row = [0, 4, "a", 0, None, 0, b"", "", None, None]
    frame = reframe("pack", {"operations": [row] * count, "raw_bytes": 0})
    if count == m.MAX_ITEMS:
        message = decode(frame)
        assert isinstance(message, m.Pack)
        assert len(message.operations) == count
    else:
        with pytest.raises(RemoteProtocolError, match=r"8193 exceeds max_array_len\(8192"):
            decode(frame)


@pytest.mark.parametrize(
    ("name", "field", "limit"),
    [("refused", "text", m.MAX_TEXT), ("hello", "software", 100), ("failed", "text", m.MAX_TEXT)],
)
def test_text_is_taken_at_its_limit_and_refused_above(name: str, field: str, limit: int) -> None:
    decode(reframe(name, {**fields_of(name), field: "x" * limit}))
    with pytest.raises(RemoteProtocolError, match=f"Length of '{field}' must be <= {limit}"):
        decode(reframe(name, {**fields_of(name), field: "x" * (limit + 1)}))


def test_list_of_services_is_limited() -> None:
    decode(reframe("commit", {**fields_of("commit"), "active": ["x"] * m.MAX_SERVICES}))
    with pytest.raises(RemoteProtocolError, match="Length of 'active' must be <= 4096: 4097"):
        decode(reframe("commit", {**fields_of("commit"), "active": ["x"] * (m.MAX_SERVICES + 1)}))


def test_message_too_large_for_a_frame_is_not_made() -> None:
    path = "/".join(["d" * 200] * 20)
    operation = Operation(folder=0, action=Action.DELETE, path=path)
    with pytest.raises(LocalProtocolError, match=r"Pack: head of \d+ bytes; at most 2097152"):
        encode(m.Pack((operation,) * 1000))


def test_largest_hello_and_refusal_fit_the_limit_for_strangers() -> None:
    entries = tuple(
        Generation(Epoch(MAX_COUNTER, 1), 2**62 - i, b"d" * 32)
        for i in reversed(range(RECENT_GENERATIONS + REMEMBERED_EPOCHS))
    )
    claim = attrs.evolve(
        CLAIM, name="\U0001d538" * 64, epoch=Epoch(MAX_COUNTER, 1), history=History(entries)
    )
    hello = m.Hello(versions=(65535, 65535), software="\U0001d538" * 100, claim=claim)
    assert len(encode(hello)) < GREETING_LIMITS.head_bytes / 4
    refusal = m.Refused(m.Code.NOT_PRIMARY, "\U0001d538" * m.MAX_TEXT)
    assert len(encode(refusal)) < GREETING_LIMITS.head_bytes / 4


@pytest.mark.parametrize("count", [MAX_GREETING_ARRAY, MAX_GREETING_ARRAY + 1])
def test_arrays_of_a_stranger_are_limited(count: int) -> None:
    frame = reframe("hello", {**fields_of("hello"), "future": [0] * count})
    if count == MAX_GREETING_ARRAY:
        assert decode(frame) == SAMPLES["hello"]
    else:
        with pytest.raises(RemoteProtocolError, match=r"1025 exceeds max_array_len\(1024"):
            decode(frame)


@pytest.mark.parametrize(("cls", "items"), [(m.Hello, 1024), (m.Pack, 8192)])
def test_announced_arrays_cost_bounded_memory(cls: type[m.Message], items: int) -> None:
    """Adversarial case 7: nested arrays that announce far more than they hold."""
    head = (b"\xdd" + items.to_bytes(4)) * 1000 + bytes(items)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="bad msgpack"):
            decode(Frame(NUMBERS[cls], head))
        assert tracemalloc.get_traced_memory()[1] < 9 * 1000 * items + 1_000_000
    finally:
        tracemalloc.stop()


def test_versions_of_a_hello_are_read_whatever_else_it_holds() -> None:
    future = {"versions": [2, 9], "claim": {"mode": "quantum"}, "motto": [b"x"]}
    assert decode_versions(reframe("hello", future)) == (2, 9)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(NUMBERS[m.Hello], b"\x80"), "Hello.versions: must be an array"),
        (Frame(NUMBERS[m.Follow], b"\x80"), "the first message must be Hello, not Follow"),
    ],
)
def test_versions_that_are_not_there_are_told(frame: Frame, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        decode_versions(frame)


@EVERY
def test_head_cut_anywhere_is_refused(name: str) -> None:
    frame = frame_of(encode(SAMPLES[name]))
    for size in range(len(frame.head)):
        with pytest.raises(RemoteProtocolError):
            decode(attrs.evolve(frame, head=frame.head[:size]))


def test_mutated_heads_give_a_message_or_a_remote_error() -> None:
    """Adversarial case 7: 4000 seeded mutations; what is taken can be sent again."""
    rng = random.Random(20)
    frames = [frame_of(encode(message)) for message in SAMPLES.values()]
    taken, longest = 0, 0
    for _ in range(4000):
        frame = rng.choice(frames)
        head = bytearray(frame.head)
        for _ in range(rng.randint(1, 3)):
            head[rng.randrange(len(head))] = rng.choice([rng.randrange(256), 0, 0xFF, 0xC1, 0xDD])
        try:
            message = decode(attrs.evolve(frame, head=bytes(head)))
        except RemoteProtocolError as error:
            longest = max(longest, len(str(error)))
        else:
            taken += 1
            assert decode(frame_of(encode(message))) == message
    assert 0 < taken < 4000
    assert longest < 500


numbers = st.integers(min_value=0, max_value=2**62)
names = st.binary(min_size=1, max_size=50).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(st.lists(st.tuples(names, numbers), max_size=5), st.binary(max_size=100))
def test_any_legal_pack_survives_the_way(items: list[tuple[str, int]], body: bytes) -> None:
    operations = []
    for path, size_bytes in items:
        try:
            operations.append(attrs.evolve(PUT, path=path, size_bytes=size_bytes))
        except ValueError:
            continue
    message = m.Pack(tuple(operations), body)
    assert decode(frame_of(encode(message))) == message


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(make_vectors(), indent=1) + "\n", "ascii")
