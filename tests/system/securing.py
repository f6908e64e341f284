"""Gives the nodes of a pair identities, each with the other's certificate pinned (B62)."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.tls_rig import Identities
from tests.system.nodes import Node, Pair


def secure(pair: Pair, directory: Path) -> Identities:
    """Make identities, and configure both nodes for TLS; they must not run."""
    made = Identities(directory)
    for node, other in ((pair.alpha, pair.beta), (pair.beta, pair.alpha)):
        show(made, node, node.name, pinned=other.name)
    return made


def show(made: Identities, node: Node, own: str | None, *, pinned: str) -> None:
    """Configure who a node is, and whom it takes for its peer; ``None``: it does without TLS."""
    if own is None:
        node.configure({"tls": None})
        return
    tls = {"identity": made.path(own), "peer_certificate": made.pins(pinned)}
    node.configure({"tls": tls})
