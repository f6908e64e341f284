"""``python -m tests.fuzz.seeds``: the beginnings of the corpus, from real messages and files."""

from __future__ import annotations

import datetime as dt
import json
import os
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sbs.adapters.services import channel
from sbs.adapters.transports import pairing
from sbs.core import messages as m
from sbs.core.codec import encode
from sbs.core.connection import last_words
from sbs.core.frames import PREAMBLE
from sbs.replication.bodies import Compressor
from tests.core.test_codec import SAMPLES, fields_of, frame_of
from tests.fuzz.contract import repacked as packed
from tests.fuzz.engine import CORPUS
from tests.fuzz.records import KEY
from tests.fuzz.seeds_disk import PARTS

_EXAMPLES: Final = Path(__file__).parents[2] / "examples"

_ACCEPTOR: Final = ("hello", "welcome", "folders", "begin", "pack", "chunk", "patch", "commit")
_FOLLOWED: Final = ("hello", "follow", "listing", "committed", "failed", "findings", "audited")


def _message(name: str) -> bytes:
    frame = frame_of(encode(SAMPLES[name]))
    return bytes((frame.type,)) + len(frame.body).to_bytes(2) + frame.head + frame.body


def _talk(flags: int, names: Sequence[str]) -> bytes:
    frames = [
        (frame_of(encode(SAMPLES[name])).type, fields_of(name), _body(name)) for name in names
    ]
    return packed(flags) + packed(frames)


def _body(name: str) -> bytes:
    return frame_of(encode(SAMPLES[name])).body


def _wire() -> Iterator[tuple[str, bytes]]:
    every = [encode(message) for message in SAMPLES.values()]
    yield "frames", b"\0" + PREAMBLE + b"".join(every[:6])
    yield "frames", b"\7" + PREAMBLE + b"".join(every[6:])
    yield "frames", b"\3" + last_words(b"\xee" * 32)
    yield "frames", b"\1GET / HTTP/1.1\r\n\r\n"
    for name in SAMPLES:
        yield "message", _message(name)
    yield "versions", _message("hello")
    yield "versions", b"\1\0\0" + packed({"versions": [2, 9], "claim": {"mode": "quantum"}})
    yield "conversation", _talk(1, _ACCEPTOR)
    yield "conversation", _talk(1, ("hello", "welcome", "folders", "released", "will"))
    yield "conversation", _talk(4, _FOLLOWED)
    yield "conversation", _talk(8, ("hello", "follow", "fragment", "listing", "failed", "taken"))
    yield "conversation", _talk(0, ("hello of a visitor", "refused"))
    yield "conversation", b"\1" + last_words(b"\xee" * 32)
    for text in (b"hello" * 900, bytes(70_000)):
        shrunk = Compressor(lambda: 1.0).shrink(m.Chunk(1, text))
        assert isinstance(shrunk, m.Chunk)
        yield "body", struct.pack(">I", len(text)) + shrunk.body
    yield "body", bytes(4) + b"as it is"
    epoch, generation = [3, 1], [3, 1, 41, bytes(range(32))]
    entry = fields_of("listing")["entries"][3]
    operation = fields_of("pack")["operations"][1]
    owned = fields_of("pack")["operations"][5][-1]
    for number, row in enumerate((epoch, generation, entry, operation, owned)):
        yield "rows", bytes((number,)) + packed(row)
    generations = fields_of("welcome")["history"]
    for other in ([], generations, generations[:2], [[3, 0, 41, b"\1" * 32]]):
        yield "history", packed([generations, other])
    hello = fields_of("hello")
    for changed in (
        {"role": "waiting"},
        {"role": "secondary", "history": []},
        {"history": [[3, 1, 42, b"\1" * 32]], "held": True, "role": "waiting"},
        {"history": hello["claim"]["history"][:2], "mode": "backup-only"},
        {"priority": 7, "on_silence": True, "policy": "protect"},
    ):
        other = {**hello, "claim": {**hello["claim"], "node_id": "f" * 32, **changed}}
        yield "claims", packed([hello, other])
    listing = fields_of("listing")
    yield "listing", packed([listing])
    directory, link, *files = listing["entries"]
    together = {**listing, "entries": [directory, *files, link], "last": False}
    yield (
        "listing",
        packed([fields_of("fragment"), together, {**together, "folder": 1, "last": True}]),
    )


def _words() -> Iterator[tuple[str, bytes]]:
    for path in ("a/b.conf", "caf\udce9", "../etc/passwd", "a" * 256, ".sbs.staging/x", "a\0b"):
        yield "path", os.fsencode(path)
    yield "filter", b"- *\n+ */\n+ **/[a-c]*.conf\n\na/b/ac.conf\nx"
    yield "filter", b"- *a*a*a*a*a*a*a*b\n\n" + b"a" * 4000
    yield "filter", b"- **/a/**/a/**/a/**/b\n\n" + b"a/" * 2000 + b"a"
    yield "rules", b"- [!a]*\n+ /x/**\n- ?[]-a]"
    yield "rules", b"- [b-a]"
    yield "folding", "Straße\nSTRASSE\né\ne\u0301\nİ\ni\u0307".encode()
    for text in (
        b"alpha.example:4445",
        b"[fe80::1%eth0]:1",
        b"10.0.0.1",
        b"::1",
        b"a:b",
        b"a:65536",
    ):
        yield "address", text
    for text in (b"http://etcd-1:2379", b"https://[::1]:1/", b"http://0x7f.1:1", b"http://a"):
        yield "endpoint", text
    for text in (b"off", b"50%", b"20", b"101%", b"-1"):
        yield "limit", text
    for text in (b"3.1-41-0123abcd", b"3.1-41-restore-2", b"9999999999999999999.1-1-0123abcd"):
        yield "mark", text
    for text in (b"printer@1.service", b"printer-*", b"a.socket", b"a@"):
        yield "unit", text
    for text in (b"plain", b"\x1b[2J\r\n", "\u202eabc\u2028\x85".encode(), b'\xff\\"'):
        yield "shown", text
    yield "letter", b"alpha\nbeta\r\nBcc: x@y\n<script>\n=?utf-8?q?=0d=0aBcc:?="
    yield "letter", b"alpha"


def _local() -> Iterator[tuple[str, bytes]]:
    for request in (
        {"command": "status"},
        {"command": "switchover", "dry_run": True},
        {"command": "takeover", "force": True},
        {"command": "sync", "accept": "3f6a90b1c2d4", "quick": True},
        {"command": "verify", "bytes_s": 1.5},
        {"command": "restore", "folder": "data", "path": "a", "generation": 41},
        {"command": "unit-start", "name": "printer-1", "again": True},
        {"command": "unit-stop", "name": "printer-1"},
        {"command": "none"},
    ):
        yield "command", json.dumps(request).encode() + b"\n"
    yield "answer", b'{"ok": true, "result": {"role": "primary"}}\n'
    yield "answer", b'{"ok": false, "error": "held", "exit_code": 4}\n'
    for report in (
        {"report": "started", "run": 1, "pid": 2},
        {"report": "exited", "run": 1, "code": -9},
    ):
        yield "report", json.dumps(report).encode()
    yield "report", b'{"report": "failed", "run": 1, "text": "no such file"}'
    yield "unit-report", b'{"report": "done", "run": 3}'
    yield "unit-report", b'{"report": "expired", "run": 0}'
    yield "order", channel.guard_message(None, 1.0)
    yield "order", channel.bequeath_message(b"\1")
    offer = b"220 mail ready\r\n250-mail\r\n250 AUTH %s\r\n"
    taken = b"235 ok\r\n250 ok\r\n250 ok\r\n550 who?\r\n354 go\r\n250 queued\r\n221 bye\r\n"
    yield "smtp", offer % b"PLAIN" + taken.replace(b"550 who?", b"250 ok")
    yield "smtp", offer % b"PLAIN" + taken
    yield "smtp", offer % b"CRAM-MD5" + b"334 PDEyQG1haWw+\r\n" + taken
    yield "smtp", offer % b"LOGIN" + b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 no\r\n"
    get = b"GET /status.json?x HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 7\r\n\r\n"
    yield "http", get + b"HEAD http://x/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    yield "http", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    yield "http", b"GET / HTTP/1.0\r\n\r\n"
    yield "http", b"\x16\x03\x01"
    yield "etcd", packed(_votes())
    yield "etcd", packed([b"", b"<html>"])


def _votes() -> Sequence[Any]:
    header = {"raft_term": "2"}
    held = {"key": "aw==", "value": "bWU=", "mod_revision": "9", "lease": "7"}
    granted: Sequence[Any] = ({"header": header}, {"ID": "7", "TTL": "10"}, {"succeeded": True})
    renewed = ({"result": {"header": header, "TTL": "10"}}, {"header": header, "kvs": [held]})
    return (*granted, *renewed, {"header": header, "kvs": [held]}, {"succeeded": True}, {})


def certificate(name: str = "alpha") -> x509.Certificate:
    """Of a key and a number that are always the same."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2036, 1, 1, tzinfo=dt.UTC))
        .sign(KEY, None)
    )


def _identities() -> Iterator[tuple[str, bytes]]:
    pem = certificate().public_bytes(Encoding.PEM)
    yield "pins", pem
    yield "pins", pem + b"between\n" + certificate("b\n").public_bytes(Encoding.PEM)
    yield "pins", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    yield "pins", b""
    for text in (b"123-456-789", b" 123456789\n", b"12345678", "\u0661".encode() * 9):
        yield "code", text
    element = bytes.fromhex("e9" * 32)
    yield "pair-stranger", b"\1" + pairing.PREAMBLE + b"\1"
    yield "pair-stranger", b"\0" + pairing.PREAMBLE + b"\1" + element + b"\4\0\1\1"
    yield "pair-stranger", b"\7" + PREAMBLE
    der = certificate().public_bytes(Encoding.DER)
    both = (len(der).to_bytes(2) + der) * 2
    for side in (b"\0", b"\1"):
        yield "pair-partner", side + packed([[1, both], [2, b""], [3, b""]])
    yield "pair-partner", b"\1" + packed([[1, both], [4, b"\3"]])


def _encryption() -> Iterator[tuple[str, bytes]]:
    words = last_words(b"\xee" * 32)
    for data in (words, words[:-1], words + b"\0", PREAMBLE):
        yield "testament", data
    pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    for key in (pem, locked):
        yield "identity", key + certificate().public_bytes(Encoding.PEM)
    yield "tls", b"\1" + words
    yield "tls", b"\0" + words
    yield "tls", b"\0GET / HTTP/1.1\r\n\r\n"
    yield "tls", b"\1\x15\3\3\0\2\2\x28"
    yield "tls", b"\0" + _client_hello()


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="alpha")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def main() -> None:
    """Write the seeds; what was found by fuzzing stays beside them."""
    count: dict[str, int] = {}
    for part in (_wire, _encryption, _identities, _words, _local, *PARTS):
        for target, data in part():
            count[target] = count.get(target, 0) + 1
            place = CORPUS / target
            place.mkdir(parents=True, exist_ok=True)
            (place / f"seed-{count[target]:02}").write_bytes(data)


if __name__ == "__main__":
    main()
