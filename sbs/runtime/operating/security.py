"""How the connection between the nodes is protected, for ``sbs status`` (B61, B62)."""

from __future__ import annotations

import attrs

from sbs.adapters.transports.tcp import TcpTransport
from sbs.adapters.transports.tls import TlsTransport
from sbs.ports import Transport


@attrs.frozen(kw_only=True)
class Security:
    """What is between this node and its peer.

    Args:
        tls: the nodes speak TLS 1.3, and nothing else.
        fingerprint: of this node's certificate; empty without TLS.
        peer_fingerprint: of the pinned one; of several (while one is renewed) the newest.
        expires: the day on which the first of these two ends, ``YYYY-MM-DD``.
    """

    tls: bool
    fingerprint: str = ""
    peer_fingerprint: str = ""
    expires: str | None = None


def security_of(transport: Transport) -> Security | None:
    """What a transport does; ``None`` if it is one that the program brings.

    Args:
        transport: of the node.
    """
    match transport:
        case TlsTransport(credentials=credentials):
            own, pins = credentials.trust.own, credentials.trust.pins
            newest = max(pins, key=lambda pin: pin.expires_at)
            ends_at = min(own.expires_at, newest.expires_at)
            return Security(
                tls=True,
                fingerprint=own.fingerprint,
                peer_fingerprint=newest.fingerprint,
                expires=ends_at.date().isoformat(),
            )
        case TcpTransport():
            return Security(tls=False)
        case _:
            return None
