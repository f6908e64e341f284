"""Records of TLS, as far as they are looked at before OpenSSL sees them (RFC 8446, section 5.1).

A record is its type, two bytes of a version, two of its length, and so many bytes. In one of the
handshake each message is its type, three bytes of its length, and so many bytes (section 4).
"""

from __future__ import annotations

from typing import Final

PLAIN_ALERT: Final = b"\x15\x03\x03\x00\x02\x02\x46"
"""The alert ``protocol_version``, for whoever does not speak TLS (section 6)."""

_TYPES: Final = range(20, 24)
"""First byte of whatever TLS 1.3 says."""

_HANDSHAKE: Final = 22
"""That of a record with messages of the handshake."""


def is_tls(data: bytes | bytearray) -> bool:
    """Whether first bytes are TLS, as nodes speak it: a ClientHello is in one record."""
    if len(data) >= 9 and data[0] == _HANDSHAKE:
        return int.from_bytes(data[6:9]) + 4 <= int.from_bytes(data[3:5])
    return not data or data[0] in _TYPES


def is_record(data: bytes | bytearray, room_bytes: int) -> bool:
    """Whether the first record is there, or as much of it as a stranger has room for."""
    return len(data) >= 5 and len(data) >= min(5 + int.from_bytes(data[3:5]), room_bytes)
