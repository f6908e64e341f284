"""Addresses of services that are spoken to by HTTP."""

from __future__ import annotations

import ipaddress
import re
from gettext import gettext as _
from typing import Final

import attrs

from sbs.config.kinds import not_allowed, wrong_type
from sbs.config.lists import Array, again, too_many
from sbs.config.toml import is_array
from sbs.core.address import MAX_PORT, Address

MAX_ENDPOINTS: Final = 16
"""Most addresses of one service: an etcd cluster has 3, 5 or 7 members."""

_URL = re.compile(r"(?P<scheme>https?)://(?P<place>[^/?#@\s]+)/?")
_NAME = re.compile(r"[^.]{1,63}(?:\.[^.]{1,63})*\.?")  # labels as in RFC 1035, section 2.3.4
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?[0-9]+")  # taken for an IPv4 address, whatever it is


@attrs.frozen
class Endpoint:
    """A scheme, a host and a port, and no path."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _("http://host:port or https://host:port")

    def read(self, raw: object) -> str:
        """See :meth:`sbs.config.kinds.Kind.read`; the host is written in lower case."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        url = _URL.fullmatch(raw)
        if url is None:
            raise not_allowed(self.expected)
        address = Address.parse(url["place"], default_port=0)
        if address.port == 0:
            text = _("names no port from 1 to {limit}; allowed is {expected}")
            raise ValueError(text.format(limit=MAX_PORT, expected=self.expected))
        host = address.host.lower()
        if not _can_be_asked(host):
            text = _("{host} is neither a host name nor an IP address")
            raise ValueError(text.format(host=host))
        return f"{url['scheme']}://{attrs.evolve(address, host=host)}"


def _can_be_asked(host: str) -> bool:
    """Whether an HTTP client takes ``host``; one that it does not take is no failed connection."""
    if ":" not in host and _ENDS_IN_NUMBER.fullmatch(host) is None:
        return _NAME.fullmatch(host) is not None
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@attrs.frozen
class Endpoints:
    """The members of one service: each of them once."""

    @property
    def expected(self) -> str:
        """See :attr:`sbs.config.kinds.Kind.expected`."""
        return _("an array of at most {limit} addresses, each {form}").format(
            limit=MAX_ENDPOINTS, form=Endpoint().expected
        )

    def read(self, raw: object) -> tuple[str, ...]:
        """See :meth:`sbs.config.kinds.Kind.read`."""
        if not is_array(raw):
            raise wrong_type(raw, self.expected)
        if len(raw) > MAX_ENDPOINTS:
            raise too_many(raw, MAX_ENDPOINTS)
        found = Array(Endpoint(), "addresses").read(raw)
        for number, endpoint in enumerate(found):
            if (first := found.index(endpoint)) < number:
                raise again(number, first)
        return found
