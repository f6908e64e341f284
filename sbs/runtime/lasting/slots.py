"""Which half of the fencing numbers a new node takes, before it has met its peer (B2)."""

from __future__ import annotations

import ipaddress

import trio

from sbs.core.address import Address


async def first_slot(listen: Address, peer: Address) -> int:
    """Choose so that two nodes that never met choose differently, wherever that can be known.

    The node with the smaller address takes slot 0. A wildcard address is replaced by the one from
    which this machine would reach the peer; no packet is sent for that. Should both nodes still
    choose the same, they agree when they first meet (:func:`sbs.core.election.agreed_slot`).
    """
    host = listen.host
    if _is_wildcard(host):
        host = await route_to(peer) or host
    return 0 if (_sortable(host), listen.port) < (_sortable(peer.host), peer.port) else 1


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:  # a name
        return False


async def route_to(peer: Address) -> str:
    """The address of this machine from which it would reach ``peer``; empty if that is not known.

    Nothing is sent.
    """
    try:
        found = await trio.socket.getaddrinfo(peer.host, peer.port, type=trio.socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with trio.socket.socket(family, kind, protocol) as sock:
            await sock.connect(address)
            return str(sock.getsockname()[0])
    except OSError:  # not reachable now: the choice rests on the configured addresses
        return ""


def _sortable(host: str) -> tuple[int, str]:
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return (0, host)
    return (address.version, f"{int(address):040d}")
