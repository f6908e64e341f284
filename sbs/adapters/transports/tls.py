"""TCP with mutual TLS 1.3: both nodes prove who they are by pinned certificates (B62).

There is no plain path beside it, but for one message in one direction: the fencer of an SBS that
is dead tells its testament in plain, since it has no keys. That is a secret whose SHA-256 the
leader told in the encrypted session, so it proves itself. A dialler takes exactly these bytes.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from typing import Final

import attrs

from sbs.adapters.transports.account import caller_of
from sbs.adapters.transports.identity import Certificate, read_identity, read_pins
from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.transports.tls_errors import explain, no_tls, not_pinned
from sbs.adapters.transports.tls_stream import TlsStream
from sbs.core.connection import Connection, Side
from sbs.core.frames import PREAMBLE
from sbs.core.messages import PROTOCOL_VERSION, Hello
from sbs.core.testament import Fenced, PeerFencedError
from sbs.errors import ConfigError, IdentityError, ProtocolError, TransportError
from sbs.log import ERROR, INFO, Log
from sbs.ports import Listener, Transport

_VISITOR: Final = Hello(versions=(1, PROTOCOL_VERSION))
"""Never sent: only to read a testament with."""

_log = Log(__name__)
_UNREAD = _log.event(
    "identity-not-read",
    ERROR,
    "{error}; what was read before stays in use",
    "`tls.identity` or `tls.peer_certificate` was changed, and cannot be used as it is. "
    "Mend it before SBS starts anew, or the node will not.",
)
_READ = _log.event(
    "identity-read",
    INFO,
    "identity and pinned certificates were read again",
    "The files have changed, and count from the next connection on. Nothing to do.",
)


@attrs.frozen(kw_only=True)
class Trust:
    """Who this node is, and whom it takes for its peer.

    Args:
        own: certificate of this node.
        pins: certificates of the peer.
        dialling: TLS for this node as a client.
        accepting: TLS for this node as a server.
    """

    own: Certificate
    pins: tuple[Certificate, ...]
    dialling: ssl.SSLContext = attrs.field(repr=False)
    accepting: ssl.SSLContext = attrs.field(repr=False)


def read_trust(identity: str, peer_certificate: str) -> Trust:
    """Read both files.

    Args:
        identity: path, as ``tls.identity`` names it.
        peer_certificate: path, as ``tls.peer_certificate`` names it.

    Raises:
        ConfigError: one of them is missing, wrong, or not protected; the text says which and why.
    """
    own, pins = read_identity(identity), read_pins(peer_certificate)
    if own in pins:
        raise ConfigError(
            f"tls.peer_certificate {peer_certificate}: holds this node's own certificate; it must "
            "hold that of the other node: run sbs pair"
        )
    made = [_context(side, identity, pins) for side in Side]
    return Trust(own=own, pins=pins, dialling=made[0], accepting=made[1])


def _context(side: Side, identity: str, pins: Sequence[Certificate]) -> ssl.SSLContext:
    dials = side is Side.DIALLER
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if dials else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the certificate itself is what is known, not its names
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a pin need not be an authority
    if not dials:
        context.num_tickets = 0  # each connection proves anew who it is
    try:
        # Without a password it would ask the terminal for one.
        context.load_cert_chain(identity, password=lambda: "")
        context.load_verify_locations(cadata=b"".join(pin.der for pin in pins))
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"tls.identity {identity}: the key cannot be used ({error}); allowed is a key without "
            "a password and its certificate, as sbs init makes them"
        ) from error
    return context


class Credentials:
    """The trust of a node that runs: read again when its files have changed.

    Args:
        identity: path of the file.
        peer_certificate: path of the file.

    Raises:
        ConfigError: see :func:`read_trust`.
    """

    def __init__(self, identity: str, peer_certificate: str) -> None:
        self._paths = (identity, peer_certificate)
        self._seen = self._look()
        self._trust = read_trust(*self._paths)
        self._told = ""

    @property
    def trust(self) -> Trust:
        """As the files say now; as they said before, while they cannot be used."""
        seen = self._look()
        if seen == self._seen:
            return self._trust
        try:
            self._trust = read_trust(*self._paths)
        except ConfigError as error:  # tried again: what was wrong may be no part of the files
            if str(error) != self._told:
                self._told = str(error)
                _UNREAD(error=error)
        else:
            self._seen, self._told = seen, ""
            _READ()
        return self._trust

    def _look(self) -> tuple[object, ...]:
        return tuple(map(_version, self._paths))


def _version(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)


@attrs.frozen
class _Acquaintance:
    """One connection's :class:`~sbs.adapters.transports.tls_stream.Judge`.

    Args:
        side: of this node.
        other: who is at the other end, for people.
        trust: of this node.
    """

    side: Side
    other: str
    trust: Trust

    @property
    def _pinned(self) -> str:
        return " or ".join(pin.fingerprint for pin in self.trust.pins)

    def explain(self, error: ssl.SSLError, *, admitted: bool) -> IdentityError:
        """What an error of TLS means, and what to do."""
        own = self.trust.own.fingerprint
        return explain(error, admitted=admitted, other=self.other, own=own, pinned=self._pinned)

    def admit(self, certificate: bytes) -> None:
        """See that the certificate is a pinned one, and not one that a pinned key has signed.

        Raises:
            IdentityError: it is not.
        """
        if certificate not in {pin.der for pin in self.trust.pins}:
            raise not_pinned(self.other, self._pinned)

    def alien(self, data: bytes, *, is_end: bool) -> TransportError | None:
        """What to make of first bytes that are no TLS: a testament, or a refusal."""
        told = PREAMBLE.startswith(data[: len(PREAMBLE)])
        if told and self.side is Side.DIALLER:
            secret = _testament(data)
            if secret is not None:
                return PeerFencedError(secret)
            if not is_end:
                return None
        return no_tls(self.other, data, is_sbs=told)


def _testament(data: bytes) -> bytes | None:
    """The secret of a testament, if the bytes are exactly one."""
    connection = Connection(Side.DIALLER, _VISITOR)
    connection.open()
    try:
        messages = connection.receive(data)
        connection.receive_eof()
    except ProtocolError:
        return None
    match messages:
        case [Fenced(secret)]:
            return secret
        case _:
            return None


@attrs.frozen
class TlsListener:
    """A :class:`sbs.ports.Listener` whose connections speak TLS."""

    _listener: Listener
    _credentials: Credentials

    @property
    def address(self) -> str:
        """Where it really listens, ``host:port``; known after it was closed, too."""
        return self._listener.address

    @property
    def held_fds(self) -> Sequence[int]:
        """The listening socket."""
        return self._listener.held_fds

    async def accept(self) -> TlsStream:
        """The next connection; its handshake is made when it is first used.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            TransportError: the system refuses.
        """
        stream = await self._listener.accept()
        trust = self._credentials.trust
        judge = _Acquaintance(Side.ACCEPTOR, f"the caller from {caller_of(stream)}", trust)
        return TlsStream(stream, trust.accepting, server_side=True, judge=judge)

    async def aclose(self) -> None:
        """Stop serving; connections stay."""
        await self._listener.aclose()


@attrs.frozen
class TlsTransport:
    """A :class:`sbs.ports.Transport` over TCP and TLS.

    The handshake of a connection is made when it is first used, on both sides: so both must use
    it, as the nodes do, who both say hello at once.

    Args:
        credentials: who this node is, and whom it takes for its peer.
        tcp: below; any other transport does as well.
    """

    credentials: Credentials
    tcp: Transport = attrs.field(factory=TcpTransport)

    async def listen(self, address: str) -> Listener:
        """As :meth:`sbs.adapters.transports.tcp.TcpTransport.listen`."""
        return TlsListener(await self.tcp.listen(address), self.credentials)

    async def dial(self, address: str) -> TlsStream:
        """As :meth:`sbs.adapters.transports.tcp.TcpTransport.dial`."""
        stream = await self.tcp.dial(address)
        trust = self.credentials.trust
        judge = _Acquaintance(Side.DIALLER, address, trust)
        return TlsStream(stream, trust.dialling, server_side=False, judge=judge)
