"""What the errors of TLS mean for a pair of nodes, and what an administrator should do."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Final

from sbs.errors import IdentityError, RejectedError, TlsError

MAX_QUOTED_BYTES: Final = 32
"""Of what is no TLS: enough for ``GET / HTTP/1.1``."""

_WHO: Final = "find out what program that is; node.peer must be the address of the other node"

_BOTH: Final = "set tls.identity and tls.peer_certificate on both nodes (sbs pair), or on none"

_PATH: Final = "find out what lies between the nodes and changes it"

_ALLOWED: Final = (
    "allowed is TLS 1.3 alone; if that is the other node, a firewall between them looks into TLS: "
    "let it pass this port as it is"
)

_UNKNOWN: Final = (
    "it does not know this node's certificate ({own})",
    "if this node has a new identity, pair again: sbs pair",
)

_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    # Found here.
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": (
        "it shows no certificate",
        "if that is the other node, set tls.identity there (sbs pair); no other program may call",
    ),
    # Told by the other side.
    "TLSV1_ALERT_UNKNOWN_CA": _UNKNOWN,
    "SSLV3_ALERT_BAD_CERTIFICATE": _UNKNOWN,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _UNKNOWN,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": (
        "it wants a certificate, and this side has none",
        "set tls.identity (sbs pair)",
    ),
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "it finds that this node's certificate ({own}) has expired",
        "run sbs pair --renew here, and set the clocks of both machines right",
    ),
}
"""Of who one of both is: what was found, and what to do."""

_TROUBLES: Final[Mapping[str, tuple[str, str]]] = {
    # Found here.
    "UNSUPPORTED_PROTOCOL": ("it speaks an older TLS than 1.3", _ALLOWED),
    "NO_SHARED_CIPHER": ("it has no cipher in common with this side", _WHO),
    "HTTP_REQUEST": ("it speaks HTTP, so it is no node of SBS", _WHO),
    "WRONG_VERSION_NUMBER": ("it does not speak TLS 1.3", _ALLOWED),
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": ("what it sent was changed on its way", _PATH),
    # Told by the other side.
    "TLSV1_ALERT_PROTOCOL_VERSION": ("it does not speak TLS 1.3", _ALLOWED),
    "SSLV3_ALERT_HANDSHAKE_FAILURE": ("it refuses the handshake", _WHO),
    "TLSV1_ALERT_DECRYPT_ERROR": ("what this side sent was changed on its way", _PATH),
    "SSLV3_ALERT_BAD_RECORD_MAC": ("what this side sent was changed on its way", _PATH),
}
"""Of TLS itself: likewise."""


def explain(
    error: ssl.SSLError, *, admitted: bool, other: str, own: str, pinned: str
) -> IdentityError:
    """What an error of TLS means.

    Args:
        error: as OpenSSL found it, here or by an alert from the other side.
        admitted: the other side has proved who it is, so an alert is its own.
        other: who is at the other end, for people.
        own: fingerprint of this node's certificate.
        pinned: that of the peer's, as it is known here.
    """
    match error:
        case ssl.SSLCertVerificationError(verify_code=10):  # X509_V_ERR_CERT_HAS_EXPIRED
            return IdentityError(
                f"{other}: its certificate ({pinned}) has expired",
                "run sbs pair --renew there, and set the clocks of both machines right",
            )
        case ssl.SSLCertVerificationError(verify_code=9):  # X509_V_ERR_CERT_NOT_YET_VALID
            return IdentityError(
                f"{other}: its certificate is not valid yet",
                "set the clocks of both machines right",
            )
        case ssl.SSLCertVerificationError():
            return not_pinned(other, pinned)
        case _:
            pass
    reason = error.reason or str(error)
    if reason in _REFUSALS:
        finding, advice = _REFUSALS[reason]
        kind = RejectedError if admitted else IdentityError
        return kind(f"{other}: {finding.format(own=own)}", advice)
    finding, advice = _TROUBLES.get(reason, (f"TLS failed: {reason}", _WHO))
    return TlsError(f"{other}: {finding}", advice)


def not_pinned(other: str, pinned: str) -> IdentityError:
    """The other side shows another certificate than the pinned one.

    Args:
        other: as for :func:`explain`.
        pinned: likewise.
    """
    return IdentityError(
        f"{other}: its certificate is not the pinned one ({pinned})",
        "if that node has a new identity, pair again: sbs pair. If not, a node.peer is wrong, or "
        "somebody else poses as it",
    )


def no_tls(other: str, data: bytes, *, is_sbs: bool) -> TlsError:
    """The first bytes of the other side are no TLS.

    Args:
        other: as for :func:`explain`.
        data: these bytes.
        is_sbs: they begin as SBS does.
    """
    if is_sbs:
        return TlsError(f"{other} speaks SBS without TLS", _BOTH)
    quoted = data[:MAX_QUOTED_BYTES]
    return TlsError(f"{other} speaks something else than TLS: {quoted!r}", _WHO)
