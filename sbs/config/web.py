"""Section ``[web]``."""

from __future__ import annotations

from gettext import gettext as _
from typing import Final

import attrs

from sbs.config.declare import checked, key
from sbs.config.kinds import wrong_type
from sbs.core.address import Address
from sbs.core.printable import literal

WEB_PORT: Final = 4447
"""Of the status by HTTP, where the address names none."""


@attrs.frozen
class OptionalPlace:
    """An address to listen at, or none; port 0 is any free one, which the log then tells."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _("host, host:port, [IPv6] or [IPv6]:port, or an empty string for none")

    def read(self, raw: object) -> Address | None:
        """See :meth:`sbs.config.kinds.Kind.read`."""
        match raw:
            case None | Address():
                return raw
            case "":
                return None
            case str():
                try:
                    return Address.parse(raw, WEB_PORT)
                except ValueError as error:
                    raise ValueError(str(error).removeprefix(f"{literal(raw)}: ")) from None
            case _:
                raise wrong_type(raw, _("an address: {forms}").format(forms=self.expected))


@attrs.frozen(kw_only=True, field_transformer=checked)
class WebSettings:
    """Section ``[web]``: the node's state by HTTP (B61)."""

    listen: Address | None = attrs.field(
        default=None,
        metadata=key(
            OptionalPlace(),
            f"Where status, health and metrics are served by HTTP; port {WEB_PORT} when left out, "
            "empty: nowhere. Read-only, for whoever reaches it.",
            default='`""`',
        ),
    )
