"""Gives the nodes of a pair identities, each with the other's certificate pinned (B62)."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.tls_rig import Identities
from tests.system.nodes import Node, Pair


def secure(pair: Pair, directory: Path) -> Identities:
    """Make identities, and configure both nodes for TLS; they must not run."""
    return introduce(pair.alpha, pair.beta, directory)


def introduce(one: Node, other: Node, directory: Path) -> Identities:
    """The same for any two nodes."""
    made = Identities(directory)
    for node, peer in ((one, other), (other, one)):
        show(made, node, node.name, pinned=peer.name)
    return made


def show(made: Identities, node: Node, own: str | None, *, pinned: str) -> None:
    """Configure who a node is, and whom it takes for its peer; ``None``: it does without TLS."""
    if own is None:
        node.configure({"tls": None})
        return
    tls = {"identity": made.path(own), "peer_certificate": made.pins(pinned)}
    node.configure({"tls": tls})
