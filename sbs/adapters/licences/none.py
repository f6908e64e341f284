"""No licence is needed: everything is allowed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from sbs.core.licence import UNLICENSED, Standing, Start
from sbs.ports import LicenceOptions


class NoPolicy:
    """Fulfils :class:`sbs.ports.LicensePolicy` without a licence."""

    async def look(self) -> Standing:
        """See :meth:`sbs.ports.LicensePolicy.look`."""
        await trio.lowlevel.checkpoint()
        return UNLICENSED

    def refusal(self, standing: Standing, start: Start) -> str:
        """See :meth:`sbs.ports.LicensePolicy.refusal`."""
        del standing, start
        return ""


@asynccontextmanager
async def open_policy(options: LicenceOptions) -> AsyncGenerator[NoPolicy, None]:
    """The entry point ``none`` of the group ``sbs.licences``."""
    del options
    await trio.lowlevel.checkpoint()
    yield NoPolicy()
