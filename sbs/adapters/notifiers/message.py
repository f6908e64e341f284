"""A notice as a mail message: RFC 5322, text and HTML as alternatives."""

from __future__ import annotations

import email.policy
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from sbs.core.letter import write
from sbs.core.notice import Notice

ID_HEADER: Final = "X-SBS-Notice"
"""The header that bears the notice's id, for filters."""

_POLICY: Final = email.policy.SMTP.clone(max_line_length=900)
"""Headers are folded late: of an id in two pieces some programs make another id. Allowed are 998
characters (RFC 5322, section 2.1.1)."""


def make_message(notice: Notice, sender: str, receivers: Sequence[str]) -> bytes:
    """The message of a notice; the same bytes whenever it is made.

    Args:
        notice: what is told.
        sender: an address in ASCII.
        receivers: addresses in ASCII.

    Returns:
        the message, with lines that end in CR LF.
    """
    letter = write(notice)
    message = EmailMessage(policy=_POLICY)
    message["Subject"] = _literal(letter.subject)
    message["From"] = Address(display_name="SBS", addr_spec=sender)
    message["To"] = ", ".join(receivers)
    zone = timezone(timedelta(seconds=notice.utc_offset_s))
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.at, zone))
    message["Message-ID"] = f"<{notice.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence note answers it
    message[ID_HEADER] = notice.id
    if letter.urgent:
        message["Importance"] = "high"
    message.set_content(letter.text, cte="quoted-printable")
    message.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"=_{hashlib.sha256(notice.id.encode()).hexdigest()[:32]}")
    return message.as_bytes()


def _literal(text: str) -> str:
    """``text`` for a header, with what would begin an encoded word (RFC 2047) broken.

    A peer's name may hold one; Python decodes it, line breaks and all, before it writes the header.
    """
    return text.replace("=?", "= ?")
