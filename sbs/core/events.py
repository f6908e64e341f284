"""What the role machine is told. Connections are named by numbers that the shell gives out."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sbs.core.claim import Claim, Pause
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.messages import Code
from sbs.core.testament import Will


@attrs.frozen
class Started:
    """The node serves its port; it may now look for its peer."""


@attrs.frozen
class TimePassed:
    """The machine's deadline is due."""


@attrs.frozen
class Heard:
    """Bytes of the session's peer arrived, at the event's time; or this node did not run till then.

    A node that did not run has not listened: it takes no silence for the peer's (R7).
    """


@attrs.frozen(kw_only=True)
class PeerMet:
    """Hellos were exchanged on a connection that this node ``dialled``, or accepted."""

    connection: int
    claim: Claim
    dialled: bool


@attrs.frozen
class DialFailed:
    """No connection came about; ``refused``: the host answers, but its port is closed."""

    refused: bool


@attrs.frozen
class DialRejected:
    """No connection came about: the peer proved who it is, and does not know this node (B62)."""


@attrs.frozen(kw_only=True)
class FollowAsked:
    """The peer asks to be this node's secondary, and so votes for it.

    Args:
        connection: that it dialled.
        claim: its own.
        epoch: the newest it knows.
        opened_at: when this node accepted the connection: the vote was given after that.
    """

    connection: int
    claim: Claim
    epoch: Epoch
    opened_at: float


@attrs.frozen(kw_only=True)
class Welcomed:
    """The peer took this node as its secondary."""

    connection: int
    epoch: Epoch
    history: History


@attrs.frozen
class TurnedAway:
    """The peer refused, and closes the connection."""

    connection: int
    code: Code
    text: str


@attrs.frozen
class ConnectionLost:
    """A connection has ended, by whomever and however."""

    connection: int


@attrs.frozen
class PeerFenced:
    """A dial was answered by a fencer: the peer's SBS is dead, and so are its services."""

    secret: bytes = attrs.field(repr=False)


@attrs.frozen
class WillTold:
    """The leader told how its fencer will be known."""

    connection: int
    will: Will


@attrs.frozen(kw_only=True)
class RoleReleased:
    """The leader gave its role up; as :class:`~sbs.core.messages.Released`."""

    connection: int
    epoch: Epoch
    generation: Generation | None
    granted: int = 0
    leaving: bool = False


@attrs.frozen
class RoleTaken:
    """The follower took the role over."""

    connection: int
    epoch: Epoch


@attrs.frozen
class PeerServing:
    """The services of the leader run."""

    connection: int
    epoch: Epoch


@attrs.frozen(kw_only=True)
class LeaseAsked:
    """The leader asks for this follower's vote."""

    connection: int
    epoch: Epoch
    serial: int
    hold_s: float


@attrs.frozen
class LeaseGranted:
    """The follower votes for this leader: the answer to the request with this serial."""

    connection: int
    serial: int


@attrs.frozen(kw_only=True)
class WitnessAnswered:
    """The witness gave its vote, or not.

    Args:
        serial: of the question.
        granted: this node has the vote now.
        holder: who else has it, as far as known.
        error: why there is no answer; empty if there is one.
    """

    serial: int
    granted: bool
    holder: str = ""
    error: str = ""


@attrs.frozen
class FenceEnded:
    """The fence hook ended; ``error`` empty: the peer is off, provably."""

    error: str = ""


@attrs.frozen
class Saved:
    """The durable state with this serial number, and all before it, is on disk."""

    serial: int


@attrs.frozen
class ServicesStarted:
    """The services were started; those that run, or should, are ``active``."""

    active: tuple[str, ...]


@attrs.frozen
class ServicesStopped:
    """No service runs any more."""


@attrs.frozen
class ActiveChanged:
    """An operator started or stopped a service: the list that a takeover starts is another."""

    active: tuple[str, ...]


@attrs.frozen
class FinalUpdateEnded:
    """The last update of a handover is on the follower (``done``), or is not; ``why`` it is not."""

    done: bool
    why: str = ""


@attrs.frozen
class GenerationProposed:
    """The leader is about to send the commit of a generation."""

    generation: Generation


@attrs.frozen
class GenerationAcknowledged:
    """The follower holds the proposed generation."""

    generation: Generation


@attrs.frozen
class GenerationHeld:
    """The follower's journal holds a generation; ``history`` ends with it."""

    history: History
    active: tuple[str, ...]


@attrs.frozen
class StopAsked:
    """The node shall end in order (R8)."""


@attrs.frozen
class SwitchoverAsked:
    """The roles shall be exchanged (B6); ``ticket`` names the request in the answer."""

    ticket: int


@attrs.frozen
class TakeoverAsked:
    """This node shall take over (B3); ``force``: whatever is not known about the peer."""

    ticket: int
    force: bool


@attrs.frozen
class PauseAsked:
    """Automatic takeovers shall be suspended, or allowed again (B6)."""

    ticket: int
    on: bool


@attrs.frozen
class PauseTold:
    """The peer's operator has paused or resumed."""

    connection: int
    pause: Pause


Event: TypeAlias = (
    Started
    | TimePassed
    | Heard
    | PeerMet
    | DialFailed
    | DialRejected
    | FollowAsked
    | Welcomed
    | TurnedAway
    | ConnectionLost
    | PeerFenced
    | WillTold
    | RoleReleased
    | RoleTaken
    | PeerServing
    | LeaseAsked
    | LeaseGranted
    | WitnessAnswered
    | FenceEnded
    | Saved
    | ServicesStarted
    | ServicesStopped
    | ActiveChanged
    | FinalUpdateEnded
    | GenerationProposed
    | GenerationAcknowledged
    | GenerationHeld
    | StopAsked
    | SwitchoverAsked
    | TakeoverAsked
    | PauseAsked
    | PauseTold
)
