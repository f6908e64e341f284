"""Where the password of the mail account comes from; it goes nowhere but to the server."""

from __future__ import annotations

import os
import stat
from typing import Final

from sbs.config.mail import PASSWORD_VARIABLE, MailSettings
from sbs.errors import NotifyError
from sbs.ports import NotifierOptions

MAX_PASSWORD_BYTES: Final = 1000
"""Longest first line of a password file; more is another file."""


def take_password() -> str:
    """The password of the environment, removed there: services and hooks inherit the rest."""
    return os.environ.pop(PASSWORD_VARIABLE, "")


def notifier_options(settings: MailSettings, password: str = "") -> NotifierOptions:
    """What a notifier is opened with; reads the password file, if there is one.

    Args:
        settings: of the node.
        password: used where no file is configured.

    Raises:
        NotifyError: the file cannot be read, or others can read it.
    """
    if settings.account and settings.password_file:
        password = _read(settings.password_file)
    return NotifierOptions(
        server=settings.server,
        port=settings.port,
        security=settings.security,
        ca_file=settings.ca_file,
        account=settings.account,
        password=password if settings.account else "",
        sender=settings.sender,
    )


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(MAX_PASSWORD_BYTES + 2)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    if mode & stat.S_IRWXO:
        raise _refused(path, "everybody can read it; run chmod o= on it")
    try:
        password = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise _refused(path, "its first line is no UTF-8 text") from None
    if not password or len(line.rstrip(b"\r\n")) > MAX_PASSWORD_BYTES:
        text = f"its first line must hold the password, of 1 to {MAX_PASSWORD_BYTES} bytes"
        raise _refused(path, text)
    return password


def _refused(path: str, why: str) -> NotifyError:
    return NotifyError(f"mail.password_file {path}: {why}", permanent=False)
