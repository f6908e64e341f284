"""Where a node listens or is reached: ``host:port`` and ``[v6]:port``."""

from __future__ import annotations

import ipaddress
import re

import attrs

from sbs.core.printable import literal

DEFAULT_PORT = 4445
"""The port of SBS (R1)."""

MAX_HOST_CHARS = 253
"""Longest domain name in text form (RFC 1035, section 2.3.4)."""

MAX_PORT = 65535
"""Largest port number (RFC 9293, section 3.1)."""

_ALLOWED = "allowed is host, host:port, [IPv6] or [IPv6]:port"
_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](?::(?P<port>.*))?", re.DOTALL)
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PORT = re.compile(r"[0-9]{1,5}")


def _is_ipv6(host: str) -> bool:
    if _IPV6.fullmatch(host) is None:  # ipaddress takes any character in a zone
        return False
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _malformed(text: str, why: str) -> ValueError:
    return ValueError(f"{literal(text)}: {why}; {_ALLOWED}")


def _check_host(_: Address, __: attrs.Attribute[str], host: str) -> None:
    if len(host) > MAX_HOST_CHARS:
        raise ValueError(f"host of {len(host)} characters: at most {MAX_HOST_CHARS} are allowed")
    if _NAME.fullmatch(host) is None and not _is_ipv6(host):
        raise ValueError(
            f"host {literal(host)}: allowed is a name of letters, digits, '.', '-' and '_', "
            "an IPv4 address or an IPv6 address"
        )


def _check_port(_: Address, __: attrs.Attribute[int], port: int) -> None:
    if not 0 <= port <= MAX_PORT:
        raise ValueError(f"port {port}: allowed is 0 to {MAX_PORT}")


@attrs.frozen
class Address:
    """One end of a TCP connection, before any name is looked up.

    Args:
        host: a name, an IPv4 address, or an IPv6 address without brackets.
        port: 0 to :data:`MAX_PORT`; 0 means any free port and serves only to listen.

    Raises:
        ValueError: host or port is not of this form; the text says what is allowed.
    """

    host: str = attrs.field(validator=_check_host)
    port: int = attrs.field(validator=_check_port)

    @classmethod
    def parse(cls, text: str, default_port: int = DEFAULT_PORT) -> Address:
        """Read ``host``, ``host:port``, ``[v6]`` or ``[v6]:port``.

        Args:
            text: the address as a person wrote it.
            default_port: used when ``text`` names none, 0 to :data:`MAX_PORT`.

        Returns:
            The address; ``parse(str(address)) == address`` holds for every address.

        Raises:
            ValueError: ``text`` has another form; its text says what is allowed.
        """
        port: str | None
        if (bracketed := _BRACKETED.fullmatch(text)) is not None:
            host, port = bracketed["host"], bracketed["port"]
            if not _is_ipv6(host):
                raise _malformed(text, "only an IPv6 address belongs in brackets")
        elif text.count(":") > 1:
            raise _malformed(text, "an IPv6 address is written in brackets")
        else:
            host, colon, rest = text.partition(":")
            port = rest if colon else None
        if port is None:
            return cls(host, default_port)
        if _PORT.fullmatch(port) is None:
            raise _malformed(text, f"port {literal(port)} is no number from 0 to {MAX_PORT}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
