"""Why a node refuses another: each code of ``docs/protocol.md``, its cause and its remedy.

``docs/errors.md`` is made from this (``python -m tests.errors``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sbs.core.explanation import Explanation
from sbs.core.messages import Code

REFUSALS: Final[Mapping[Code, Explanation]] = MappingProxyType(
    {
        Code.VERSION: Explanation(
            "The nodes speak no version of the protocol in common.",
            "Install the same release of SBS on both nodes.",
        ),
        Code.PROTOCOL: Explanation(
            "What the other node sent is not allowed (docs/protocol.md).",
            "`sbs probe` finds what answers at `node.peer`; both nodes need the same release of "
            "SBS.",
        ),
        Code.IDENTITY: Explanation(
            "Both nodes have the same identity: `node.peer` leads back to the node itself, or one "
            "is a copy of the other.",
            "Correct `node.peer`, or stop SBS on the copy, and remove its `node.state_dir`.",
        ),
        Code.MODE: Explanation(
            'Both nodes have the same "only" mode; the later one ends.',
            "Set `node.mode` to `primary-only` on one and to `backup-only` on the other, or to "
            "`symmetric` on both.",
        ),
        Code.NOT_PRIMARY: Explanation(
            "The node that was asked to lead does not, or must not: the other one has newer data.",
            "Nothing: the nodes decide anew.",
        ),
        Code.POLICY: Explanation(
            "The nodes have different partition policies or witnesses; the later one ends.",
            "Set `failover.partition_policy`, `witness.adapter` and `witness.pair` alike on both.",
        ),
        Code.STALE: Explanation(
            "A node acts for a primacy that is over: another one has begun since.",
            "Nothing: it learns of the newer one, and follows.",
        ),
        Code.BUSY: Explanation(
            "Too many connections stand, the node is between two roles, or it has a secondary "
            "already.",
            "Nothing: the node asks again. If it is refused for a third node, correct `node.peer` "
            "there.",
        ),
    }
)
"""Each code explained, in the order of the codes."""
