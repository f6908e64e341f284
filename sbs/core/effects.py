"""What the role machine wants done. The shell performs effects in order and reports back."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from sbs.core.alarm import Alarm
from sbs.core.claim import Pause, Role
from sbs.core.epoch import Epoch
from sbs.core.history import Generation, History
from sbs.core.messages import Code


class Via(enum.Enum):
    """How a node came to be primary; it decides which services start."""

    DIRECT = "no other node answered at the start"
    RESUMED = "the primacy held before the restart was never given back"
    FOLLOWED = "the other node asked to be secondary"
    REFUSED = "the primary's process is gone: its host refuses the connection"
    SILENCE = "the primary was silent for the down interval"
    RELEASED = "the primary handed the role over"
    YIELDED = "the primary came back undecided, and asked to be secondary"
    FENCED = "the primary's SBS is dead, and its fencer says that its services are, too"
    FORCED = "an operator's word: sbs takeover --force"
    RENEWED = "an epoch newer than its own was seen"

    @property
    def takeover(self) -> bool:
        """Whether the services that were active before start, not those enabled (R7, R32)."""
        return self not in (Via.DIRECT, Via.FOLLOWED)

    @property
    def unasked(self) -> bool:
        """Whether it replaced a primary that was lost, without anybody's doing."""
        return self in (Via.REFUSED, Via.SILENCE, Via.FENCED)


@attrs.frozen(kw_only=True)
class Durable:
    """What the machine must remember over a crash.

    Args:
        slot: see :class:`~sbs.core.epoch.Epoch`.
        epoch: the newest heard of.
        history: the generations held.
        held: a primacy was begun and not given back (R5).
        on_silence: it began because the other node was silent.
        active: the services that start on takeover, ``None`` before any was known (R32).
        released: it was handed to the other node, which may have led since.
        pause: the newest pause or resume heard of (B6).
        granted: while ``held``: it replaced a primary that failed, and its services were not
            stopped by hand since; a ``backup`` licence lets them start (R42, R43).
    """

    slot: int
    epoch: Epoch
    history: History = attrs.field(factory=History)
    held: bool = False
    on_silence: bool = False
    active: tuple[str, ...] | None = None
    released: bool = False
    pause: Pause = attrs.field(factory=Pause)
    granted: bool = False


@attrs.frozen
class Dial:
    """Connect to the peer and exchange hellos; answer with PeerMet or DialFailed in time."""

    timeout_s: float


@attrs.frozen
class Close:
    """Close a connection; no ConnectionLost is expected for it."""

    connection: int


@attrs.frozen
class Refuse:
    """Tell the peer why not, and close the connection."""

    connection: int
    code: Code
    text: str


@attrs.frozen
class SendFollow:
    """Ask the peer, on a dialled connection, to be its secondary."""

    connection: int
    epoch: Epoch


@attrs.frozen
class SendWelcome:
    """Take the peer as secondary, and begin to update it (R20)."""

    connection: int
    epoch: Epoch
    history: History


@attrs.frozen
class TakeUpdates:
    """The peer leads on this connection: take its updates (R20)."""

    connection: int
    epoch: Epoch
    history: History


@attrs.frozen(kw_only=True)
class SendReleased:
    """Tell the follower that the role is free; as :class:`~sbs.core.messages.Released`."""

    connection: int
    epoch: Epoch
    generation: Generation | None
    granted: int
    leaving: bool


@attrs.frozen
class SendTaken:
    """Tell the former primary that its role was taken over."""

    connection: int
    epoch: Epoch


@attrs.frozen
class SendServing:
    """Tell the follower that the services run."""

    connection: int
    epoch: Epoch


@attrs.frozen(kw_only=True)
class SendAskLease:
    """Ask the follower for its vote; as :class:`~sbs.core.messages.AskLease`."""

    connection: int
    epoch: Epoch
    serial: int
    hold_s: float


@attrs.frozen
class SendGrant:
    """Vote for the leader."""

    connection: int
    serial: int


@attrs.frozen
class SendPause:
    """Tell the peer what the operator wants."""

    connection: int
    pause: Pause


@attrs.frozen(kw_only=True)
class AskWitness:
    """Ask the witness for its vote, or renew it; answer with WitnessAnswered before ``within_s``.

    Args:
        serial: of the question.
        term: with the node's identity, the name under which the vote is held.
        ttl_s: how long the vote has to last.
        within_s: how long an answer is of use.
        replaces: the name of a holder of whom it is proven that it does not serve; or empty.
    """

    serial: int
    term: int
    ttl_s: float
    within_s: float
    replaces: str = ""


@attrs.frozen
class LeaveWitness:
    """Give the witness's vote back, if this node has it under ``term``."""

    term: int


@attrs.frozen
class Guard:
    """The services may run until then, on the clock of the events; the fencer sees to it (B31)."""

    until: float


@attrs.frozen
class Fence:
    """Run the fence hook against the peer (B7); answer with FenceEnded."""


@attrs.frozen
class Save:
    """Make the state durable; answer with Saved. Saves are performed in order."""

    serial: int
    durable: Durable


@attrs.frozen
class StartServices:
    """Finish what the last generation left to apply, then start these services; answer."""

    epoch: Epoch
    names: tuple[str, ...]


@attrs.frozen
class StopServices:
    """Stop the services, killing what exceeds the bound; answer with ServicesStopped."""


@attrs.frozen
class FinalUpdate:
    """Run one more update and wait for its commit; answer with FinalUpdateEnded."""

    connection: int


@attrs.frozen
class TellRole:
    """The role seen from outside is now this: log, status, transition hooks."""

    role: Role
    epoch: Epoch
    reason: str


@attrs.frozen
class RaiseAlarm:
    """An alarm stands, from now or still."""

    alarm: Alarm
    text: str


@attrs.frozen
class ClearAlarm:
    """An alarm, if it stood, is over."""

    alarm: Alarm


@attrs.frozen
class Answer:
    """Answer an operator's request; ``error`` empty: done."""

    ticket: int
    error: str = ""


@attrs.frozen
class Exit:
    """End the node after all effects before.

    Args:
        refusal: why it may not run; empty: it ends as asked.
        kept: why a primary that ends has given its role to nobody; empty: it has, or had none.
    """

    refusal: str = ""
    kept: str = ""


Effect: TypeAlias = (
    Dial
    | Close
    | Refuse
    | SendFollow
    | SendWelcome
    | TakeUpdates
    | SendReleased
    | SendTaken
    | SendServing
    | SendAskLease
    | SendGrant
    | SendPause
    | AskWitness
    | LeaveWitness
    | Guard
    | Fence
    | Save
    | StartServices
    | StopServices
    | FinalUpdate
    | TellRole
    | RaiseAlarm
    | ClearAlarm
    | Answer
    | Exit
)
