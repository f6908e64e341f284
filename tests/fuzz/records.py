"""Records of the node itself: state, mails, journal, index, lease, licence."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sbs.adapters.licences import form
from sbs.adapters.notifiers.message import make_message
from sbs.adapters.witnesses import folder as lease
from sbs.core.history import History
from sbs.errors import LicenceError, StateError
from sbs.replication.common import Common
from sbs.replication.files.index import Index
from sbs.replication.receiving import journal
from sbs.replication.receiving import record as commits
from sbs.replication.receiving.journal import DamagedError, Journal
from sbs.runtime.lasting import records, state
from sbs.runtime.mailing import outbox
from tests.fuzz.contract import KIB, MIB, Form, Target, is_proper, toml_bytes, unpacked
from tests.fuzz.scratch import directory, scratch

MAX_TEXT: Final = 1000
"""Characters of an error about a file: it stands in a log."""

KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
"""A vendor's key for tests."""

TRUSTED: Final = (form.key_text(KEY.public_key()),)


def unseal(data: bytes) -> bool:
    """A record, as it is."""
    try:
        value = records.unsealed(data, 1, "record")
    except (ValueError, StateError) as error:
        is_proper(error, MAX_TEXT)
        raise
    assert records.unsealed(records.sealed(value, 1), 1, "record") is not None or value is None
    return True


def _sealed(body: bytes) -> bytes:
    """A record whose checksum is right, whatever is in it."""
    text = body.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"version": 1, "sha256": checksum, "body": text}).encode()


def read_state(data: bytes) -> bool:
    """The body of ``node.json``; its checksum is right."""
    try:
        stored = state._parse(_sealed(data))
    except (ValueError, StateError) as error:
        is_proper(error, MAX_TEXT)
        raise
    assert state._parse(state._format(stored)) == stored
    assert len(stored.node_id) == 32
    return True


def read_mail(data: bytes) -> bool:
    """The body of a file of the outbox; its checksum is right."""
    try:
        entry = outbox._parse(_sealed(data), "alarm.quarantine.1")
    except (ValueError, StateError) as error:
        is_proper(error, MAX_TEXT)
        raise
    assert make_message(entry.notice, "sbs@example.org", ["ops@example.org"])
    again = records.sealed(outbox._converter.unstructure(entry), 1)
    assert outbox._parse(again, entry.notice.id) == entry
    return True


def _journal(data: bytes, name: str) -> Journal:
    place = directory() / "journaled"
    place.mkdir(exist_ok=True)
    kept = Journal(os.fspath(place))
    scratch(f"journaled/journal/{name}", data)
    return kept


def _no_check() -> None:
    return None


def _load(data: bytes) -> bool:
    kept = _journal(data, "commit")
    try:
        record = kept.load(_no_check)
    except DamagedError as error:
        is_proper(error, MAX_TEXT)
        for name in os.listdir(kept.directory):
            os.unlink(f"{kept.directory}/{name}")
        raise
    finally:
        kept.close()
    assert record is not None
    assert commits.decode(commits.pack(commits.encode(record))) == record
    assert all(isinstance(place, str) for place in (*record.places, *record.active))
    list(record.overlaid)
    return True


def read_journal(data: bytes) -> bool:
    """The file ``commit``, as it is."""
    return _load(data)


def read_record(data: bytes) -> bool:
    """The record of a journal, with right checksums: u16 length of the contents, these, record."""
    if len(data) < 2:
        return False
    end = 2 + int.from_bytes(data[:2])
    contents, body = data[2:end], data[end:]
    places = commits.pack(["/srv/a"])
    head = journal.MAGIC + struct.pack(">I", len(places)) + blake3(places).digest() + places
    trailer = journal._TRAILER.pack(
        len(head) + len(contents), len(body), blake3(body).digest(), journal.MAGIC
    )
    return _load(head + contents + body + trailer)


def read_places(data: bytes) -> bool:
    """The file ``staged``: as it is, or with a right checksum where the first byte is odd."""
    if data[:1] and data[0] % 2:
        body = data[1:]
        data = journal.MAGIC + struct.pack(">I", len(body)) + blake3(body).digest() + body
    found = _journal(data, "staged").staged_places()
    assert all(os.path.isabs(place) and "\0" not in place for place in found)
    return bool(found)


def read_index(data: bytes) -> bool:
    """Rows of the index, in msgpack: those of digests, common, mark, basis."""
    tables = unpacked(data)
    if not isinstance(tables, list) or len(tables) != 4:
        return False
    path = f"{directory()}/index.db"
    for suffix in ("", "-wal", "-shm"):
        if os.path.lexists(path + suffix):
            os.unlink(path + suffix)
    index = Index(path, boot="a")
    try:
        _fill(index, *tables)
        return _ask(index)
    finally:
        index.close()


def _fill(index: Index, *tables: Any) -> None:
    statements = (
        "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "INSERT OR REPLACE INTO common VALUES (?, ?, ?, ?)",
        "INSERT INTO mark VALUES (?, ?, ?, ?)",
        "INSERT OR REPLACE INTO basis VALUES (?, ?, ?)",
    )
    for statement, rows in zip(statements, tables, strict=True):
        with index.transaction() as database:
            database.executemany(statement, map(tuple, rows))


def _ask(index: Index) -> bool:
    common = Common(index)
    found = len(index.rows("data", ""))
    index.row("data", "", "a")
    index.keep_directories("data", {""})
    common.digest("data", "a")
    common.bases()
    common.missing("data")
    common.reconcile(_NOTHING)
    return found > 0


def open_index(data: bytes) -> bool:
    """A database that is anything."""
    path = scratch("any/index.db", data)
    try:
        index = Index(path, boot="a")
        try:
            return _ask(index)
        finally:
            index.close()
    finally:
        for name in os.listdir(os.path.dirname(path)):
            os.unlink(f"{os.path.dirname(path)}/{name}")


def read_lease(data: bytes) -> bool:
    """The file of the folder witness; with a right checksum where it begins with ``[``."""
    if data[:1] == b"[":
        text = data.decode("utf-8", "replace")
        checksum = lease._checksum(text)
        data = json.dumps({"sbs": 1, "record": text, "sha256": checksum}).encode()
    record = lease._parse(data)
    if record is None:
        return False
    assert isinstance(record.holder, str)
    assert record.ttl_s == record.ttl_s
    return True


def read_licence(data: bytes) -> bool:
    """A licence file; one without a signature is signed."""
    if b"\nsignature = " not in data:
        signature = base64.b64encode(KEY.sign(data)).decode()
        data += f'signature = "{signature}"\n'.encode()
    try:
        licence = form.verify(data, TRUSTED)
    except LicenceError as error:
        is_proper(error, MAX_TEXT)
        raise
    assert form.verify(form.sign(licence, KEY), TRUSTED) == licence
    days = licence.days_left(dt.date(2026, 1, 1))
    return days is None or days >= 0


_NOTHING: Final = History()
_JSON: Final[Mapping[str, Any]] = {
    "form": Form.JSON,
    "allowed": (ValueError, StateError),
    "longest_bytes": 16 * KIB,
}

TARGETS: Final = (
    Target(name="record", run=unseal, **_JSON),
    Target(name="state", run=read_state, weight=4, **_JSON),
    Target(name="mail", run=read_mail, weight=4, **_JSON),
    Target(
        name="journal",
        run=read_journal,
        allowed=(DamagedError,),
        tokens=(journal.MAGIC,),
        held_bytes=8 * MIB,
    ),
    Target(
        name="commit",
        run=read_record,
        allowed=(DamagedError,),
        form=Form.MSGPACK,
        prefix_bytes=7,
        longest_bytes=8 * KIB,
        held_bytes=96 * MIB,
        weight=6,
    ),
    Target(
        name="places",
        run=read_places,
        form=Form.MSGPACK,
        prefix_bytes=1,
        tokens=(journal.MAGIC,),
        held_bytes=96 * MIB,
    ),
    Target(
        name="index",
        run=read_index,
        allowed=(StateError,),
        form=Form.MSGPACK,
        longest_bytes=4 * KIB,
        held_bytes=8 * MIB,
    ),
    Target(name="database", run=open_index, allowed=(StateError,), longest_bytes=64 * KIB),
    Target(name="lease", run=read_lease, form=Form.JSON),
    Target(
        name="licence",
        run=read_licence,
        allowed=(LicenceError,),
        form=Form.TEXT,
        tokens=(b"sbs_licence = 1", b"2027-01-31", b"\nsignature = ", b"[[[[", b'"full"', b"a.b=1"),
        held_bytes=toml_bytes(4 * KIB),
        held_per_byte=2000,
    ),
)
