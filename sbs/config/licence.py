"""The section that says under which licence a node runs."""

from __future__ import annotations

import base64
import binascii
from gettext import gettext as _
from typing import Final

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import Path, not_allowed, wrong_type
from sbs.config.lists import Array, Installed

NO_LICENCE: Final = "none"
"""The adapter that needs none."""

KEY_BYTES: Final = 32
"""Of an Ed25519 public key."""

_NO_TEXTS: tuple[str, ...] = ()


@attrs.frozen
class PublicKey:
    """A vendor's public key."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _("44 characters, base64 of the 32 bytes of an Ed25519 public key")

    def read(self, raw: object) -> str:
        """See :meth:`sbs.config.kinds.Kind.read`."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        try:
            key_bytes = base64.b64decode(raw, validate=True)
        except (binascii.Error, ValueError):
            key_bytes = b""
        if len(key_bytes) != KEY_BYTES:
            raise not_allowed(self.expected)
        # Licences name their key in this spelling, and are compared with it as text.
        canonical = base64.b64encode(key_bytes).decode()
        if raw != canonical:
            text = _("is no canonical base64; the same 32 bytes are {canonical!a}")
            raise ValueError(text.format(canonical=canonical))
        return raw


@attrs.frozen(kw_only=True, field_transformer=checked)
class LicenceSettings:
    """Section ``[licence]``: what this node may do (R40)."""

    adapter: str = attrs.field(
        default=NO_LICENCE,
        metadata=key(
            Installed(
                "sbs.licences", "the name of an installed licence adapter", frozenset({NO_LICENCE})
            ),
            "`none` allows everything, `file` what a signed file says (docs/licences.md), or "
            "another entry point of the group `sbs.licences`.",
        ),
    )
    path: str = attrs.field(
        default="", metadata=key(Path(optional=True), "With `file`: the licence file.")
    )
    trusted_keys: tuple[str, ...] = attrs.field(
        default=_NO_TEXTS,
        metadata=key(
            Array(PublicKey(), "public keys"),
            "With `file`: the vendor's public keys, each base64 of the 32 bytes of an Ed25519 key.",
        ),
    )
