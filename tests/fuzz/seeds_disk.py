"""Seeds of what is read from disks: settings, records, lists; and of what is written there."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from sbs.adapters.licences import form
from sbs.adapters.witnesses.folder import _Record
from sbs.core import messages as m
from sbs.core.notice import Kind, Notice
from sbs.replication.files.content import digest_of_content
from sbs.replication.files.index import Index, Row
from sbs.replication.former.undo import _HEAD, _MAGIC, _RANGE
from sbs.replication.receiving import journal
from sbs.replication.receiving import record as commits
from sbs.replication.receiving.journal import Journal
from sbs.replication.receiving.overlay import Overlay
from sbs.replication.receiving.record import CommitRecord
from sbs.replication.receiving.trees import Root
from sbs.runtime.lasting.records import sealed
from sbs.runtime.lasting.state import _converter
from sbs.runtime.mailing import outbox
from tests.core.test_codec import FOLDER, HISTORY, SAMPLES
from tests.fuzz.contract import repacked as packed
from tests.fuzz.records import KEY
from tests.runtime.test_state import STORED

_EXAMPLES: Final = Path(__file__).parents[2] / "examples"


def _settings() -> Iterator[tuple[str, bytes]]:
    for name in ("alpha.toml", "beta.toml"):
        yield "config", (_EXAMPLES / name).read_bytes()
        yield "state-dir", (_EXAMPLES / name).read_bytes()
    yield "config", b'[node]\npeer = "10.0.0.2"\nname = "a"\nstate_dir = "/var/lib/sbs"\n'
    for flags in (0, 1, 2, 12, 13, 16, 20):
        yield "edit", bytes((flags,)) + (_EXAMPLES / "alpha.toml").read_bytes()
    inline = b'folders = [{name = "a", path = "/a", filters = ["x", # y\n"z"]}]\nnode.name = 1\n'
    yield "edit", b"\x0c" + inline
    yield "edit", b"\4sync = 5\n"
    yield "config", b"[[[["
    yield "config", b"a = 1\n[failover]\nheartbeat_interval_s = nan\n[[folders]]\nfilters = ['x']\n"
    yield "state-dir", b'[node]\nstate_dir = "s"\n'
    for text in (b"secret\nrest", b"", b"\xff", b"x" * 2000):
        yield "password", text
    for text in (b"/run/systemd/notify\n60000000\n", b"@abstract\n" + b"9" * 20, b"x\n-1\n1"):
        yield "environment", text


def _records() -> Iterator[tuple[str, bytes]]:
    yield "record", sealed({"a": [1, None]}, 1)
    yield "record", sealed([], 2)
    yield "state", json.dumps(_converter.unstructure(STORED)).encode()
    notice = Notice(id="alarm.quarantine.1", kind=Kind.URGENT, at=1.5, node="a", problems=("x",))
    mail = outbox.Entry(notice=notice, done=("a@example.org",))
    yield "mail", json.dumps(outbox._converter.unstructure(mail)).encode()
    pack = SAMPLES["pack"]
    assert isinstance(pack, m.Pack)
    record = CommitRecord(
        history=HISTORY,
        active=("printer-1",),
        folders=(FOLDER,),
        places=("/srv/a",),
        foldings=(),
        operations=tuple(each for each in pack.operations if each.size_bytes == 0),
        contents_at=0,
        trees=(Root(0, "a", "tree-1"),),
        overlays={2: Overlay(stat=(1, 2, 3, 4, 5), digest=b"\1" * 32, size_bytes=1)},
        roots=("1:2",),
    )
    body = commits.pack(commits.encode(record))
    yield "commit", b"\0\5hello" + body
    whole = attrs.evolve(record, operations=(), trees=(), overlays={}, contents_at=60)
    yield "commit", b"\0\5hello" + commits.pack(commits.encode(whole))
    yield "journal", _journal(attrs.evolve(record, operations=(), trees=(), overlays={}))
    yield "journal", journal.MAGIC + bytes(100) + journal.MAGIC
    yield "places", b"\1" + commits.pack(["/srv/a", "/srv/b"])
    yield "places", b"\0" + journal.MAGIC
    digest = bytes(32)
    row = ["data", b"", b"a", 1, 2, 3, 4, 5, 6, digest]
    yield (
        "index",
        packed(
            [
                [row],
                [["data", b"", b"a", digest]],
                [[3, 1, 41, digest]],
                [["data", "1:2", '["- x"]']],
            ]
        ),
    )
    yield "database", _database()
    yield "database", b"SQLite format 3\0" + bytes(84)
    yield "database", b""
    yield "lease", _Record("alpha.1", 7, 10.0).packed()
    yield "lease", b'["alpha.1", 7, 10.0]'
    yield from _licences()


def _journal(record: CommitRecord) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        kept = Journal(place)
        kept.create(["/srv/a"])
        kept.append(b"hello")
        kept.commit(record)
        kept.close()
        return Path(place, "journal", "commit").read_bytes()


def _database() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        index = Index(f"{place}/index.db", boot="a")
        index.store("data", [("", "a", Row((1, 2, 3, 4, 5), bytes(32), 6))])
        index.close()
        return Path(place, "index.db").read_bytes()


def _licences() -> Iterator[tuple[str, bytes]]:
    lines = [
        *("sbs_licence = 1", 'serial = "1"', 'kind = "full"', 'holder = "h"', 'node = "alpha"'),
        *(
            "issued = 2026-01-31",
            "expires = 2027-01-31",
            f'key = "{form.key_text(KEY.public_key())}"',
        ),
    ]
    body = "".join(f"{line}\n" for line in lines).encode()
    yield "licence", body
    yield "licence", body + b'signature = "' + b"A" * 86 + b'=="\n'


def _folders() -> Iterator[tuple[str, bytes]]:
    former = '"former": {"kept": "1", "kind": "file", "size_bytes": 6, "mtime_ns": 5}'
    summary = '{"at": 1.5, "kept": 1, "kept_bytes": 6, "changes": {"put": 1}}'
    yield (
        "changes",
        f'{{"path": "a", "action": "put", "digest": "{"0" * 64}", {former}}}\n{summary}\n'.encode(),
    )
    place = ".sbs.staging/quarantine/3.1-41/a"
    yield "kept", json.dumps({"path": "a", "kept": place, "generation": 41}).encode() + b"\n"
    yield "kept", b'{"path": "a", "kept": ".sbs.staging/quarantine/../../a", "generation": 1}\n'
    head = _HEAD.pack(_MAGIC, 10, 5, 0o644, 0, 0, bytes(32), 1)
    yield "blocks", head + _RANGE.pack(2, 5) + b"hello" + bytes(32)
    yield "blocks", head
    yield "findings", place.encode()
    yield "findings", b"elsewhere"


def _disk() -> Iterator[tuple[str, bytes]]:
    def row(action: int, path: str, size_bytes: int = 0, **fields: Any) -> list[Any]:
        target, stream = fields.get("target", ""), fields.get("stream")
        owner = [["", 0, "", 0], [["user.x", b"y"]]] if action < 4 and action != 2 else None
        digest = fields.get("digest", b"")
        return [0, action, path, 0o644, 5, size_bytes, digest, target, stream, owner]

    def pack(body: bytes, *rows: list[Any]) -> list[Any]:
        return [9, {"operations": [*rows], "raw_bytes": 0}, body]

    def chunk(stream: int, body: bytes, at: int = -1) -> list[Any]:
        return [10, {"stream": stream, "folder": 0, "at": at, "raw_bytes": 0}, body]

    patch = {"stream": 2, "folder": 0, "path": "g", "digest": b"", "size_bytes": 300_000}
    zeros = digest_of_content(bytes(300_000))
    new = (row(1, "n"), row(0, "n/f", 5), row(2, "n/l", target="../../outside"))
    yield "generation", packed([pack(b"hellothere", *new, row(0, "g", 5), row(3, "d/f"))])
    yield "generation", packed([pack(b"", row(4, "d/f"), row(4, "d/e"), row(4, "d"), row(2, "d"))])
    yield "generation", packed([chunk(1, b"large"), pack(b"", row(0, "d/l", 5, stream=1))])
    yield (
        "generation",
        packed([[24, patch, b""], pack(b"", row(0, "g", 300_000, stream=2, digest=zeros))]),
    )
    yield "generation", packed([pack(b"x", row(0, "out/file", 1))])
    yield "generation", packed([pack(b"x", row(2, "d", target="/dir"), row(0, "d/file", 1))])


PARTS: Final = (_settings, _records, _folders, _disk)
