"""Counts and sizes: negative, zero, huge, of another type, or other than what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from sbs.core.codec import NUMBERS
from sbs.core.frames import PREAMBLE
from sbs.core.manifest import Entry, Kind
from sbs.core.messages import (
    Audit,
    Chunk,
    Commit,
    Failed,
    Findings,
    Folders,
    Fragment,
    Heartbeat,
    Hello,
    Listing,
    Message,
    Pack,
    Patch,
)
from tests.hostile.case import CLOSED, QUIET, Case, Sends, said
from tests.hostile.forge import forged, forged_with, frame, header, nested, packed, with_row
from tests.hostile.peer import CLAIM, FOLDER, Peer, put
from tests.hostile.stages import BEGUN, CURRENT, FOLLOWING, IN_STEP, SILENT, WELCOMED

HUGE: Final = 2**63
PUT, CONTENT = put("x")
PACK: Final = Pack((PUT,), CONTENT)
HEARTBEAT: Final = NUMBERS[Heartbeat]

FRAMES: Final[dict[str, tuple[bytes, str]]] = {
    "a frame of 4 GiB": (header(HEARTBEAT, 2**32 - 1, 16), "body of"),
    "a head that is longer than its frame": (header(HEARTBEAT, 4, 5), "in a length of 4"),
    "a head of 16 MiB": (header(HEARTBEAT, 2**24 - 1, 2**24 - 1), "head of"),
    "a body where none is allowed": (frame(HEARTBEAT, packed({}), b"x"), "Heartbeat"),
    "a type that there is not": (frame(255, packed({})), "unknown type 255"),
    "a type of zero": (frame(0, packed({})), "unknown type 0"),
    "an empty head": (frame(HEARTBEAT, b""), "bad msgpack"),
    "a head that is no map": (frame(HEARTBEAT, packed([1, 2])), "no map"),
    "a head and more": (frame(HEARTBEAT, packed({}) + b"\xc0"), "bad msgpack"),
    "a field twice": (frame(HEARTBEAT, b"\x82\xa4echo\x01\xa4echo\x01"), "twice"),
    "a field that nobody knows": (forged(Heartbeat(1), hooks=["reboot"]), "unknown field 'hooks'"),
    "a field that is missing": (frame(HEARTBEAT, packed({"echo": 0})), "'sequence' is missing"),
    "a number for a field": (frame(HEARTBEAT, packed({1: 2})), "Heartbeat"),
    "an array of four thousand million": (frame(HEARTBEAT, b"\xdd" + b"\xff" * 4), "bad msgpack"),
    "a map of four thousand million": (frame(HEARTBEAT, b"\xdf" + b"\xff" * 4), "bad msgpack"),
    "a text of four gigabytes": (frame(HEARTBEAT, b"\xdb" + b"\xff" * 4), "bad msgpack"),
    "arrays in each other, 100,000 deep": (frame(HEARTBEAT, nested(b"\x91", 100_000)), "msgpack"),
    "arrays in each other, 8192 wide": (frame(HEARTBEAT, nested(b"\xdc\x20\x00", 4000)), "msgpack"),
    "maps in each other": (frame(HEARTBEAT, nested(b"\x81\xa1a", 100_000)), "msgpack"),
    "a type of msgpack that is not used": (frame(HEARTBEAT, b"\xc7\x00\x01"), "msgpack|no map"),
    "a boolean for a number": (forged(Heartbeat(1), sequence=True), "must be int, not bool"),
    "a fraction for a number": (forged(Heartbeat(1), sequence=1.0), "must be int, not float"),
    "a negative number": (forged(Heartbeat(1), sequence=-1), "'sequence'"),
    "a number of 64 bits": (forged(Heartbeat(1), sequence=HUGE), "'sequence'"),
}

OPERATIONS: Final[dict[str, tuple[int, object]]] = {
    "a folder below zero": (0, -1),
    "a folder beyond all": (0, 256),
    "an action that there is not": (1, 9),
    "a negative mode": (3, -1),
    "a mode with more than twelve bits": (3, 0o10000),
    "a time beyond 64 bits": (4, HUGE),
    "a negative size": (5, -1),
    "a size beyond all": (5, 2**62 + 1),
    "a digest of 31 bytes": (6, bytes(31)),
    "a digest that is text": (6, "x" * 32),
    "a target with a NUL byte": (7, "a\0b"),
    "a target over 4096 characters": (7, "x" * 4097),
    "a negative stream": (8, -1),
    "a stream beyond all": (8, 2**31),
    "attributes of another shape": (9, [1, 2, 3]),
    "an owner beyond all": (9, [["", 2**32 - 1, "", 0], None]),
    "an attribute of the node": (9, [None, [["security.selinux", b"x"]]]),
    "an attribute that nobody knows": (9, [None, [["system.evil", b"x"]]]),
    "an attribute with a NUL byte": (9, [None, [["user.a\0b", b"x"]]]),
    "an attribute over its size": (9, [None, [["user.a", bytes(65537)]]]),
    "attributes over their size": (
        9,
        [None, [[f"user.{letter}", bytes(65536)] for letter in "abc"]],
    ),
    "an attribute twice": (9, [None, [["user.a", b""], ["user.a", b""]]]),
}

ENTRIES: Final[dict[str, tuple[int, object]]] = {
    "a kind that there is not": (1, 3),
    "a negative size": (3, -1),
    "a size beyond all": (3, 2**62 + 1),
    "a digest of one byte": (5, b"x"),
    "attributes of one byte": (7, b"x"),
}


BEGINS: Final[dict[str, dict[str, object]]] = {
    "number zero": {"number": 0},
    "a number beyond all": {"number": 2**62 + 1},
    "fewer than no files": {"files": -1},
    "a size that is text": {"size_bytes": "1"},
}

BODIES: Final[dict[str, tuple[bytes, int, str]]] = {
    "is shorter than its operations say": (b"", 0, "does not fit its digest"),
    "is longer than its operations say": (b"newest", 0, "of no operation"),
    "is another than its digest says": (b"old", 0, "does not fit its digest"),
    "says that it is compressed, and is not": (b"new", 3, "compressed|zstd|body"),
}


def _begun(fields: dict[str, object]) -> Sends:
    return lambda peer: [forged(peer.begin(), **fields)]


def _operation(number: int, value: object) -> Sends:
    return said(with_row(PACK, "operations", number, value))


def _committed(operations: int) -> Sends:
    """A generation whose commit says something else."""

    def sends(peer: Peer) -> Sequence[Message]:
        begin, pack, commit = peer.generation((PUT, CONTENT))
        assert isinstance(commit, Commit)
        return [begin, pack, attrs.evolve(commit, operations=operations)]

    return sends


def _hello(**fields: object) -> Sends:
    return said(PREAMBLE + forged(Hello(versions=(1, 1), claim=CLAIM), **fields))


def _patch(size_bytes: int) -> Patch:
    return Patch(stream=1, folder=0, path="x", digest=b"", size_bytes=size_bytes)


def _listing(entries: int) -> bytes:
    row = ["", 0, 0, 0, 0, None, "", None]
    rows = [[f"f{number}", *row[1:]] for number in range(entries)]
    return forged(Listing(folder=0), entries=rows)


def _folders(**fields: object) -> Sends:
    return lambda peer: [forged(Folders(peer.epoch, (FOLDER,)), **fields)]


CASES: Final = (
    *(
        Case(name=f"from a secondary, {what}", seen="A7", at=IN_STEP, sends=said(data), text=text)
        for what, (data, text) in FRAMES.items()
    ),
    *(
        Case(
            name=f"an operation with {what}",
            seen="A7",
            at=BEGUN,
            sends=_operation(number, value),
            text="Pack",
        )
        for what, (number, value) in OPERATIONS.items()
    ),
    *(
        Case(
            name=f"an entry with {what}",
            seen="A7",
            at=FOLLOWING,
            sends=said(
                with_row(
                    Listing(folder=0, entries=(Entry(path="x", kind=Kind.FILE),)),
                    "entries",
                    number,
                    value,
                )
            ),
            text="Listing",
        )
        for what, (number, value) in ENTRIES.items()
    ),
    *(
        Case(
            name=f"a generation that begins with {what}",
            seen="A7",
            at=CURRENT,
            sends=_begun(fields),
            text="Begin",
        )
        for what, fields in BEGINS.items()
    ),
    Case(
        name="a generation of the most files and bytes that can be said",
        seen="A7",
        at=CURRENT,
        sends=lambda peer: [attrs.evolve(peer.begin(), files=2**62, size_bytes=2**62)],
        answer=QUIET,
    ),
    *(
        Case(
            name=f"a commit that says {what}",
            seen="CVE-2026-53792",
            at=CURRENT,
            sends=_committed(count),
            answer=Failed,
            text="operations, 1 came",
        )
        for what, count in {"more": 2, "less": 0, "all that can be said": 2**62}.items()
    ),
    *(
        Case(
            name=f"a pack whose body {what}",
            seen="A7",
            at=BEGUN,
            sends=said(forged_with(body, PACK, raw_bytes=raw_bytes)),
            answer=Failed,
            text=text,
        )
        for what, (body, raw_bytes, text) in BODIES.items()
    ),
    Case(
        name="a pack with a negative raw size",
        seen="A7",
        at=BEGUN,
        sends=said(forged(PACK, raw_bytes=-1)),
        text="raw_bytes",
    ),
    Case(
        name="a chunk before the beginning",
        seen="CVE-2026-43618",
        at=BEGUN,
        sends=said(forged(Chunk(1, b"x"), at=-2)),
        text="'at'",
    ),
    Case(
        name="a chunk behind the end of what it patches",
        seen="CVE-2026-43618",
        at=BEGUN,
        sends=lambda _: [_patch(1), Chunk(1, b"x", 0, 2**62)],
        answer=Failed,
        text="stream 1",
    ),
    Case(
        name="a chunk that does not fit into blocks",
        seen="CVE-2026-43618",
        at=BEGUN,
        sends=lambda _: [_patch(300_000), Chunk(1, b"x" * 10, 0, 5)],
        answer=Failed,
        text="stream 1",
    ),
    Case(
        name="a patch of the largest size that can be said",
        seen="A7",
        at=BEGUN,
        sends=lambda _: [_patch(2**62)],
        answer=Failed,
        text="at most",
    ),
    Case(
        name="a patch of zeros, larger than any disk, that is put",
        seen="A19",
        at=BEGUN,
        sends=lambda _: [
            _patch(2**36),
            Pack((attrs.evolve(PUT, stream=1, size_bytes=2**36),), b""),
        ],
        answer=Failed,
        text="x",
    ),
    Case(
        name="an audit of 257 files",
        seen="A7",
        at=CURRENT,
        sends=said(forged(Audit(0, ("x",)), paths=["x"] * 257)),
        text="Audit",
    ),
    Case(
        name="an audit of a folder that there is not",
        seen="A7",
        at=CURRENT,
        sends=lambda _: [Audit(255, ("x",))],
        answer=QUIET,
    ),
    Case(
        name="a listing of 8193 entries",
        seen="A7",
        at=FOLLOWING,
        sends=said(_listing(8193)),
        text="Listing",
    ),
    Case(
        name="a listing of a folder that there is not",
        seen="A7",
        at=FOLLOWING,
        sends=lambda _: [Listing(folder=3, entries=(Entry(path="x", kind=Kind.FILE),))],
        answer=CLOSED,
    ),
    Case(
        name="a fragment in a folder that there is not",
        seen="A7",
        at=FOLLOWING,
        sends=lambda _: [Fragment(folder=3, path="x", size_bytes=1, digest=bytes(32))],
        answer=CLOSED,
    ),
    Case(
        name="a fragment of no bytes",
        seen="A7",
        at=FOLLOWING,
        sends=said(
            forged(Fragment(folder=0, path="x", size_bytes=1, digest=bytes(32)), size_bytes=0)
        ),
        text="Fragment",
    ),
    Case(
        name="a fragment larger than its file",
        seen="A7",
        at=FOLLOWING,
        sends=lambda _: [
            Fragment(folder=0, path="still", size_bytes=2**62, digest=bytes(32)),
            Listing(folder=0, last=True),
        ],
        answer=QUIET,
        prepare=lambda folder, _: (folder / "still").write_text("small"),
    ),
    Case(
        name="1001 fragments",
        seen="A7",
        at=FOLLOWING,
        sends=lambda _: [
            Fragment(folder=0, path=f"f{number}", size_bytes=1, digest=bytes(32))
            for number in range(1001)
        ],
        answer=CLOSED,
    ),
    Case(
        name="101 findings",
        seen="A7",
        at=IN_STEP,
        sends=said(
            forged(
                Findings(findings=(), total=0),
                findings=[{"folder": "f", "path": "p", "text": "", "kept": "", "note": False}]
                * 101,
            )
        ),
        text="Findings",
    ),
    Case(
        name="257 folders",
        seen="A7",
        at=WELCOMED,
        sends=_folders(
            folders=[attrs.asdict(attrs.evolve(FOLDER, name=f"f{number}")) for number in range(257)]
        ),
        text="Folders",
    ),
    Case(
        name="4097 services",
        seen="A7",
        at=BEGUN,
        sends=lambda peer: [forged(peer.commit(()), active=["s"] * 4097)],
        text="Commit",
    ),
    Case(
        name="a hello with 33 facts",
        seen="A7",
        at=SILENT,
        sends=_hello(facts=[{"name": "n", "value": "v"}] * 33),
        text="facts",
    ),
    Case(
        name="a hello with a version of nothing",
        seen="A7",
        at=SILENT,
        sends=_hello(versions=[0, 0]),
        text="versions",
    ),
    Case(
        name="a hello that asks for hooks",
        seen="A10",
        at=SILENT,
        sends=_hello(hooks={"update": [["touch", "/tmp/hacked"]]}, transition=["reboot"]),
        answer=Hello,
    ),
)
