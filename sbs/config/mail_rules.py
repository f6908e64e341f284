"""What must hold between the settings of ``[mail]``."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sbs.config.mail import PASSWORD_VARIABLE
from sbs.config.places import is_loopback
from sbs.config.problems import KeyPath, Problem, about
from sbs.config.settings import Config
from sbs.config.text import shown


def check_mail(config: Config) -> Iterator[Problem]:
    """Mail that could not be sent, or would show its password to the network."""
    mail = config.mail
    for name, value, wanted in (
        ("sender", mail.sender, "an address"),
        ("receivers", mail.receivers, "at least one address"),
    ):
        if mail.enabled and not value:
            key: KeyPath = ("mail", name)
            text = f"mail.{name} is not set: mail.enabled = true requires {wanted}"
            yield Problem(text, (key, ("mail", "enabled")))
    if mail.account and mail.security == "none" and not is_loopback(mail.server):
        text = (
            f'would send the password to {mail.server} for everybody to read; allowed is "starttls"'
            ' or "tls" where mail.account is set and the server is not on this machine'
        )
        key = ("mail", "security")
        yield Problem(
            about(key, mail.security, text), (key, ("mail", "account"), ("mail", "server"))
        )


def warn_mail(config: Config) -> Iterator[str]:
    """Settings of mail without effect, and a password that is not there.

    The password may be in the environment of the node alone, so that this is no error.
    """
    mail = config.mail
    if mail.account and not mail.password_file and not os.environ.get(PASSWORD_VARIABLE):
        yield (
            f"mail.account = {shown(mail.account)} has no password: set mail.password_file, or the "
            f"environment variable {PASSWORD_VARIABLE} of the node"
        )
    if mail.password_file and not mail.account:
        yield "mail.password_file has no effect: mail.account is not set"
    if mail.ca_file and mail.security == "none":
        yield f'mail.ca_file = {shown(mail.ca_file)} has no effect: mail.security is "none"'
