"""Errors of pywin32 become errors of SBS: with the name of the service, and what to do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from sbs.adapters.services.windows import win32
from sbs.errors import ServiceError

_ADVICE: Final = {
    win32.ERROR_ACCESS_DENIED: "SBS has to run as LocalSystem",
    win32.ERROR_FILE_NOT_FOUND: "its program is not where the service says",
    win32.ERROR_PATH_NOT_FOUND: "its program is not where the service says",
    win32.ERROR_SERVICE_DEPENDENCY_FAIL: "a service that it needs cannot start",
    win32.ERROR_SERVICE_DISABLED: "set its start type to manual",
    win32.ERROR_SERVICE_DOES_NOT_EXIST: "the name is the short one: see Get-Service",
    win32.ERROR_SERVICE_LOGON_FAILED: "see its account and password",
    win32.ERROR_SERVICE_MARKED_FOR_DELETE: "it is being uninstalled: close services.msc",
    win32.ERROR_SERVICE_REQUEST_TIMEOUT: "its program does not answer the service manager",
}


@contextmanager
def naming(name: str, doing: str) -> Generator[None]:
    """Raise what pywin32 raises as a :class:`ServiceError`.

    Args:
        name: the service, for the text.
        doing: what fails, for the text.
    """
    try:
        yield
    except win32.Win32Error as error:
        advice = _ADVICE.get(error.winerror, "")
        raise ServiceError(
            f"service {name!r}: {doing}: {error.strerror.rstrip('.')} (error {error.winerror} of "
            f"{error.funcname})" + (f"; {advice}" if advice else "")
        ) from error
