"""The section that decides what the administrator is told by mail, and how it is sent."""

from __future__ import annotations

import re
from gettext import gettext as _
from typing import Final

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import Choice, Flag, Integer, Path, Text, not_allowed, wrong_type
from sbs.config.lists import Array, Installed, again, too_many
from sbs.config.toml import is_array

MAX_ADDRESS_CHARS: Final = 254
"""Longest mail address: RFC 5321, section 4.5.3.1.3, less the angle brackets."""

MAX_RECEIVERS: Final = 100
"""Most receivers of a message: a server takes as many at least (RFC 5321, section 4.5.3.1.8)."""

PASSWORD_VARIABLE: Final = "SBS_MAIL_PASSWORD"  # noqa: S105 - a name
"""The environment variable that holds the password where no file does."""

OPTIONAL: Final = ("handover", "restart", "recovery", "alarm")
"""Kinds of events that are mailed on request; a takeover and an urgent alarm always are."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")

_NO_TEXTS: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class MailAddress:
    """A mail address without a display name: ``local@domain`` in ASCII (RFC 5321)."""

    optional: bool = False

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        if self.optional:
            return _("an address as name@example.org, in ASCII, or an empty string for none")
        return _("an address as name@example.org, in ASCII")

    def read(self, raw: object) -> str:
        """See :meth:`sbs.config.kinds.Kind.read`."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        if self.optional and not raw:
            return raw
        if len(raw) > MAX_ADDRESS_CHARS or _ADDRESS.fullmatch(raw) is None:
            raise not_allowed(self.expected)
        return raw


@attrs.frozen(kw_only=True)
class Different:
    """An array of at most ``limit`` items that differ."""

    array: Array[str]
    limit: int

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        text = _("{items}, at most {limit}")
        return text.format(items=self.array.expected, limit=self.limit)

    def read(self, raw: object) -> tuple[str, ...]:
        """See :meth:`sbs.config.kinds.Kind.read`."""
        if is_array(raw) and len(raw) > self.limit:
            raise too_many(raw, self.limit)
        found = self.array.read(raw)
        for number, item in enumerate(found):
            if (first := found.index(item)) < number:
                raise again(number, first)
        return found


_HOST: Final = Text(
    allowed="a host name or an IP address",
    pattern=r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9a-fA-F:.]{2,45}",
)


@attrs.frozen(kw_only=True, field_transformer=checked)
class MailSettings:
    """Section ``[mail]``: how the administrator is told (R50, R51, B50)."""

    enabled: bool = attrs.field(
        default=False,
        metadata=key(
            Flag(), "Send mail: of each takeover, and of what `also` adds. See docs/mail.md."
        ),
    )
    adapter: str = attrs.field(
        default="smtp",
        metadata=key(
            Installed(
                "sbs.notifiers", "the name of an installed notifier adapter", frozenset({"smtp"})
            ),
            "What sends: an entry point of the group `sbs.notifiers`.",
        ),
    )
    server: str = attrs.field(default="localhost", metadata=key(_HOST, "The SMTP server."))
    port: int = attrs.field(default=25, metadata=key(Integer(1, 65_535), "Its port."))
    security: str = attrs.field(
        default="none",
        metadata=key(
            Choice(("none", "starttls", "tls")),
            "How the connection is encrypted; the server's certificate is verified, and there is "
            "no way back to `none`.",
        ),
    )
    ca_file: str = attrs.field(
        default="",
        metadata=key(
            Path(optional=True),
            "Certificates (PEM) of the authorities to trust instead of the system's, as for one "
            "of your own.",
        ),
    )
    account: str = attrs.field(
        default="",
        metadata=key(
            Text(),
            "The account to log in with; empty: no log-in. Only with `security`, or where the "
            "server is on this machine.",
        ),
    )
    password_file: str = attrs.field(
        default="",
        metadata=key(
            Path(optional=True),
            "A file that holds the password in its first line, and that nobody but the owner can "
            f"read; the environment variable `{PASSWORD_VARIABLE}` serves as well.",
            sensitive=True,
        ),
    )
    sender: str = attrs.field(
        default="",
        metadata=key(MailAddress(optional=True), "The sender's address; required to send."),
    )
    receivers: tuple[str, ...] = attrs.field(
        default=_NO_TEXTS,
        metadata=key(
            Different(
                array=Array(MailAddress(), "addresses, as name@example.org"), limit=MAX_RECEIVERS
            ),
            "The receivers' addresses; at least one is required to send.",
        ),
    )
    also: tuple[str, ...] = attrs.field(
        default=("handover", "restart"),
        metadata=key(
            Different(
                array=Array(Choice(OPTIONAL), 'words: "handover", "restart", "recovery", "alarm"'),
                limit=len(OPTIONAL),
            ),
            "What is mailed besides takeovers and urgent alarms: that this node got the role in "
            "order, that it had to start its services anew, that after a takeover the other node "
            "could take over again, any alarm that stands for a minute.",
        ),
    )
