"""Identities in files, and what is made of them."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sbs.adapters.transports.identity import Certificate, make_identity, parse_certificates
from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.transports.tls import Credentials, TlsTransport
from sbs.ports import Transport


class Identities:
    """Identities of nodes in one directory, each made when it is first named."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, name: str, valid_days: int = 3650) -> str:
        """The file with a node's identity."""
        path = self._directory / f"{name}.pem"
        if not path.exists():
            path.touch(0o600)
            path.write_bytes(make_identity(name, dt.datetime.now(dt.UTC), valid_days))
        return str(path)

    def read(self, name: str) -> bytes:
        """What stands in that file."""
        return Path(self.path(name)).read_bytes()

    def certificate(self, name: str) -> Certificate:
        """That of a node."""
        return parse_certificates(self.read(name).decode(), name)[0]

    def pins(self, *names: str) -> str:
        """A file that pins the certificates of some nodes."""
        path = self._directory / f"{'+'.join(names)}.pins"
        path.touch(0o600)
        path.write_text("".join(self.certificate(name).pem for name in names), "ascii")
        return str(path)

    def sign(self, name: str, by: str) -> None:
        """Make an identity whose certificate is signed by another one's key."""
        signer = serialization.load_pem_private_key(self.read(by), None)
        assert isinstance(signer, Ed25519PrivateKey)
        issuer = x509.load_pem_x509_certificate(self.read(by))
        key = Ed25519PrivateKey.generate()
        signed = (
            x509.CertificateBuilder()
            .subject_name(issuer.subject)
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(issuer.not_valid_before_utc)
            .not_valid_after(issuer.not_valid_after_utc)
            .sign(signer, None)
        )
        pem, clear = serialization.Encoding.PEM, serialization.NoEncryption()
        path = self._directory / f"{name}.pem"
        path.touch(0o600)
        path.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, clear)
            + signed.public_bytes(pem)
        )

    def transport(self, own: str, *pinned: str) -> TlsTransport:
        """That of a node which takes some others for its peer."""
        credentials = Credentials(self.path(own), self.pins(*pinned))
        return TlsTransport(credentials, TcpTransport(bind_bound_s=0.0))

    def client(self, own: str | None) -> ssl.SSLContext:
        """A client that looks at nobody's certificate, and shows that of ``own``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if own is not None:
            context.load_cert_chain(self.path(own))
        return context


@asynccontextmanager
async def connected(
    accepting: Transport, dialling: Transport
) -> AsyncGenerator[tuple[trio.abc.Stream, trio.abc.Stream]]:
    """Both ends of a connection that nobody has used yet: the dialling, the accepting one."""
    listener = await accepting.listen("127.0.0.1:0")
    dialled = await dialling.dial(listener.address)
    accepted = await listener.accept()
    try:
        yield dialled, accepted
    finally:
        await listener.aclose()
        for stream in (dialled, accepted):
            await trio.aclose_forcefully(stream)


async def use(stream: trio.abc.Stream, result: dict[str, object], name: str) -> None:
    """Say one byte and hear one; what comes of it is the result under the name."""
    try:
        await stream.send_all(b"!")
        result[name] = await stream.receive_some(1)
    except Exception as error:
        result[name] = error
