"""Addresses of services that are spoken to by HTTP."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

import attrs

from sbs.config.kinds import wrong_type
from sbs.config.lists import Array
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

    expected: str = attrs.field(default="http://host:port or https://host:port", init=False)

    def read(self, raw: object) -> str:
        """See :meth:`sbs.config.kinds.Kind.read`; the host is written in lower case."""
        if not isinstance(raw, str):
            raise wrong_type(raw, self.expected)
        url = _URL.fullmatch(raw)
        if url is None:
            raise ValueError(f"allowed is {self.expected}")
        address = Address.parse(url["place"], default_port=0)
        if address.port == 0:
            raise ValueError(f"names no port from 1 to {MAX_PORT}; allowed is {self.expected}")
        host = address.host.lower()
        if not _can_be_asked(host):
            raise ValueError(f"{host} is neither a host name nor an IP address")
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

    expected: str = attrs.field(
        default=f"an array of at most {MAX_ENDPOINTS} addresses, each {Endpoint().expected}",
        init=False,
    )

    def read(self, raw: object) -> tuple[str, ...]:
        """See :meth:`sbs.config.kinds.Kind.read`."""
        if is_array(raw) and len(raw) > MAX_ENDPOINTS:
            raise ValueError(f"has {len(raw)} items, allowed are at most {MAX_ENDPOINTS}")
        found = Array(Endpoint(), f"addresses, each {Endpoint().expected}").read(raw)
        for number, endpoint in enumerate(found):
            if (first := found.index(endpoint)) < number:
                text = f"item {number + 1} is item {first + 1} again"
                raise ValueError(f"{text}; allowed are addresses that differ")
        return found
