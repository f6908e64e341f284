"""A first configuration, as text: what ``sbs init`` writes."""

from __future__ import annotations

from typing import Any

from sbs.config.settings import NodeSettings
from sbs.config.text import quoted
from sbs.core.address import Address

IDENTITY_FILE = "identity.pem"
"""``tls.identity`` of a first configuration, in its directory."""

PEER_FILE = "peer.pem"
"""``tls.peer_certificate`` of a first configuration, in its directory."""


def check_answer(key: str, text: str) -> None:
    """Make sure that a key of ``[node]`` may have this value.

    Args:
        key: its name.
        text: a string of TOML.

    Raises:
        ValueError: it may not; the text says what is allowed.
    """
    keys: dict[str, Any] = {"peer": "localhost"}  # the one that has no default
    keys[key] = text
    NodeSettings(**keys)


def first_text(*, name: str, listen: Address, peer: Address, state_dir: str) -> str:
    """The text of a configuration that has what a node needs, and says where the rest goes.

    Args:
        name: ``node.name``.
        listen: ``node.listen``.
        peer: ``node.peer``.
        state_dir: ``node.state_dir``.
    """
    return f"""\
# A node of SBS, begun by sbs init. Every key: docs/configuration.md

[node]
name = {quoted(name)}
listen = {quoted(str(listen))}
peer = {quoted(str(peer))}
state_dir = {quoted(state_dir)}

# Who this node is, and who the other one is: sbs pair writes the second file.
[tls]
identity = {quoted(IDENTITY_FILE)}
peer_certificate = {quoted(PEER_FILE)}

# What is replicated. The two nodes share the names; each has its own paths.
# [[folders]]
# name = "settings"
# path = "/srv/app/settings"

# What runs on the primary, and is started by a takeover.
# [[services.unit]]
# name = "printer-1"
# command = ["/usr/bin/python3", "-m", "http.server", "8101"]
"""
