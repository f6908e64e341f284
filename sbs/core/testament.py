"""How a follower knows the fencer of a leader whose SBS is dead (B31): two messages."""

from __future__ import annotations

import hashlib
import hmac

import attrs
from attrs.validators import instance_of, max_len

from sbs.errors import TransportError

SECRET_BYTES = 32
"""Size of a testament's secret, and of its SHA-256."""

MAX_HOLDER = 200
"""Characters of a name at the witness."""


def _check_secret(_instance: object, attribute: attrs.Attribute[bytes], value: bytes) -> None:
    if len(value) != SECRET_BYTES:
        raise ValueError(f"{attribute.name!r} must be {SECRET_BYTES} bytes, not {len(value)}")


@attrs.frozen
class Will:
    """How the follower will know the leader's fencer.

    Args:
        digest: SHA-256 of the secret that the leader's fencer tells in :class:`Fenced`.
        holder: the leader's name at the witness, empty without one: whoever has the secret may
            take its place there.
    """

    digest: bytes = attrs.field(repr=False, validator=[instance_of(bytes), _check_secret])
    holder: str = attrs.field(default="", validator=[instance_of(str), max_len(MAX_HOLDER)])

    def fulfilled_by(self, secret: bytes) -> bool:
        """Whether this is the secret that nobody but the leader's fencer tells."""
        return hmac.compare_digest(hashlib.sha256(secret).digest(), self.digest)


@attrs.frozen
class Fenced:
    """Instead of a Hello: SBS is dead here, and so are all its services (B31).

    Args:
        secret: whose digest was told in :class:`Will`; nobody else can know it.
    """

    secret: bytes = attrs.field(repr=False, validator=[instance_of(bytes), _check_secret])


class PeerFencedError(TransportError):
    """SBS is dead at the other end, and so are its services; the text is for ``sbs probe``."""

    remedy = "Start SBS there: sbs run."

    def __init__(self, secret: bytes) -> None:
        super().__init__("SBS has just died there; its fencer has ended the services")
        self.secret: bytes = secret
