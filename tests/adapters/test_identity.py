"""B62: the files by which nodes know each other."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from sbs.adapters.transports.identity import (
    MAX_FILE_BYTES,
    MAX_PINS,
    make_identity,
    parse_certificates,
    read_identity,
    read_pins,
)
from sbs.errors import ConfigError

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def put(path: Path, data: bytes, mode: int = 0o600) -> str:
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return put(tmp_path / "identity.pem", make_identity("alpha", NOW))


def test_an_identity_is_read_as_it_was_made(path: str) -> None:
    found = read_identity(path)
    assert found.name == "alpha"
    assert found.expires_at == NOW + dt.timedelta(days=3650)
    assert parse_certificates(found.pem, "here") == (found,)


def test_each_identity_is_another(path: str) -> None:
    other = make_identity("alpha", NOW).decode()
    assert parse_certificates(other, "here")[0].fingerprint != read_identity(path).fingerprint


def test_openssl_sees_the_same_fingerprint(path: str) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        assert not os.environ.get("SBS_ALL_TOOLS"), "openssl is missing"
        pytest.skip("openssl is not installed")
    words = [openssl, "x509", "-in", path, "-noout", "-fingerprint", "-sha256"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    digits = text.strip().rpartition("=")[2].replace(":", "").lower()
    assert digits == read_identity(path).fingerprint.replace(" ", "")


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o640, "its group can read it; run chmod go= on it"),
        (0o604, "everybody can read it; run chmod go= on it"),
        (0o606, "everybody can write to it; run chmod o-w on it"),
    ],
)
def test_a_key_that_others_can_read_is_refused(path: str, mode: int, words: str) -> None:
    os.chmod(path, mode)
    with pytest.raises(ConfigError, match=words):
        read_identity(path)


def test_pins_that_others_can_change_are_refused(tmp_path: Path, path: str) -> None:
    pins = put(tmp_path / "peer.pem", read_identity(path).pem.encode(), 0o646)
    with pytest.raises(ConfigError, match="everybody can write to it; run chmod o-w on it"):
        read_pins(pins)


def test_pins_hold_the_next_certificate_too(tmp_path: Path) -> None:
    """Rotation without downtime: both are accepted for a while."""
    made = [parse_certificates(make_identity("b", NOW).decode(), "here")[0] for _ in range(5)]
    pins = put(tmp_path / "peer.pem", "".join(each.pem for each in made[:MAX_PINS]).encode(), 0o644)
    assert read_pins(pins) == tuple(made[:MAX_PINS])
    put(tmp_path / "peer.pem", "".join(each.pem for each in made).encode(), 0o644)
    with pytest.raises(ConfigError, match="holds 5 certificates; allowed are 1 to 4"):
        read_pins(pins)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds 0 certificates; allowed are 1 to 4"),
        (b"\xff" * 100, "holds 0 certificates; allowed are 1 to 4"),
        (b"x" * (MAX_FILE_BYTES + 1), "has over 65536 bytes"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\n\xff\n-----END CERTIFICATE-----\n", "cannot be read"),
    ],
)
def test_what_is_no_certificate_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = put(tmp_path / "peer.pem", data)
    for read in (read_pins, read_identity):
        with pytest.raises(ConfigError, match=words):
            read(path)


def test_a_certificate_without_its_key_is_no_identity(tmp_path: Path, path: str) -> None:
    other = put(tmp_path / "other.pem", read_identity(path).pem.encode())
    with pytest.raises(ConfigError, match="allowed are one private key and one certificate"):
        read_identity(other)


def test_a_missing_file_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; sbs init and sbs pair make it"):
        read_identity(str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="does not exist; sbs pair makes it, once on each node"):
        read_pins(str(tmp_path / "none"))


def test_a_pipe_or_a_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="is no regular file"):
        read_identity(str(tmp_path / "pipe"))
    with pytest.raises(ConfigError, match=r"is no regular file|Is a directory"):
        read_identity(str(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_directory_is_not_left_open(tmp_path: Path) -> None:
    """A transport looks at its identity for each connection."""
    opened = os.listdir("/proc/self/fd")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_pins(str(tmp_path))
    assert os.listdir("/proc/self/fd") == opened


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_certificate_is_refused_or_one_that_openssl_takes(seed: int) -> None:
    """Found by this: versions and kinds of keys that are none raised errors of their own."""
    chance = random.Random(seed)
    whole = parse_certificates(make_identity("alpha", NOW).decode(), "here")[0].der
    for _ in range(50):
        der = bytearray(whole)
        for _ in range(chance.randint(1, 3)):
            der[chance.randrange(len(der))] = chance.randrange(256)
        text = ssl.DER_cert_to_PEM_cert(bytes(der))
        try:
            (found,) = parse_certificates(text, "here")
        except ConfigError:
            continue
        else:
            assert found.der == bytes(der)
            assert found.name.isprintable()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_verify_locations(cadata=found.der)
