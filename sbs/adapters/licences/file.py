"""A licence in a file, verified offline (B40)."""

from __future__ import annotations

import datetime as dt
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import trio

from sbs.adapters.licences import form
from sbs.core import licence as rules
from sbs.core.licence import Standing, Start
from sbs.errors import LicenceError
from sbs.ports import LicenceOptions

MAX_LOOKS: Final = 1
"""Looks into the file system at a time: one that hangs must not take a new thread each time."""


class FilePolicy:
    """Fulfils :class:`sbs.ports.LicensePolicy` by a file that is read at every look.

    Args:
        options: where it is, whose keys count, and which node it has to be for.
    """

    def __init__(self, options: LicenceOptions) -> None:
        self._options = options
        self._looks = trio.CapacityLimiter(MAX_LOOKS)

    async def look(self) -> Standing:
        """See :meth:`sbs.ports.LicensePolicy.look`."""
        return await trio.to_thread.run_sync(
            self._look, abandon_on_cancel=True, limiter=self._looks
        )

    def _look(self) -> Standing:
        path, node = self._options.path, self._options.node
        try:
            data = _read(path)
        except LicenceError as error:
            return Standing(problem=f"{path}: the licence {error}", absent=True)
        try:
            licence = form.verify(data, self._options.trusted_keys)
        except LicenceError as error:
            return Standing(problem=f"{path}: the licence {error}")
        if licence.node != node:
            text = (
                f"{path}: the licence is for the node {licence.node!a}, and this one is {node!a}; "
                "ask for one for this node"
            )
            return Standing(problem=text)
        return rules.standing(licence, path, dt.datetime.now(dt.UTC).date())

    def refusal(self, standing: Standing, start: Start) -> str:
        """See :meth:`sbs.ports.LicensePolicy.refusal`."""
        return rules.refusal(standing, start)


def _read(path: str) -> bytes:
    """The file, as far as it may reach and one byte more.

    Raises:
        LicenceError: there is none, or it cannot be read.
    """
    try:
        # Not to wait for the writer of a pipe; of a regular file it changes nothing.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise LicenceError("is no regular file; put it there, or correct licence.path")
            with open(fd, "rb", closefd=False) as file:
                return file.read(form.MAX_BYTES + 1)
        finally:
            os.close(fd)  # by us: open() leaves a descriptor that it refuses open
    except FileNotFoundError as error:
        raise LicenceError("is missing; put it there, or correct licence.path") from error
    except OSError as error:
        raise LicenceError(f"cannot be read: {error.strerror}; SBS needs to read it") from error


@asynccontextmanager
async def open_policy(options: LicenceOptions) -> AsyncGenerator[FilePolicy, None]:
    """The entry point ``file`` of the group ``sbs.licences``."""
    await trio.lowlevel.checkpoint()
    yield FilePolicy(options)
