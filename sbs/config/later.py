"""Sections of which this version accepts the neutral values only, so that nothing is ignored."""

from __future__ import annotations

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import Choice, Flag, Integer, Neutral, Path, Text
from sbs.config.lists import Array

_NO_TEXTS: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, field_transformer=checked)
class MailSettings:
    """Section ``[mail]``: how the administrator is told (R50)."""

    enabled: bool = attrs.field(
        default=False, metadata=key(Neutral(Flag(), value=False, shown="false"), "Send mail.")
    )
    server: str = attrs.field(default="localhost", metadata=key(Text(), "The SMTP server."))
    port: int = attrs.field(default=25, metadata=key(Integer(1, 65_535), "Its port."))
    security: str = attrs.field(
        default="none",
        metadata=key(Choice(("none", "starttls", "tls")), "How the connection is encrypted."),
    )
    account: str = attrs.field(
        default="", metadata=key(Text(), "The account to log in with; empty: no log-in.")
    )
    password_file: str = attrs.field(
        default="",
        metadata=key(
            Path(optional=True),
            "A file that holds the password; the environment variable `SBS_MAIL_PASSWORD` "
            "serves as well.",
            sensitive=True,
        ),
    )
    sender: str = attrs.field(default="", metadata=key(Text(), "The sender's address."))
    receivers: tuple[str, ...] = attrs.field(
        default=_NO_TEXTS, metadata=key(Array(Text(), "strings"), "The receivers' addresses.")
    )


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
