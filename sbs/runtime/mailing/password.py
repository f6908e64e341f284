"""Where the password of the mail account comes from; it goes nowhere but to the server."""

from __future__ import annotations

import os
import stat
from typing import Final

import trio

from sbs.config.mail import PASSWORD_VARIABLE, MailSettings
from sbs.core.permissions import exposed
from sbs.errors import NotifyError
from sbs.ports import NotifierOptions

MAX_PASSWORD_BYTES: Final = 1000
"""Longest first line of a password file; more is another file."""


READ_BOUND_S: Final = 10.0
"""How long reading the file may take: one on a file server that is gone hangs for ever."""

MAX_READS: Final = 1
"""At a time: a read that hangs must not take a new thread each time."""


class Credentials:
    """What the notifiers of one node are opened with.

    Args:
        settings: of the node.
        password: used where no file is configured.
    """

    def __init__(self, settings: MailSettings, password: str = "") -> None:
        self._settings = settings
        self._password = password
        self._reads = trio.CapacityLimiter(MAX_READS)

    async def options(self) -> NotifierOptions:
        """As they are now; may be cancelled, and takes :data:`READ_BOUND_S` at most.

        Raises:
            NotifyError: the password file cannot be read, or others can read it.
        """
        try:
            with trio.fail_after(READ_BOUND_S):
                return await trio.to_thread.run_sync(
                    notifier_options,
                    self._settings,
                    self._password,
                    abandon_on_cancel=True,
                    limiter=self._reads,
                )
        except trio.TooSlowError as error:
            why = f"could not be read within {READ_BOUND_S:g} s"
            raise _refused(self._settings.password_file, why) from error


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
        with open(path, "rb", opener=_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise _refused(path, "is no regular file")
            line = file.readline(MAX_PASSWORD_BYTES + 2)
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    exposure = exposed(mode, to_group=True)
    if exposure:
        raise _refused(path, exposure)
    try:
        password = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise _refused(path, "its first line is no UTF-8 text") from None
    if not password or len(line.rstrip(b"\r\n")) > MAX_PASSWORD_BYTES:
        text = f"its first line must hold the password, of 1 to {MAX_PASSWORD_BYTES} bytes"
        raise _refused(path, text)
    return password


def _at_once(path: str, flags: int) -> int:
    """Open a file; a pipe is not waited for, and refused before it is read."""
    return os.open(path, flags | os.O_NONBLOCK)


def _refused(path: str, why: str) -> NotifyError:
    return NotifyError(f"mail.password_file {path}: {why}", permanent=False)
