"""What fuzzing has found, one test for each: the input, and what has to come of it (B62)."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio

from sbs.config.editing import value_at, with_table, with_value
from sbs.config.problems import KeyPath
from sbs.core.codec import MAX_MAP, decode
from sbs.core.filters import MAX_RULE_COMPONENTS, Filter
from sbs.core.frames import Frame
from sbs.core.manifest import Action, FolderSpec, Operation
from sbs.core.messages import Finding
from sbs.core.printable import MAX_LITERAL, MAX_QUOTED, literal, quoted
from sbs.core.scope import check_deletes
from sbs.errors import (
    ConfigError,
    LicenceError,
    NotifyError,
    RemoteProtocolError,
    SbsError,
    ServiceError,
    StateError,
    WitnessError,
)
from sbs.replication.former import kept, undo
from sbs.replication.former.kept import QUARANTINE
from sbs.replication.receiving.journal import DamagedError
from sbs.replication.receiving.overlay import MAX_RANGES
from sbs.runtime.lasting import state
from sbs.runtime.mailing import outbox
from sbs.runtime.operating import client
from sbs.runtime.operating.farewell import Farewell
from sbs.runtime.operating.requests import Requests
from sbs.runtime.showing.conversation import Conversation
from sbs.runtime.showing.pages import Pages
from sbs.runtime.supervisor import Supervisor
from sbs.runtime.updating import conflicts
from tests.fuzz import records
from tests.fuzz.contract import KIB, MIB, repacked, unpacked
from tests.fuzz.engine import CORPUS, FindingError, judge
from tests.fuzz.local import Asked, Stream, ask_etcd, talk_to_mail_server
from tests.fuzz.targets import TABLE
from tests.fuzz.web import Shown

DEEP = b"[" * 1100
"""Deeper than Python's recursion."""


def seed(target: str, number: int = 1) -> bytes:
    return (CORPUS / target / f"seed-{number:02}").read_bytes()


# Of the peer.


@pytest.mark.parametrize("number", [1, 4])
def test_adversarial_7_announced_maps_cost_bounded_memory(number: int) -> None:
    """Nested maps of 32,767 fields each: 78 MiB for 6 kB of a stranger; 8 GiB with msgpack 1.1."""
    head = (b"\xdf" + struct.pack(">I", 32767) + b"\xa1a") * 1000
    with pytest.raises(RemoteProtocolError, match=rf"exceeds max_map_len\({MAX_MAP}\)"):
        decode(Frame(number, head.ljust(65536, b"\xc0")))
    nested = (b"\xdf" + struct.pack(">I", MAX_MAP) + b"\xa1a") * 1000
    target = TABLE["message"]
    assert "bad msgpack" in judge(target, bytes((number, 0, 0)) + nested, measured=True)
    with pytest.raises(FindingError, match="bytes of memory"):
        judge(target.__class__(name="x", run=lambda data: bool([0] * MIB)), nested, measured=True)


def test_a_filter_cannot_have_a_name_for_each_place_of_a_path() -> None:
    """One rule and one path of 4 kB took 15 s, and nothing could interrupt it; hours with all."""
    longest = "- **/" + "*/" * (MAX_RULE_COMPONENTS - 2) + "b"
    assert Filter.parse([longest]).includes("a/" * 2047 + "a", False)
    with pytest.raises(ValueError, match="has 65 components; at most 64 are allowed"):
        Filter.parse([longest.replace("**", "**/a")])


def test_a_leader_whose_filters_take_long_can_be_left() -> None:
    """The follower looked at every directory above a delete before anything could end it."""
    deep = Operation(folder=0, action=Action.DELETE, path="a/" * 2047 + "a")
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls == 100:
            raise trio.Cancelled._create()

    spec = FolderSpec(name="a", path="/a", filters=("- *b",), strict_delete=True)
    with pytest.raises(trio.Cancelled):
        check_deletes([deep], (spec,), check)


def test_a_text_of_others_is_quoted_within_its_limit() -> None:
    """Each character that a terminal obeys is ten when it is shown."""
    assert len(quoted("\U000e0001" * MAX_QUOTED)) == MAX_QUOTED + len("...")
    assert literal("'" * MAX_LITERAL) == repr("'" * MAX_LITERAL)
    assert literal("a" * (MAX_LITERAL + 1)) == repr("a" * MAX_LITERAL + "...")
    assert len(literal("\U000e0001" * MAX_LITERAL)) == MAX_LITERAL + len("'...'")
    assert quoted("a" * MAX_QUOTED) == "a" * MAX_QUOTED


def test_a_generation_that_a_peer_names_is_a_number() -> None:
    """One of 4000 digits went into every status."""
    told = conflicts._told(
        "beta", Finding(folder="x", path="a", kept=f"{QUARANTINE}/1.0-{'9' * 4000}/a")
    )
    assert told.generation == 0


# Of the folders.


@pytest.mark.parametrize(
    "place",
    ["../../../secret", "../../a", "x/../../../a", "/etc/passwd", "a\ud800", "a\0b", ""],
)
def test_adversarial_4_a_list_of_kept_files_names_nothing_outside(
    tmp_path: Path, place: str
) -> None:
    """A surrogate that is no byte ended the node; a place with .. was shown as kept."""
    directory = tmp_path / QUARANTINE
    directory.mkdir(parents=True)
    (tmp_path / "a").write_bytes(b"")
    (tmp_path.parent / "secret").write_bytes(b"")
    line = {"path": "a", "kept": f"{QUARANTINE}/{place}", "generation": 1}
    (directory / kept.LIST_NAME).write_text(json.dumps(line) + "\n", encoding="ascii")
    assert kept.standing("data", os.fspath(tmp_path)) == []


def test_lists_nested_too_deep_are_damaged_lines() -> None:
    """A RecursionError ended the command, or the node that looked at its quarantine."""
    target = TABLE["changes"]
    assert judge(target, b'{"path": "a", "x": ' + DEEP + b"\n" + DEEP) == "nothing"
    assert judge(TABLE["kept"], DEEP + b"\n" + seed("kept")) == ""


@pytest.mark.parametrize(
    ("at", "form", "number"),
    [(8, ">Q", 2**64 - 1), (16, ">q", -1), (24, ">I", 0o10000), (72, ">Q", 2**63)],
)
def test_blocks_of_a_file_that_cannot_be_are_no_version(at: int, form: str, number: int) -> None:
    """Sizes and places beyond 63 bits were an OverflowError in sbs restore."""
    data = bytearray(seed("blocks"))
    struct.pack_into(form, data, at, number)
    fd = os.memfd_create("blocks")
    try:
        os.write(fd, data)
        found = undo.read(fd)
        assert (found is None) is (at != 16)  # a time before 1970 is one
    finally:
        os.close(fd)


def test_blocks_that_announce_more_than_the_file_holds_cost_nothing() -> None:
    """A file of 78 bytes: a mebibyte was made room for, the whole of what the target may take."""
    head = bytearray(seed("blocks")[:78])
    struct.pack_into(">I", head, 68, MAX_RANGES)
    target = attrs.evolve(TABLE["blocks"], held_bytes=64 * KIB)
    assert judge(target, bytes(head), measured=True) == "nothing"


# Of the node itself.


def journal_with(**changed: Any) -> bytes:
    """The record of a seed with some fields changed, as :func:`records.read_record` takes it."""
    data = seed("commit")
    return data[:7] + repacked({**unpacked(data[7:]), **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"places": [7]},
        {"active": "printer"},
        {"roots": {}},
        {"contents_at": float("nan")},
        {
            "contents_at": 2**64 - 1,
            "operations": [[0, 0, "f", 0, None, 5, bytes(32), "", None, None]],
        },
        {"unbuilt": ["x"]},
        {"trees": [[0, "a", "../../x"]]},
        {"trees": [[0, "../a", "x"]]},
        {"overlays": [[2, [1] * 5, b"", 1, []]]},
        {"overlays": [[2, [1] * 5, bytes(32), 2**63, []]]},
        {"overlays": [[2, [1] * 5, bytes(32), 9, [[5, 2], [0, 2]]]]},
        {"folders": [{"name": "a", "path": "/a", "filters": [42]}]},
        {"folders": 7},
        {"operations": [[0, 0, "f", 0, None, 2**62, bytes(32), "", None, None]]},
        {"operations": json.loads("[" * 900 + "]" * 900)},
    ],
    ids=str,
)
def test_a_journal_that_makes_no_sense_is_set_aside(changed: dict[str, Any]) -> None:
    """Checksum or not: it was a crash at every start, or 4 EiB of memory were asked for."""
    with pytest.raises(DamagedError, match="is damaged"):
        records.read_record(journal_with(**changed))


@pytest.mark.parametrize("places", [["srv"], ["/srv\0"], [7], {"a": 1}, "srv", b"x"], ids=str)
def test_a_staged_journal_leads_nowhere_but_to_absolute_places(places: object) -> None:
    assert not records.read_places(b"\1" + repacked(places))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("node_id", "../../etc"),
        ("node_id", "x" * 100_000),
        ("durable", {"slot": float("inf"), "epoch": {"counter": 1, "slot": 0}}),
        ("durable", []),
    ],
    ids=["path", "long", "infinite", "none"],
)
def test_a_state_that_makes_no_sense_is_damaged(key: str, value: object) -> None:
    """An infinite number was a traceback at each start; a long text a line of 100 kB in the log."""
    body = {**json.loads(seed("state")), key: value}
    with pytest.raises(ValueError, match="it is no state") as caught:
        state._parse(records._sealed(json.dumps(body).encode()))
    assert len(str(caught.value)) < records.MAX_TEXT


@pytest.mark.parametrize("field", ["at", "heard_at", "updated_at", "outage_s", "utc_offset_s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, -1e12])
def test_a_message_of_no_time_is_set_aside(field: str, value: float) -> None:
    """It could not be written as a mail, and ended the node at each start."""
    body = json.loads(seed("mail"))
    body["notice"][field] = value
    with pytest.raises(ValueError, match="it is no message"):
        outbox._parse(records._sealed(json.dumps(body).encode()), "alarm.quarantine.1")


@pytest.mark.parametrize(
    "tables",
    [
        [[["data", b"", 7, 1, 2, 3, 4, 5, 6, bytes(32)]], [], [], []],
        [[], [], [["x", 2, 3, 4]], []],
        [[], [], [], [["data", "1:2", "no json"]]],
    ],
    ids=["digests", "mark", "basis"],
)
def test_an_index_with_a_column_of_another_type_says_so(tables: list[object]) -> None:
    """SQLite keeps any type in any column; a TypeError ended the node."""
    with pytest.raises(StateError, match="it may be removed while SBS is stopped"):
        records.read_index(repacked(tables))


def test_an_index_whose_schema_is_no_text_is_set_aside() -> None:
    """SQLite quotes the damage, which Python cannot decode."""
    damaged = seed("database").replace(b"CREATE TABLE basis", b"CREATE TABLE b\xffsis")
    assert judge(TABLE["database"], damaged) == "nothing"


@pytest.mark.parametrize("watchdog_us", ["9" * 400, "9" * 5000, "\u0663", "-1", "1e3"])
def test_a_watchdog_of_no_time_is_none(watchdog_us: str) -> None:
    """WATCHDOG_USEC of 400 digits was a traceback."""
    assert Supervisor.take({"WATCHDOG_USEC": watchdog_us}).watchdog_s == 0


def test_a_licence_is_not_quoted_at_length() -> None:
    """It stands in the status, and anybody can have written it."""
    with pytest.raises(LicenceError) as caught:
        records.read_licence(seed("licence").replace(b'key = "', b'key = "' + b"A" * 4000))
    assert len(str(caught.value)) < records.MAX_TEXT


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sync = 5\n", ("sync", "period_s")),
        ("node = []\n", ("node", "name")),
        ("failover = 'x'\n", ("failover", "fence")),
        ("folders = [1]\n", ("folders", 0, "path")),
    ],
)
def test_what_stands_in_a_tables_place_is_not_edited(text: str, path: KeyPath) -> None:
    """It was a TypeError."""
    with pytest.raises(ConfigError, match="cannot be changed here"):
        with_value(text, path, 7)


@pytest.mark.parametrize("text", ["folders = 5\n", "folders = {}\n", "services = 5\n"])
def test_what_stands_in_an_arrays_place_gets_no_table(text: str) -> None:
    path: KeyPath = ("services", "unit") if "services" in text else ("folders",)
    with pytest.raises(ConfigError, match="cannot be changed here"):
        with_table(text, path, {"name": "a"})


@pytest.mark.parametrize("name", ["a" * 250, "\U000e0001" * 60])
def test_a_folder_that_lies_in_another_is_not_told_at_length(name: str) -> None:
    """Both paths are the longest there are: the other one stood whole in the error."""
    path = "/" + "/".join([name] * 15)
    text = "".join(f'[[folders]]\nname = "{n}"\npath = "{path}{n}"\n' for n in ("", "/b"))
    assert judge(TABLE["config"], text.encode()).startswith("ConfigError")


# Of commands, of what runs beside, and of servers.


@pytest.mark.parametrize("text", [f"[f.{'r.' * 800}c]\np = 5", f"f.{'r.' * 50}c = 5"])
def test_a_file_of_endless_levels_is_not_edited(text: str) -> None:
    """Seed of the first: 4096 bytes of dotted keys, which Python's parser takes."""
    with pytest.raises(ConfigError, match="nested too deeply"):
        with_value(text, ("node", "name"), "beta")
    with pytest.raises(ConfigError, match="nested too deeply"):
        value_at(text, ("node", "name"))


def test_a_mail_server_whose_challenge_is_no_base64_is_no_crash() -> None:
    """It was a traceback in the log, and no word of what the server had said."""
    offer = b"220 mail\r\n250-mail\r\n250 AUTH CRAM-MD5\r\n334 A\r\n"
    with pytest.raises(NotifyError, match="log-in: the server's answer makes no sense"):
        talk_to_mail_server(offer)


@pytest.mark.parametrize(
    ("asked_for", "text"),
    [
        ({"command": "verify", "bytes_s": float("nan")}, "bytes_s nan"),
        ({"command": "verify", "bytes_s": float("inf")}, "bytes_s inf"),
        ({"command": "verify", "bytes_s": 10**400}, "bytes_s 1000"),
        ({"command": "restore", "folder": "a", "path": "b", "generation": -1}, "generation -1"),
        ({"command": "restore", "folder": "a", "path": "b", "generation": 2**63}, "generation 9"),
        ({"command": "restore", "folder": "a", "path": "\ud800", "generation": 1}, "path "),
        ({"command": "restore", "folder": "a", "path": "b\0", "generation": 1}, "path "),
        ({"command": "restore", "folder": "a", "generation": 1}, "path None"),
        ({"command": "unit-start", "name": ["a"]}, r"name \['a'\]"),
        ({"command": "unit-stop", "name": "a" * 5000}, "name 'aaa"),
        ({"command": "x" * 3000}, "unknown command 'xxx"),
        ({"command": {}}, "unknown command {}"),
    ],
)
async def test_a_command_that_makes_no_sense_is_answered(
    asked_for: dict[str, Any], text: str
) -> None:
    """A speed of 401 digits ended the node; a name that is none had no answer."""
    asked: Any = Asked()
    stream = Stream(json.dumps(asked_for).encode() + b"\n")
    requests = Requests(asked, "/nonexistent", asked, Farewell())
    await requests._converse(stream)  # type: ignore[arg-type]
    answer = json.loads(stream.written)
    assert not answer["ok"]
    assert len(answer["error"]) < 1000
    with pytest.raises(SbsError, match=text):
        client._result(bytes(stream.written), "control.sock")


@pytest.mark.parametrize(
    "answer", [b"[]\n", b"{}\n", b"x\n", b"7\n", DEEP + b"\n", b'{"ok": false}\n', b"\xff\n"]
)
def test_an_answer_of_something_else_is_an_error(answer: bytes) -> None:
    """It was a traceback of the command."""
    with pytest.raises(SbsError, match="not a node of SBS"):
        client._result(answer, "control.sock")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("HEAD / HTTP/5.1", 505),
        ("HeAD / HTTP/1.1", 200),
        ("head / HTTP/1.1", 200),
        ("HEAD / HTTP/1.1\r\nContent-Length: 1", 413),
    ],
)
def test_every_odd_request_for_a_head_is_answered(head: str, status: int) -> None:
    """What was written did not fit what h11 expects after HEAD, and nothing was sent at all."""
    stream = Stream(f"{head}\r\nHost: x\r\n\r\n".encode())
    trio.run(Conversation(stream, cast("Pages", Shown())).run)
    assert stream.written.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("target", ["report", "unit-report"])
@pytest.mark.parametrize("packet", [b"", b"[]", b"{}", DEEP, b'{"report": "done"}', b"\xff"])
def test_a_report_that_makes_no_sense_is_an_error_of_services(target: str, packet: bytes) -> None:
    run: Callable[[bytes], bool] = TABLE[target].run
    with pytest.raises(ServiceError, match="unknown report"):
        run(packet)


@pytest.mark.parametrize("found", ["", {}, 7, [7], [[]], [{"value": 7}], [{"value": "?"}]])
def test_what_is_no_key_of_etcd_is_no_vote(found: object) -> None:
    """An empty text in place of the keys was an IndexError (seed 2182367373)."""
    answers = [{"header": {"raft_term": "2"}, "kvs": found}]
    with pytest.raises(WitnessError, match="makes no sense"):
        ask_etcd(repacked(answers))
