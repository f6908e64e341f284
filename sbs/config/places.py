"""What addresses mean: which are the same place, and what two of them are called together."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Final

from sbs.core.address import Address

MAX_PAIR_CHARS: Final = 64
"""Longest name of a pair at a witness: it is part of a key or of a file's name."""


def canonical_host(host: str) -> str:
    """One spelling of a host: lower case, and IP addresses as :mod:`ipaddress` writes them."""
    host = host.lower()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "127.0.0.1" if host == "localhost" else host


def same_place(one: Address, other: Address) -> bool:
    """Whether both addresses are one, however they are spelled; no name is looked up."""
    return one.port == other.port and canonical_host(one.host) == canonical_host(other.host)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return address.is_loopback


def is_definite(address: Address) -> bool:
    """Whether the peer may know this address by the same host and port: no wildcard, no port 0."""
    try:
        wildcard = ipaddress.ip_address(address.host).is_unspecified
    except ValueError:
        wildcard = False
    return address.port != 0 and not wildcard


def pair_name(one: Address, other: Address) -> str:
    """What two nodes are called together, the same in either order (B3).

    Args:
        one: where one node listens, see :func:`is_definite`.
        other: where the other does.

    Returns:
        1 to :data:`MAX_PAIR_CHARS` letters, digits, dots, dashes and underscores: both addresses,
        or their SHA-256 where they are too long.
    """
    # A zone names an interface of one machine, so it differs between the nodes.
    hosts = ((canonical_host(each.host).partition("%")[0], each.port) for each in (one, other))
    name = "-".join(sorted(f"{host}_{port}".replace(":", "_") for host, port in hosts))
    return name if len(name) <= MAX_PAIR_CHARS else hashlib.sha256(name.encode()).hexdigest()
