"""What two nodes say to each other; the bytes are in ``docs/protocol.md``.

One connection is one conversation. Both sides begin with :class:`Hello`. The side that dialled
may then :class:`Follow`; if it is answered by :class:`Welcome` the connection is a session, in
which the *leader* (the primary, which accepted) sends updates and the *follower* (the secondary,
which dialled) takes them. Those of updates are in :mod:`sbs.core.update_messages`.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs
from attrs.validators import and_, deep_iterable, ge, instance_of, le, max_len

from sbs.core.claim import Claim, Pause
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.testament import Fenced, Will
from sbs.core.update_messages import (
    MAX_AUDITED,
    MAX_BODY_BYTES,
    MAX_FINDINGS,
    MAX_ITEMS,
    MAX_SERVICES,
    MAX_TEXT,
    Abandon,
    Audit,
    Audited,
    Begin,
    Chunk,
    Commit,
    Committed,
    Content,
    Failed,
    Finding,
    Findings,
    Folders,
    Fragment,
    Listing,
    Pack,
    Patch,
)

__all__ = [
    "MAX_AUDITED",
    "MAX_BODY_BYTES",
    "MAX_FACTS",
    "MAX_FINDINGS",
    "MAX_HOLD_S",
    "MAX_ITEMS",
    "MAX_SERVICES",
    "MAX_TEXT",
    "MAX_VERSION",
    "PROTOCOL_VERSION",
    "Abandon",
    "AskLease",
    "AskRole",
    "Audit",
    "Audited",
    "Begin",
    "Chunk",
    "Code",
    "Commit",
    "Committed",
    "Content",
    "Fact",
    "Failed",
    "Finding",
    "Findings",
    "Folders",
    "Follow",
    "Fragment",
    "GrantLease",
    "Heartbeat",
    "Hello",
    "Listing",
    "Message",
    "Pack",
    "Patch",
    "Refused",
    "Released",
    "Serving",
    "SetPause",
    "Taken",
    "Welcome",
]

PROTOCOL_VERSION = 1
"""The newest version of the protocol that this release speaks."""

MAX_VERSION = 65535
"""Largest version a Hello may offer."""

MAX_FACTS = 32
"""Settings compared between the nodes: a hello stays far below its limit of 64 KiB."""

MAX_HOLD_S = 7 * 86_400.0
"""Longest promise of a voter, in seconds: beyond a week it is a mistake."""


class Code(enum.Enum):
    """Why a node refuses; the text beside it is for people."""

    VERSION = "version"
    """No protocol version in common."""
    PROTOCOL = "protocol"
    """The peer broke the protocol."""
    IDENTITY = "identity"
    """Both nodes have the same identity: one is a copy of the other, or they are one."""
    MODE = "mode"
    """Both nodes have the same "only" mode (R6)."""
    NOT_PRIMARY = "not-primary"
    """The node does not lead; the peer must decide anew."""
    POLICY = "policy"
    """The nodes have different partition policies (B3)."""
    STALE = "stale"
    """The peer acts for an epoch that is over (B2)."""
    BUSY = "busy"
    """Too many connections, or still busy with the last one."""


def _check_versions(
    _instance: object, _attribute: attrs.Attribute[tuple[int, int]], value: tuple[int, int]
) -> None:
    low, high = value
    if not 1 <= low <= high <= MAX_VERSION:
        raise ValueError(f"'versions' must be lowest and highest, 1 to {MAX_VERSION}, not {value}")


@attrs.frozen
class Fact:
    """A setting that the nodes of a pair have in common, for ``sbs probe`` (R64)."""

    name: str = attrs.field(validator=and_(instance_of(str), max_len(100)))
    value: str = attrs.field(validator=and_(instance_of(str), max_len(MAX_TEXT)))


@attrs.frozen(kw_only=True)
class Hello:
    """The first message of either side.

    Args:
        versions: lowest and highest protocol version this side speaks.
        software: name and version, for people.
        claim: who the node is; ``None`` from a visitor that only looks, such as ``sbs probe``.
        facts: settings that ``sbs probe`` compares.
        clock_ns: the sender's wall clock, nanoseconds since 1970; 0 for unknown.
    """

    versions: tuple[int, int] = attrs.field(validator=_check_versions)
    software: str = attrs.field(default="", validator=[instance_of(str), max_len(100)])
    claim: Claim | None = None
    facts: tuple[Fact, ...] = attrs.field(
        default=(), validator=[deep_iterable(instance_of(Fact)), max_len(MAX_FACTS)]
    )
    clock_ns: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**63 - 1)])


@attrs.frozen
class Refused:
    """The last message before the sender closes."""

    code: Code = attrs.field(validator=instance_of(Code))
    text: str = attrs.field(default="", validator=[instance_of(str), max_len(MAX_TEXT)])


@attrs.frozen
class Follow:
    """The dialler asks to be the secondary; ``epoch`` is the newest it has heard of."""

    epoch: Epoch


@attrs.frozen
class Welcome:
    """The acceptor is primary in ``epoch`` with ``history``; the connection is a session now."""

    epoch: Epoch
    history: History


@attrs.frozen
class Heartbeat:
    """Sign of life; ``echo`` is the ``sequence`` of the last one received, 0 for none."""

    sequence: int = attrs.field(validator=[instance_of(int), ge(0), le(2**62)])
    echo: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**62)])


@attrs.frozen(kw_only=True)
class Released:
    """The leader has stopped its services and given up its epoch after ``generation``.

    Args:
        epoch: the leader's.
        generation: its last; the follower takes the role only if it holds that one.
        granted: serial of the newest GrantLease that the leader has received, 0 for none: its
            vote for the follower is younger than that grant (``docs/roles.md``, Votes).
        leaving: the leader ends, and will not follow.
    """

    epoch: Epoch
    generation: Generation | None
    granted: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(2**62)])
    leaving: bool = attrs.field(default=False, validator=instance_of(bool))


@attrs.frozen
class Taken:
    """The follower has taken the role over; ``epoch`` is its own, and durable."""

    epoch: Epoch


@attrs.frozen
class Serving:
    """The leader's services run, in ``epoch``."""

    epoch: Epoch


def _check_hold(_instance: object, _attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value <= MAX_HOLD_S:  # not a number is neither
        raise ValueError(f"'hold_s' must be 0 to {MAX_HOLD_S:g}, not {value}")


@attrs.frozen(kw_only=True)
class AskLease:
    """The leader asks for the follower's vote, for a while (B3).

    Args:
        epoch: the leader's.
        serial: of this request, greater than that of the one before.
        hold_s: for so long after its grant the follower promises not to stand against the leader,
            0 to :data:`MAX_HOLD_S`.
    """

    epoch: Epoch
    serial: int = attrs.field(validator=[instance_of(int), ge(1), le(2**62)])
    hold_s: float = attrs.field(validator=[instance_of(float), _check_hold])


@attrs.frozen
class GrantLease:
    """The follower's vote: the answer to the AskLease with this ``serial``."""

    serial: int = attrs.field(validator=[instance_of(int), ge(1), le(2**62)])


@attrs.frozen
class SetPause:
    """An operator has paused or resumed automatic takeovers on the sender's side (B6)."""

    pause: Pause


@attrs.frozen
class AskRole:
    """The follower asks to lead; ``reason`` is for people (R44).

    The leader hands over as by ``sbs switchover``, if it can; else it does nothing.
    """

    reason: str = attrs.field(validator=and_(instance_of(str), max_len(MAX_TEXT)))


Message: TypeAlias = (
    Hello
    | Refused
    | Follow
    | Welcome
    | Heartbeat
    | Folders
    | Listing
    | Begin
    | Pack
    | Chunk
    | Fragment
    | Patch
    | Commit
    | Abandon
    | Committed
    | Failed
    | Released
    | Taken
    | Serving
    | AskLease
    | GrantLease
    | SetPause
    | Will
    | Fenced
    | Findings
    | Audit
    | Audited
    | AskRole
)
