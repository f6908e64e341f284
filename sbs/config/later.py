"""Sections of which this version accepts the neutral values only, so that nothing is ignored."""

from __future__ import annotations

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import Flag, Neutral, Path, Text


@attrs.frozen(kw_only=True, field_transformer=checked)
class TlsSettings:
    """Section ``[tls]``: how the nodes prove who they are (B62)."""

    identity: str = attrs.field(
        default="",
        metadata=key(
            Neutral(Path(optional=True), "", '""'),
            "This node's key and certificate.",
            sensitive=True,
        ),
    )
    peer_certificate: str = attrs.field(
        default="",
        metadata=key(
            Neutral(Path(optional=True), "", '""'),
            "The peer's certificate, pinned.",
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


@attrs.frozen(kw_only=True, field_transformer=checked)
class WebSettings:
    """Section ``[web]``: the status page."""

    listen: str = attrs.field(
        default="",
        metadata=key(Neutral(Text(), "", '""'), "The address it is served at; empty: off."),
    )
