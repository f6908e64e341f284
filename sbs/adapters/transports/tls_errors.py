"""What the errors of TLS mean for a pair of nodes, and what an administrator should do."""

from __future__ import annotations

import ssl
from typing import Final

_UNKNOWN: Final = (
    "it does not know this node's certificate ({own}); if this node has a new identity, pair "
    "again: sbs pair"
)

_REASONS: Final = {
    # Found here.
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate: it is no node of this pair",
    "UNSUPPORTED_PROTOCOL": "it speaks an older TLS than 1.3; allowed is TLS 1.3 alone",
    "NO_SHARED_CIPHER": "it has no cipher in common with this side, so it is no node of SBS",
    "HTTP_REQUEST": "it speaks HTTP, so it is no node of SBS",
    "WRONG_VERSION_NUMBER": "it does not speak TLS 1.3, so it is no node of this pair",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": "what it sent was changed on its way",
    # Told by the other side.
    "TLSV1_ALERT_UNKNOWN_CA": _UNKNOWN,
    "SSLV3_ALERT_BAD_CERTIFICATE": _UNKNOWN,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _UNKNOWN,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate, and this side has none",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": (
        "it finds that this node's certificate ({own}) has expired; run sbs pair --renew here, "
        "and set the clocks of both machines right"
    ),
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not speak TLS 1.3, so it is no node of this pair",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the handshake, so it is no node of this pair",
    "TLSV1_ALERT_DECRYPT_ERROR": "what this side sent was changed on its way",
    "SSLV3_ALERT_BAD_RECORD_MAC": "what this side sent was changed on its way",
}


def explain(error: ssl.SSLError, *, own: str, pinned: str) -> str:
    """The words for an error of TLS.

    Args:
        error: as OpenSSL found it, here or by an alert from the other side.
        own: fingerprint of this node's certificate.
        pinned: that of the peer's, as it is known here.

    Returns:
        what it means and what to do, about "it", the other side.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _verdict(error, pinned)
    reason = error.reason or str(error)
    return _REASONS.get(reason, "TLS failed: {reason}").format(own=own, reason=reason)


def _verdict(error: ssl.SSLCertVerificationError, pinned: str) -> str:
    match error.verify_code:
        case 10:  # X509_V_ERR_CERT_HAS_EXPIRED
            return (
                f"its certificate ({pinned}) has expired; run sbs pair --renew there, and set "
                "the clocks of both machines right"
            )
        case 9:  # X509_V_ERR_CERT_NOT_YET_VALID
            return (
                "its certificate is not valid yet; see that the clocks of both machines are right"
            )
        case _:
            return (
                f"its certificate is not the pinned one ({pinned}); if that node has a new "
                "identity, pair again: sbs pair. If not, somebody else poses as it"
            )
