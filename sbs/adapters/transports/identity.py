"""Identities: the key and the certificate by which a node proves who it is (B62).

An identity is one file in PEM: a private key (PKCS #8, Ed25519) and a certificate signed by itself
(X.509, RFC 5280). The other node pins the certificate: it holds a copy, and takes nothing else for
this node. No authority vouches for it, so its names mean nothing, and nobody has to be asked.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import ssl
import stat
import warnings
from typing import Final

import attrs

from sbs.core.permissions import changeable, exposed
from sbs.core.printable import plain, quoted
from sbs.errors import ConfigError

VALID_DAYS: Final = 3650
"""Ten years: as long as a pair of servers lives. The alarm ``identity-expires`` comes before."""

MAX_FILE_BYTES: Final = 64 * 1024
"""Largest file read: a key and a certificate have less than two thousand bytes."""

MAX_PINS: Final = 4
"""Certificates in a file of pins: that of the peer, and its next one while it changes."""

MAX_NAME_CHARS: Final = 64
"""Of a node's name; that in a certificate of others may be any."""

_NOT_BEFORE: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""A server whose clock has lost its battery must still find its peer."""

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


@attrs.frozen(kw_only=True)
class Certificate:
    """A certificate of a node.

    Args:
        der: its bytes.
        name: of the node, for people alone.
        expires_at: from when on nobody accepts it any more.
    """

    der: bytes = attrs.field(repr=False)
    name: str
    expires_at: dt.datetime

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its bytes: 64 hexadecimal digits, in groups of four that people can compare.

        The same digits as ``openssl x509 -fingerprint -sha256`` prints.
        """
        digits = hashlib.sha256(self.der).hexdigest()
        return " ".join(digits[at : at + 4] for at in range(0, len(digits), 4))

    @property
    def pem(self) -> str:
        """As it stands in a file."""
        return ssl.DER_cert_to_PEM_cert(self.der)


def make_identity(name: str, now: dt.datetime, valid_days: int = VALID_DAYS) -> bytes:
    """A new identity: what its file holds.

    Args:
        name: of the node, 1 to 64 characters.
        now: the time, with its zone.
        valid_days: until it expires; below 0 it has expired (for tests).
    """
    # Slow to import, and only needed here.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(now + dt.timedelta(days=valid_days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, None)
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(encoding)


def read_identity(path: str) -> Certificate:
    """The certificate of the identity in a file, which nobody else can read.

    Args:
        path: as ``tls.identity`` names it.

    Raises:
        ConfigError: there is none, others can read it, or it is no identity.
    """
    text = _read("tls.identity", path, secret=True)
    found = parse_certificates(text, f"tls.identity {path}")
    if len(found) != 1 or "PRIVATE KEY-----" not in text:
        raise ConfigError(
            f"tls.identity {path}: allowed are one private key and one certificate, as sbs init "
            "makes them"
        )
    return found[0]


def read_pins(path: str) -> tuple[Certificate, ...]:
    """The certificates that are accepted from the peer.

    Args:
        path: as ``tls.peer_certificate`` names it.

    Returns:
        1 to :data:`MAX_PINS` of them.

    Raises:
        ConfigError: there is no such file, others can write it, or it holds no certificates.
    """
    return parse_certificates(
        _read("tls.peer_certificate", path, secret=False), f"tls.peer_certificate {path}"
    )


def parse_certificates(text: str, where: str) -> tuple[Certificate, ...]:
    """The certificates of a file in PEM; what stands between them is passed over.

    Args:
        text: of the file.
        where: it is from, for the error.

    Returns:
        1 to :data:`MAX_PINS` of them, in their order.

    Raises:
        ConfigError: there are none, too many, or they cannot be read.
    """
    parts = text.split(_BEGIN)[1:]
    if not 1 <= len(parts) <= MAX_PINS:
        raise ConfigError(f"{where}: holds {len(parts)} certificates; allowed are 1 to {MAX_PINS}")
    return tuple(_parse(_BEGIN + part, where) for part in parts)


def _parse(text: str, where: str) -> Certificate:
    from cryptography import x509  # noqa: PLC0415 - slow to import
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - likewise

    body, end, _ = text.partition(_END)
    try:
        with warnings.catch_warnings(action="ignore"):  # of what OpenSSL takes all the same
            found = x509.load_pem_x509_certificate((body + end).encode())
            names = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            found.public_key()
        der = ssl.PEM_cert_to_DER_cert(body + end)
        # It is OpenSSL that has to use it, and that rejects a whole file for one certificate.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
        return Certificate(
            der=der,
            name=plain(str(names[0].value))[:MAX_NAME_CHARS] if names else "",
            expires_at=found.not_valid_after_utc,
        )
    except (ValueError, ssl.SSLError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        reason = quoted(str(error))
        raise ConfigError(f"{where}: a certificate cannot be read: {reason}") from error


def _read(key: str, path: str, *, secret: bool) -> str:
    """The text of a small file that is there to be trusted."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            data = file.read(MAX_FILE_BYTES + 1) if stat.S_ISREG(found.st_mode) else b""
    except FileNotFoundError as error:
        raise ConfigError(f"{key} {path}: does not exist; {_MAKERS[key]}") from error
    except OSError as error:
        raise ConfigError(f"{key} {path}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{key} {path}: is no regular file")
    reason = changeable(found.st_mode, found.st_uid, os.geteuid())
    if secret and not reason:
        reason = exposed(found.st_mode)
    if reason:
        raise ConfigError(f"{key} {path}: {reason}")
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{key} {path}: has over {MAX_FILE_BYTES} bytes")
    return data.decode("ascii", "replace")


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe is not waited for, and a directory not left open."""
    return os.open(path, flags | os.O_NONBLOCK)


_MAKERS: Final = {
    "tls.identity": "sbs init and sbs pair make it",
    "tls.peer_certificate": "sbs pair makes it, once on each node",
}
