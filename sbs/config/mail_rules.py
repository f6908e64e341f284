"""What must hold between the settings of ``[mail]``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from gettext import gettext as _

from sbs.config.mail import PASSWORD_VARIABLE
from sbs.config.places import is_loopback
from sbs.config.problems import KeyPath, Problem, about
from sbs.config.settings import Config
from sbs.config.text import shown


def check_mail(config: Config) -> Iterator[Problem]:
    """Mail that could not be sent, or would show its password to the network."""
    mail = config.mail
    for name, value, wanted in (
        ("sender", mail.sender, _("an address")),
        ("receivers", mail.receivers, _("at least one address")),
    ):
        if mail.enabled and not value:
            key: KeyPath = ("mail", name)
            text = _("mail.{name} is not set: mail.enabled = true requires {wanted}")
            both = (key, ("mail", "enabled"))
            yield Problem(text.format(name=name, wanted=wanted), both)
    if mail.account and mail.security == "none" and not is_loopback(mail.server):
        text = _(
            'would send the password to {server} for everybody to read; allowed is "starttls" or '
            '"tls" where mail.account is set and the server is not on this machine'
        ).format(server=mail.server)
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
        text = _(
            "mail.account = {value} has no password: set mail.password_file, or the environment "
            "variable {variable} of the node"
        )
        yield text.format(value=shown(mail.account), variable=PASSWORD_VARIABLE)
    if mail.password_file and not mail.account:
        yield _("mail.password_file has no effect: mail.account is not set")
    if mail.ca_file and mail.security == "none":
        text = _('mail.ca_file = {value} has no effect: mail.security is "none"')
        yield text.format(value=shown(mail.ca_file))
