"""The rows of ``sbs probe``: what is wrong where one does not pass, and what to do.

``docs/errors.md`` is made from this (``python -m tests.errors``). The hint that a probe prints is
about what it found there; this is about all that may be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sbs.core.explanation import Explanation
from sbs.runtime.probing.facts import MUST_MATCH, PEER
from sbs.runtime.probing.premises import PREMISES

_REACHING: Final = {
    "config": Explanation(
        "The configuration has keys without effect, or `sbs run` refuses it on this machine.",
        "Mend what the row names; `sbs config check` shows it, too.",
    ),
    "name": Explanation(
        "The name of `node.peer` has no address, or the name service does not answer.",
        "Correct the name, add it to the name service or `/etc/hosts`, or use an IP address.",
    ),
    "route": Explanation(
        "This machine does not know where to send what is for that address.",
        "Give it an interface in that network, or a gateway: `ip route`.",
    ),
    "tcp": Explanation(
        "Nothing listens there, the machine does not answer, or a firewall is between.",
        "Start the other node: `sbs run`. Its `node.listen` must be reachable at this address; "
        "open the port in every firewall.",
    ),
    "tls": Explanation(
        "One side speaks TLS and the other does not, something between them changes it, or both "
        "do without it beyond one machine.",
        "`sbs pair` on both nodes (docs/pairing.md).",
    ),
    "protocol": Explanation(
        "What answers is no node of SBS, one of another release, one that is stuck, or the fencer "
        "of a node that has died.",
        "Correct `node.peer` here or `node.listen` there; install the same release on both; see "
        "the other node's log; start SBS there.",
    ),
    "identity": Explanation(
        "What answers cannot prove to be the other node, does not take this one for its peer, is "
        "this node itself or a copy of it, has its name, or its certificate ends soon.",
        "The row says which, and what to do; docs/pairing.md has the rest.",
    ),
    "role": Explanation(
        "Both nodes are primary, or the other one cannot be primary now.",
        "Probe from the other node, too: they do not reach each other; `sbs status` there says "
        "why it cannot lead.",
    ),
    "mode": Explanation(
        'Both nodes have the same "only" mode, or only one of them has one.',
        "Set the modes as a pair: primary-only and backup-only, or symmetric on both.",
    ),
    "clock": Explanation(
        "The clocks of the two machines differ by more than a second.",
        "Let both machines take their time from a time service (NTP).",
    ),
}

_COMPARED: Final = {
    name: Explanation(
        f"It is not the same on both nodes: {consequence}.", f"Set `{name}` alike on both nodes."
    )
    for name, consequence in MUST_MATCH.items()
}

_CALLED: Final = {
    PEER: Explanation(
        "The other node calls an address that is none of this node's.",
        "Set `node.peer` there to this node's address, unless a router translates it.",
    )
}

_MACHINE: Final = {
    name: Explanation(premise.trouble, f"{premise.hint[0].upper()}{premise.hint[1:]}.")
    for name, premise in PREMISES.items()
}

_LAST: Final = {
    "round-trip": Explanation(
        "A connect takes longer than a heartbeat.",
        "Raise `failover.heartbeat_interval_s` on both nodes, or find out what slows the network.",
    )
}

ROWS: Final[Mapping[str, Explanation]] = MappingProxyType(
    {**_REACHING, **_COMPARED, **_CALLED, **_MACHINE, **_LAST}
)
"""Each row explained, in the order of a probe."""
