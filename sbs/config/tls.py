"""Section ``[tls]``."""

from __future__ import annotations

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import Flag, Path


@attrs.frozen(kw_only=True, field_transformer=checked)
class TlsSettings:
    """Section ``[tls]``: how the nodes prove who they are (B62)."""

    identity: str = attrs.field(
        default="",
        metadata=key(
            Path(optional=True),
            "The file with this node's key and certificate; `sbs init` and `sbs pair` make it. "
            "Nobody else may read it.",
            sensitive=True,
        ),
    )
    peer_certificate: str = attrs.field(
        default="",
        metadata=key(
            Path(optional=True),
            "The file with the peer's certificate, the only one that is accepted; `sbs pair` "
            "writes it.",
            sensitive=True,
        ),
    )
    insecure: bool = attrs.field(
        default=False,
        metadata=key(
            Flag(),
            "Allow `node.listen` beyond loopback without TLS: whoever reaches the port can pose "
            "as the peer.",
        ),
    )

    @property
    def is_on(self) -> bool:
        """Whether the nodes speak TLS."""
        return bool(self.identity)
